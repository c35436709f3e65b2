import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ip } from '../../src/core/ip.ts';
import { addrFromIp, type Mac } from '../../src/emulator/address.ts';
import { buildFrame, buildIp, udpSegment } from '../../src/emulator/packet/build.ts';
import { fragment4 } from '../../src/emulator/plane/fragment.ts';
import { readDenied } from '../../src/vpp/capture-file.ts';
import { ping, tcp, udp } from '../emulator/rig.ts';

const pod = '\x02\0\0\0\x01\x02' as Mac;
const vpp = '\x02\0\0\0\x01\x01' as Mac;

const frame = (l3: Uint8Array) =>
  buildFrame(pod, vpp, (l3[0] ?? 0) >> 4 === 6 ? 0x86dd : 0x0800, l3);
const say = (node: string) => Buffer.from(`acl-plugin-${node}-fa: ACL deny packets`, 'latin1');

/** As VPP writes it. */
function file(...packets: readonly Uint8Array[]): Buffer {
  const head = Buffer.from('d4c3b2a10200040000000000000000000000010001000000', 'hex');
  const records = packets.map((bytes) => {
    const header = Buffer.alloc(16);
    header.writeUInt32LE(bytes.length, 8);
    header.writeUInt32LE(bytes.length, 12);
    return Buffer.concat([header, bytes]);
  });
  return Buffer.concat([head, ...records]);
}

const denied = (node: string, bytes: Uint8Array) => file(Buffer.concat([bytes, say(node)]));

/** `input 10.1.1.11 1000 > 10.1.1.12 443 TCP` */
const show = (bytes: Buffer) =>
  readDenied(bytes).map((one) =>
    [one.direction, one.source, one.sourcePort, '>', one.destination, one.port, one.protocol].join(
      ' ',
    ),
  );

/** What VPP keeps of a packet that came by a tunnel: the new Ethernet header over the old end. */
function behind(outer: Buffer, inner: Buffer): Buffer {
  const head = frame(outer);
  return Buffer.concat([head.subarray(0, head.length - 14), frame(inner)]);
}

/** The outer header alone, with the length that it had with `inner` behind it. */
function outerHeader(family: 4 | 6, protocol: number, inner: Buffer, more = 0): Buffer {
  const end = (last: number) =>
    addrFromIp(ip(family === 4 ? `192.0.2.${last}` : `2001:db8::${last}`));
  const payload = Buffer.concat([Buffer.alloc(more), inner]);
  const whole = buildIp({ source: end(254), target: end(1), protocol, payload });
  return whole.subarray(0, whole.length - inner.length);
}

const v4 = udp('10.1.2.9:1004', '10.1.1.12:53');
const v6 = udp('[fd10:2::9]:1004', '[fd10:1::12]:53');

const hopByHop = (l3: Buffer): Buffer => {
  const extended = Buffer.concat([
    l3.subarray(0, 40),
    Buffer.from([l3[6] ?? 0, 0, 1, 4, 0, 0, 0, 0]),
    l3.subarray(40),
  ]);
  extended[6] = 0;
  extended.writeUInt16BE(extended.length - 40, 4);
  return extended;
};

const laterFragment6 = (): Buffer =>
  buildIp({
    source: addrFromIp(ip('fd10:2::9')),
    target: addrFromIp(ip('fd10:1::12')),
    protocol: 44,
    payload: Buffer.concat([Buffer.from([17, 0, 0x05, 0xa8, 0, 0, 0, 1]), Buffer.alloc(16)]),
  });

