import assert from 'node:assert/strict';
import fc from 'fast-check';
import * as gobgp3 from '../../proto/generated/gobgp3.ts';
import * as gobgp4 from '../../proto/generated/gobgp4.ts';
import { GobgpError } from '../../src/bgp/error.ts';
import type { PathChange, PathNews } from '../../src/bgp/path-codec.ts';
import { createPathDecoder } from '../../src/bgp/path-decoder.ts';
import { encodeAddPaths } from '../../src/bgp/path-encoder.ts';
import {
  familyOf,
  type Ip,
  ipFromBytes,
  prefixAddress,
  prefixLength,
  prefixOf,
} from '../../src/core/ip.ts';

const address = (length: 4 | 16) =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((bytes) => ipFromBytes(bytes));

const change = fc.constantFrom(4 as const, 16 as const).chain((width) =>
  fc.record(
    {
      prefix: fc
        .tuple(address(width), fc.integer({ min: 0, max: width * 8 }))
        .map(([ip, length]) => prefixOf(ip, length)),
      nextHop: width === 4 ? fc.oneof(address(4), address(16)) : address(16),
      withdraw: fc.boolean(),
    },
    { noNullPrototype: true },
  ),
);

/** Usual paths, sometimes without a next hop, with other attributes in between. */
const news = fc
  .tuple(change, fc.option(address(4), { nil: undefined }), fc.boolean())
  .map(([{ prefix, nextHop, withdraw }, neighbor, bare]) => ({
    news: { prefix, nextHop: bare ? undefined : nextHop, neighbor, withdrawn: withdraw },
    localText: ['', '<nil>', 'invalid IP'][prefix.length % 3] ?? '',
  }));

type Stub = gobgp3.Path | gobgp4.Path;
const family = (value: PathNews) => ({ afi: familyOf(value.prefix) === 4 ? 1 : 2, safi: 1 });
const nlri = (value: PathNews) => ({
  prefixLen: prefixLength(value.prefix),
  prefix: prefixAddress(value.prefix) as string,
});

function path3({ news, localText }: { news: PathNews; localText: string }): gobgp3.Path {
  const any = (name: string, bytes: Uint8Array) => ({
    typeUrl: `type.googleapis.com/apipb.${name}`,
    value: Buffer.from(bytes),
  });
  const prefix = any('IPAddressPrefix', gobgp3.IPAddressPrefix.encode(nlri(news)).finish());
  const pattrs = [any('OriginAttribute', gobgp3.OriginAttribute.encode({ origin: 2 }).finish())];
  if (news.nextHop !== undefined && isMp(news)) {
    const reach = { family: family(news), nextHops: [news.nextHop, 'fe80::1'], nlris: [prefix] };
    pattrs.push(any('MpReachNLRIAttribute', gobgp3.MpReachNLRIAttribute.encode(reach).finish()));
  } else if (news.nextHop !== undefined) {
    const nextHop = { nextHop: news.nextHop };
    pattrs.push(any('NextHopAttribute', gobgp3.NextHopAttribute.encode(nextHop).finish()));
  }
  pattrs.push(any('CommunitiesAttribute', Buffer.from([10, 2, 1, 2])));
  return { ...rest(news, localText), nlri: prefix, pattrs };
}

function path4({ news, localText }: { news: PathNews; localText: string }): gobgp4.Path {
  const prefix: gobgp4.NLRI = { nlri: { $case: 'prefix', value: nlri(news) } };
  const pattrs: gobgp4.Attribute[] = [{ attr: { $case: 'origin', value: { origin: 2 } } }];
  if (news.nextHop !== undefined) {
    pattrs.push({
      attr: isMp(news)
        ? {
            $case: 'mpReach',
            value: { family: family(news), nextHops: [news.nextHop, 'fe80::1'], nlris: [prefix] },
          }
        : { $case: 'nextHop', value: { nextHop: news.nextHop } },
    });
  }
  return { ...rest(news, localText), nlri: prefix, pattrs };
}

const isMp = (value: PathNews) =>
  familyOf(value.prefix) === 6 || (value.nextHop !== undefined && familyOf(value.nextHop) === 6);

const rest = (value: PathNews, localText: string) => ({
  isWithdraw: value.withdrawn,
  family: family(value),
  stale: value.withdrawn,
  neighborIp: value.neighbor ?? localText,
});

const dialects = [
  {
    version: 3 as const,
    event: (paths: Stub[]) =>
      gobgp3.WatchEventResponse.encode({
        event: { $case: 'table', value: { paths: paths as gobgp3.Path[] } },
      }).finish(),
    listed: (paths: Stub[]) =>
      gobgp3.ListPathResponse.encode({
        destination: { prefix: 'x', paths: paths as gobgp3.Path[] },
      }).finish(),
    path: path3,
    request: (bytes: Buffer) => gobgp3.AddPathStreamRequest.decode(bytes),
    peer: (value: gobgp3.Peer) =>
      gobgp3.WatchEventResponse.encode({
        event: { $case: 'peer', value: { type: 3, peer: value } },
      }).finish(),
  },
  {
    version: 4 as const,
    event: (paths: Stub[]) =>
      gobgp4.WatchEventResponse.encode({
        event: { $case: 'table', value: { paths: paths as gobgp4.Path[] } },
      }).finish(),
    listed: (paths: Stub[]) =>
      gobgp4.ListPathResponse.encode({
        destination: { prefix: 'x', paths: paths as gobgp4.Path[] },
      }).finish(),
    path: path4,
    request: (bytes: Buffer) => gobgp4.AddPathStreamRequest.decode(bytes),
    peer: (value: gobgp3.Peer) =>
      gobgp4.WatchEventResponse.encode({
        event: { $case: 'peer', value: { type: 3, peer: gobgp4.Peer.fromPartial(value) } },
      }).finish(),
  },
];

