import assert from 'node:assert/strict';
import { type Family, ip } from '../../src/core/ip.ts';
import { addrFromIp } from '../../src/emulator/address.ts';
import { buildIp, icmpMessage, TcpFlag } from '../../src/emulator/packet/build.ts';
import { fragment4 } from '../../src/emulator/plane/fragment.ts';
import { refusalOf } from '../../src/host/refusal.ts';
import { icmpAbout, ping, tcp, udp } from '../emulator/rig.ts';

const from = { 4: ip('192.0.2.1'), 6: ip('2001:db8::1') };
const clients = { 4: '10.1.1.11', 6: 'fd10:1::11' } as const;

/** By the emulator's builder, which shares no code with ours. */
function expected(family: Family, inside: Buffer): Buffer {
  return buildIp({
    source: addrFromIp(from[family]),
    target: addrFromIp(ip(clients[family])),
    protocol: family === 4 ? 1 : 58,
    payload: icmpMessage(family === 4 ? 3 : 1, family === 4 ? 13 : 1, 0, inside),
    ...(family === 4 ? { trafficClass: 0xc0 } : {}),
  });
}

const hex = (buffer: Buffer | undefined) => buffer?.toString('hex');

describe('the answer to a denied packet', () => {
  const answered = [
    { name: 'SYN', family: 4, bytes: tcp('10.1.1.11:1000', '10.1.1.12:443') },
    {
      name: 'SYN with ECN (RFC 3168)',
      family: 4,
      bytes: tcp('10.1.1.11:1000', '10.1.1.12:443', TcpFlag.syn | 0xc0),
    },
    { name: 'datagram', family: 4, bytes: udp('10.1.1.11:1000', '10.1.1.12:53') },
    { name: 'empty datagram', family: 4, bytes: udp('10.1.1.11:1000', '10.1.1.12:53', '') },
    { name: 'odd datagram', family: 4, bytes: udp('10.1.1.11:1000', '10.1.1.12:53', 'abc') },
    { name: 'SYN', family: 6, bytes: tcp('[fd10:1::11]:1000', '[fd10:1::12]:443') },
    { name: 'datagram', family: 6, bytes: udp('[fd10:1::11]:1000', '[fd10:1::12]:53', 'abc') },
  ] as const;
  for (const { name, family, bytes } of answered)
    it(`NP-24 IPv${family} ${name}: with the whole packet in it`, () => {
      const refusal = refusalOf(bytes, { from });
      assert.equal(hex(refusal?.packet), hex(expected(family, bytes)));
      assert.equal(refusal?.to, clients[family]);
    });

  it('NP-24 has the bytes of RFC 792 and RFC 1812', () => {
    const packet = hex(refusalOf(tcp('10.1.1.11:1000', '10.1.1.12:443'), { from })?.packet) ?? '';
    assert.equal(packet.slice(0, 8), '45c00044');
    assert.equal(packet.slice(16, 20), '4001');
    assert.equal(packet.slice(24, 40), 'c00002010a01010b');
    assert.match(packet.slice(40), /^030d[0-9a-f]{4}00000000450000280000/);
  });

  it('NP-24 IPv4 options come along', () => {
    const plain = udp('10.1.1.11:1000', '10.1.1.12:53');
    const bytes = Buffer.concat([plain.subarray(0, 20), Buffer.alloc(4, 1), plain.subarray(20)]);
    bytes[0] = 0x46;
    bytes.writeUInt16BE(bytes.length, 2);
    assert.equal(hex(refusalOf(bytes, { from })?.packet), hex(expected(4, bytes)));
  });

  it('NP-24 a large datagram is cut to what every path passes', () => {
    for (const [family, length, bytes] of [
      [4, 576, udp('10.1.1.11:1000', '10.1.1.12:53', 'x'.repeat(1400))],
      [6, 1280, udp('[fd10:1::11]:1000', '[fd10:1::12]:53', 'x'.repeat(1400))],
    ] as const) {
      const { packet } = refusalOf(bytes, { from }) ?? {};
      assert.equal(packet?.length, length);
      const inside = bytes.subarray(0, length - (family === 4 ? 28 : 48));
      assert.equal(hex(packet), hex(expected(family, inside)));
    }
  });

  const translated = [
    {
      name: 'IPv4 TCP',
      seen: tcp('10.1.1.11:1000', '10.1.1.12:8443'),
      sent: tcp('10.1.1.11:1000', '10.96.0.10:443'),
      sentTo: { ip: ip('10.96.0.10'), port: 443 },
    },
    {
      name: 'IPv4 UDP',
      seen: udp('10.1.1.11:1000', '10.1.1.12:5353'),
      sent: udp('10.1.1.11:1000', '10.96.0.10:53'),
      sentTo: { ip: ip('10.96.0.10'), port: 53 },
    },
    {
      name: 'IPv6 TCP',
      seen: tcp('[fd10:1::11]:1000', '[fd10:1::12]:8443'),
      sent: tcp('[fd10:1::11]:1000', '[fd96::10]:443'),
      sentTo: { ip: ip('fd96::10'), port: 443 },
    },
    {
      name: 'IPv6 UDP',
      seen: udp('[fd10:1::11]:1000', '[fd10:1::12]:5353'),
      sent: udp('[fd10:1::11]:1000', '[fd96::10]:53'),
      sentTo: { ip: ip('fd96::10'), port: 53 },
    },
  ] as const;
  for (const { name, seen, sent, sentTo } of translated)
    it(`NP-12 NP-24 ${name}: shows what the client sent to the Service`, () => {
      const { packet } = refusalOf(seen, { from, sentTo }) ?? {};
      assert.equal(hex(packet), hex(refusalOf(sent, { from })?.packet));
    });

  it('NP-24 a datagram without a checksum stays without', () => {
    const seen = udp('10.1.1.11:1000', '10.1.1.12:5353');
    seen.writeUInt16BE(0, 26);
    const refusal = refusalOf(seen, { from, sentTo: { ip: ip('10.96.0.10'), port: 53 } });
    assert.equal(refusal?.packet.readUInt16BE(28 + 26), 0);
  });

  it('leaves the packet as it was', () => {
    const seen = tcp('10.1.1.11:1000', '10.1.1.12:8443');
    refusalOf(seen, { from, sentTo: { ip: ip('10.96.0.10'), port: 443 } });
    assert.equal(hex(seen), hex(tcp('10.1.1.11:1000', '10.1.1.12:8443')));
  });
});