describe('captures of denied packets', () => {
  const cases: readonly { name: string; in: Buffer; out: readonly string[] }[] = [
    {
      name: 'NP-09 TCP that an interface received',
      in: denied('in-ip4', frame(tcp('10.1.1.11:1000', '10.1.1.12:443'))),
      out: ['input 10.1.1.11 1000 > 10.1.1.12 443 TCP'],
    },
    {
      name: 'NP-20 UDP over IPv6 that an interface would have sent',
      in: denied('out-ip6', frame(v6)),
      out: ['output fd10:2::9 1004 > fd10:1::12 53 UDP'],
    },
    {
      name: 'NP-21 the type of ICMP and ICMPv6',
      in: file(
        Buffer.concat([frame(ping('10.1.1.11', '10.1.1.12')), say('in-ip4')]),
        Buffer.concat([frame(ping('fd10:1::11', 'fd10:1::12')), say('in-ip6')]),
      ),
      out: ['input 10.1.1.11  > 10.1.1.12 8 ICMP', 'input fd10:1::11  > fd10:1::12 128 ICMPv6'],
    },
    {
      name: 'NP-22 no ports of later fragments, of either family',
      in: file(
        Buffer.concat([
          frame(fragment4(udp('10.1.2.9:1', '10.1.1.12:53', 'x'.repeat(2000)), 1500)[1] ?? v4),
          say('out-ip4'),
        ]),
        Buffer.concat([frame(laterFragment6()), say('out-ip6')]),
      ),
      out: ['output 10.1.2.9  > 10.1.1.12  UDP', 'output fd10:2::9  > fd10:1::12  UDP'],
    },
    {
      name: 'NP-09 ports behind an extension header of IPv6',
      in: denied('out-ip6', frame(hopByHop(v6))),
      out: ['output fd10:2::9 1004 > fd10:1::12 53 UDP'],
    },
    {
      name: 'NP-23 the number of another protocol',
      in: denied(
        'out-ip4',
        frame(
          buildIp({
            source: addrFromIp(ip('10.1.2.9')),
            target: addrFromIp(ip('10.1.1.12')),
            protocol: 47,
            payload: udpSegment(1, 2, Buffer.alloc(4)),
          }),
        ),
      ),
      out: ['output 10.1.2.9  > 10.1.1.12  47'],
    },
    {
      name: 'NP-24 short frames that the wire filled up',
      in: denied('in-ip4', Buffer.concat([frame(v4), Buffer.alloc(20)])),
      out: ['input 10.1.2.9 1004 > 10.1.1.12 53 UDP'],
    },
    ...([4, 6] as const).flatMap((outer) =>
      ([v4, v6] as const).flatMap((inner) => {
        const family = inner === v4 ? 4 : 6;
        const protocol = family === 4 ? 4 : 41;
        const out = [show(denied(`out-ip${family}`, frame(inner)))[0] ?? ''];
        return [
          {
            name: `NP-24 IPv${family} that came in IPv${outer}`,
            in: denied(`out-ip${family}`, behind(outerHeader(outer, protocol, inner), inner)),
            out,
          },
          {
            name: `NP-24 IPv${family} that came by GRE in IPv${outer}`,
            in: denied(`out-ip${family}`, behind(outerHeader(outer, 47, inner, 4), inner)),
            out,
          },
        ];
      }),
    ),
    {
      name: 'NP-24 a pod that sends tunnels of its own is told as it is',
      in: denied('in-ip4', frame(Buffer.concat([outerHeader(4, 4, v4), v4]))),
      out: ['input 192.0.2.254  > 192.0.2.1  4'],
    },
    {
      name: 'NP-24 other drops, and packets without a reason, are left out',
      in: file(
        Buffer.concat([frame(v4), Buffer.from('ip4-input: ip4 offset 1 fragments')]),
        frame(v4),
        Buffer.concat([
          frame(v4),
          Buffer.from('acl-plugin-in-ip4-fa: too many sessions to add new'),
        ]),
      ),
      out: [],
    },
    {
      name: 'NP-24 a packet whose payload claims a reason is not believed before its end',
      in: file(
        Buffer.concat([
          frame(udp('10.1.2.9:1', '10.1.1.12:2', say('in-ip4').toString())),
          say('out-ip4'),
        ]),
      ),
      out: ['output 10.1.2.9 1 > 10.1.1.12 2 UDP'],
    },
    { name: 'an empty file', in: Buffer.alloc(0), out: [] },
    { name: 'another sort of file', in: Buffer.alloc(200, 7), out: [] },
  ];
  for (const one of cases) it(one.name, () => assert.deepEqual(show(one.in), one.out));

  it('NP-24 tells both MAC addresses', () => {
    const [found] = readDenied(denied('out-ip4', frame(v4)));
    assert.deepEqual(
      [found?.sourceMac, found?.destinationMac],
      ['02:00:00:00:01:01', '02:00:00:00:01:02'],
    );
  });

  it('a file that is cut anywhere gives the packets that are whole', () => {
    const record = Buffer.concat([frame(v4), say('in-ip4')]);
    const whole = file(record, record);
    for (let length = 0; length <= whole.length; length++) {
      const packets = Math.max(0, Math.floor((length - 24) / (16 + record.length)));
      assert.equal(readDenied(whole.subarray(0, length)).length, packets, `${length} bytes`);
    }
  });

  it('whatever the bytes are, nothing throws', () => {
    const node = fc.constantFrom('in-ip4', 'in-ip6', 'out-ip4', 'out-ip6');
    const start = fc.constantFrom(frame(v4), frame(v6), frame(hopByHop(v6)), Buffer.alloc(0));
    fc.assert(
      fc.property(
        node,
        start,
        fc.nat(120),
        fc.uint8Array({ maxLength: 120 }),
        (n, f, cut, junk) => {
          const found = readDenied(denied(n, Buffer.concat([f.subarray(0, cut), junk])));
          assert.ok(found.length <= 1);
        },
      ),
      { numRuns: 2000 },
    );
  });
});
