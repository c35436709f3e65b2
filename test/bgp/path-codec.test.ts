import assert from 'node:assert/strict';
import fc from 'fast-check';
import * as gobgp3 from '../../proto/generated/gobgp3.ts';
import * as gobgp4 from '../../proto/generated/gobgp4.ts';
import { decodeNlri, readAttributes } from '../../src/bgp/attribute-decoder.ts';
import { GobgpError } from '../../src/bgp/error.ts';
import { decodeOwnPaths } from '../../src/bgp/own-paths.ts';
import type { PathChange, PathNews } from '../../src/bgp/path-codec.ts';
import { createPathDecoder } from '../../src/bgp/path-decoder.ts';
import { encodeAddPaths } from '../../src/bgp/path-encoder.ts';
import {
  compareText,
  familyOf,
  type Ip,
  ipFromBytes,
  prefixAddress,
  prefixLength,
  prefixOf,
} from '../../src/core/ip.ts';
import { pathRow } from '../../src/desired/bgp.ts';

const address = (length: 4 | 16) =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((bytes) => ipFromBytes(bytes));

const u16 = fc.nat(0xffff);
const u32 = fc.nat(0xffffffff);
const join = (...parts: fc.Arbitrary<string | number>[]) =>
  fc.tuple(...parts).map((numbers) => numbers.join(':'));

/** Canonical texts, sorted. A bandwidth of up to 24 bits survives as a float. */
const communities = fc
  .uniqueArray(
    fc.oneof(
      join(u16, u16),
      join(u32, u32, u32),
      join(fc.constantFrom('rt', 'soo'), u16, u32),
      join(fc.constantFrom('rt', 'soo'), fc.integer({ min: 0x10000, max: 0xffffffff }), u16),
      join(fc.constant('lb'), u16, fc.nat(0xffffff)),
    ),
    { maxLength: 80 },
  )
  .map((texts) => texts.toSorted(compareText));

const change = fc.constantFrom(4 as const, 16 as const).chain((width) =>
  fc.record(
    {
      prefix: fc
        .tuple(address(width), fc.integer({ min: 0, max: width * 8 }))
        .map(([ip, length]) => prefixOf(ip, length)),
      nextHop: width === 4 ? fc.oneof(address(4), address(16)) : address(16),
      withdraw: fc.boolean(),
      communities: communities,
      localPreference: fc.option(u32, { nil: undefined }),
      med: fc.option(u32, { nil: undefined }),
    },
    { noNullPrototype: true },
  ),
);

/** Usual paths, sometimes without a next hop, with other attributes in between. */
const news = fc
  .tuple(change, fc.option(address(4), { nil: undefined }), fc.boolean(), fc.nat(3))
  .map(([{ prefix, nextHop, withdraw }, neighbor, bare, identifier]) => ({
    news: {
      prefix,
      nextHop: bare ? undefined : nextHop,
      neighbor,
      identifier,
      withdrawn: withdraw,
    },
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
  identifier: value.identifier,
  nlriBinary: Buffer.alloc(0),
  pattrsBinary: [],
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

/** What a stub says about a path whose content is in bytes of BGP. */
function changeOf(path: Stub): Omit<PathChange, 'nextHop'> {
  assert.deepEqual([path.pattrs, path.nlri], [[], undefined]);
  const { afi } = path.family ?? { afi: 0 };
  const { nextHop, communities, localPreference, med, ...others } = readAttributes(
    path.pattrsBinary,
  );
  assert.deepEqual(others, { asPath: [], origin: 'igp', originatorId: '' });
  return {
    prefix: decodeNlri(path.nlriBinary, afi === 1 ? 4 : 6),
    withdraw: path.isWithdraw,
    ...{ nextHop, communities, localPreference, med },
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
            request.paths.map((path) => changeOf(path)),
            changes,
          );
        }),
        { numRuns: 60 },
      );
    });

    it('reads what the generated stubs write', () => {
      fc.assert(
        fc.property(fc.array(news, { maxLength: 60 }), (items) => {
          const decoder = createPathDecoder(version);
          const paths = items.map((item): Stub => dialect.path(item));
          const expected = items.map((item) => item.news);
          const event = decoder.watchEvent(Buffer.from(dialect.event(paths)));
          assert.deepEqual(event, { kind: 'paths', count: items.length, paths: expected });
        }),
        { numRuns: 60 },
      );
    });

    it('finds our own paths in a listing as they were written, and no others', () => {
      fc.assert(
        fc.property(fc.array(fc.tuple(change, fc.boolean()), { maxLength: 30 }), (items) => {
          const { paths } = dialect.request(
            encodeAddPaths(
              version,
              items.map(([item]) => item),
            ),
          );
          const listed = paths.map(
            (path, i): Stub => ({
              ...path,
              neighborIp: items[i]?.[1] ? '192.0.2.1' : 'invalid IP',
            }),
          );
          const own = items.filter(([item, learned]) => !learned && !item.withdraw);
          const expected = own.map(([{ prefix, nextHop, withdraw: _, ...attributes }]) => ({
            prefix,
            row: pathRow(prefix, nextHop, attributes),
          }));
          assert.deepEqual(decodeOwnPaths(Buffer.from(dialect.listed(listed))), expected);
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
          identifier: 0,
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
        reason: '',
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
              decodeOwnPaths(bytes);
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