describe('what is never answered', () => {
  const { syn, ack, rst, fin } = TcpFlag;
  const about = tcp('10.1.1.12:443', '10.1.1.11:1000');
  const [, later = Buffer.alloc(0)] = fragment4(
    udp('10.1.1.11:1000', '10.1.1.12:53', 'x'.repeat(2000)),
    1500,
  );
  const hopByHop = udp('[fd10:1::11]:1000', '[fd10:1::12]:53');
  hopByHop[6] = 0;
  const flags = (value: number) => tcp('10.1.1.11:1000', '10.1.1.12:443', value);
  const cases: readonly (readonly [string, Buffer])[] = [
    ['an ICMP error', icmpAbout('10.1.1.11', '10.1.1.12', 3, 3, about)],
    ['an echo request', ping('10.1.1.11', '10.1.1.12')],
    ['an ICMPv6 echo request', ping('fd10:1::11', 'fd10:1::12')],
    ['an answer of TCP', flags(syn | ack)],
    ['a segment of a connection', flags(ack)],
    ['a reset', flags(rst)],
    ['a reset that claims to open', flags(syn | rst)],
    ['an end that claims to open', flags(syn | fin)],
    ['a later fragment', later],
    ['extension headers of IPv6', hopByHop],
    ['what is to many', udp('10.1.1.11:1000', '224.0.0.251:5353')],
    ['what is to many, IPv6', udp('[fd10:1::11]:1000', '[ff02::fb]:5353')],
    ['what is to all', udp('10.1.1.11:1000', '255.255.255.255:67')],
    ['what has no source', udp('0.0.0.0:68', '10.1.1.12:67')],
    ['what has no source, IPv6', udp('[::]:1000', '[fd10:1::12]:53')],
    ['loopback', udp('127.0.0.1:1000', '10.1.1.12:53')],
    ['loopback, IPv6', udp('[::1]:1000', '[fd10:1::12]:53')],
    ['many as source', udp('224.0.0.1:1000', '10.1.1.12:53')],
    ['the node itself', tcp('192.0.2.1:1000', '10.1.1.12:443')],
    ['a SYN that is cut short', flags(syn).subarray(0, 39)],
    ['a datagram that is cut short', udp('10.1.1.11:1000', '10.1.1.12:53').subarray(0, 27)],
    ['a header that is cut short', flags(syn).subarray(0, 19)],
    ['nothing', Buffer.alloc(0)],
    ['no IP', Buffer.alloc(60, 0x11)],
  ];
  for (const [name, bytes] of cases)
    it(`NP-24 ${name}`, () => assert.equal(refusalOf(bytes, { from }), undefined));

  it('NP-24 where the node has no address of the family', () => {
    const syn6 = tcp('[fd10:1::11]:1000', '[fd10:1::12]:443');
    assert.equal(refusalOf(syn6, { from: { 4: from[4] } }), undefined);
    assert.equal(refusalOf(flags(syn), { from: { 6: from[6] } }), undefined);
  });
});