/** What the generated stub makes of an encoded path. */
function changeOf(path: Stub, version: 3 | 4): PathChange {
  const [origin, via, ...others] = path.pattrs;
  assert.deepEqual(others, []);
  assert.ok(origin && via && path.nlri);
  let prefix: { prefixLen: number; prefix: string } | undefined;
  let nextHop: string | undefined;
  if (version === 3) {
    const any = path.nlri as gobgp3.Any;
    prefix = gobgp3.IPAddressPrefix.decode(any.value);
    const attribute = via as gobgp3.Any;
    nextHop = attribute.typeUrl.endsWith('.NextHopAttribute')
      ? gobgp3.NextHopAttribute.decode(attribute.value).nextHop
      : gobgp3.MpReachNLRIAttribute.decode(attribute.value).nextHops[0];
  } else {
    prefix = (path.nlri as gobgp4.NLRI).nlri?.value;
    const attribute = (via as gobgp4.Attribute).attr;
    if (attribute?.$case === 'nextHop') nextHop = attribute.value.nextHop;
    if (attribute?.$case === 'mpReach') nextHop = attribute.value.nextHops[0];
  }
  assert.ok(prefix && nextHop);
  return {
    prefix: prefixOf(prefix.prefix as Ip, prefix.prefixLen),
    nextHop: nextHop as Ip,
    withdraw: path.isWithdraw,
  };
}

for (const dialect of dialects) {
  const { version } = dialect;
  describe(`the path codec for GoBGP ${version}`, () => {
    it('writes what the generated stubs read', () => {
      fc.assert(
        fc.property(fc.array(change, { maxLength: 200 }), (changes) => {
          const request = dialect.request(encodeAddPaths(version, changes));
          assert.equal(request.tableType, version === 3 ? 0 : 1);
          assert.deepEqual(
            request.paths.map((path) => changeOf(path, version)),
            changes,
          );
        }),
        { numRuns: 60 },
      );
    });

    it('reads what the generated stubs write, as an event and as a listing', () => {
      fc.assert(
        fc.property(fc.array(news, { maxLength: 60 }), (items) => {
          const decoder = createPathDecoder(version);
          const paths = items.map((item): Stub => dialect.path(item));
          const expected = items.map((item) => item.news);
          const event = decoder.watchEvent(Buffer.from(dialect.event(paths)));
          assert.deepEqual(event, { kind: 'paths', count: items.length, paths: expected });
          assert.deepEqual(decoder.listPath(Buffer.from(dialect.listed(paths))), expected);
        }),
        { numRuns: 60 },
      );
    });

    it('passes over what is not IPv4 or IPv6 unicast', () => {
      const item = {
        news: {
          prefix: prefixOf('10.0.0.0' as Ip, 8),
          nextHop: '192.0.2.1' as Ip,
          neighbor: undefined,
          withdrawn: false,
        },
        localText: '',
      };
      const vpn = { ...dialect.path(item), family: { afi: 1, safi: 128 } };
      const event = createPathDecoder(version).watchEvent(Buffer.from(dialect.event([vpn])));
      assert.deepEqual(event, { kind: 'paths', count: 1, paths: [] });
    });

    it('reads the state of a peer', () => {
      const peer = gobgp3.Peer.fromPartial({
        conf: { neighborAddress: '192.0.2.7', peerAsn: 64512 },
        state: { sessionState: 6 },
      });
      const event = createPathDecoder(version).watchEvent(Buffer.from(dialect.peer(peer)));
      assert.deepEqual(event, {
        kind: 'peer',
        type: 'state',
        address: '192.0.2.7',
        established: true,
      });
    });

    it('answers broken bytes with an error of its own, never with another', () => {
      const whole = fc
        .array(news, { maxLength: 5 })
        .map((items) => dialect.event(items.map((item): Stub => dialect.path(item))));
      const broken = fc
        .tuple(whole, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }), fc.nat())
        .map(([bytes, edits, cut]) => {
          const copy = Buffer.from(bytes);
          for (const [at, value] of edits) if (copy.length > 0) copy[at % copy.length] = value;
          return copy.subarray(0, cut % (copy.length + 1));
        });
      fc.assert(
        fc.property(
          fc.oneof(
            broken,
            fc.uint8Array().map((b) => Buffer.from(b)),
          ),
          (bytes) => {
            try {
              createPathDecoder(version).watchEvent(bytes);
              createPathDecoder(version).listPath(bytes);
            } catch (error) {
              assert.ok(error instanceof GobgpError, `${error}`);
            }
          },
        ),
        { numRuns: 500 },
      );
    });
  });
}
