/**
 * What filters make of packets that are no plain TCP and UDP: errors, neighbour discovery,
 * fragments, SCTP and other protocols; and what they count. On a real VPP and on the embedded
 * data plane.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'mocha';
import { ip, ipBytes } from '../../src/core/ip.ts';
import { filterCounters } from '../../src/daemon/filter-counters.ts';
import { createVppStats } from '../../src/daemon/vpp-stats.ts';
import { Protocol } from '../../src/emulator/packet/headers.ts';
import { fragment4 } from '../../src/emulator/plane/fragment.ts';
import { filterSessions } from '../../src/vpp/filter-sessions.ts';
import { icmpAbout, neighbour, ping, route, tcp, udp } from '../emulator/rig.ts';
import {
  all,
  filter,
  fragment6,
  nd,
  prepareFilters,
  putAcl,
  type Rule,
  raw,
  rule,
  sctp,
  unfilter,
} from './acl-rig.ts';
import { createSubject, type PacketSubject } from './packet-subject.ts';

interface Case {
  readonly name: string;
  run(s: PacketSubject): Promise<readonly string[]>;
  readonly expect: readonly string[];
}

const long = 'x'.repeat(3000);
const { icmp, icmp6, udp: udpNumber, sctp: sctpNumber } = Protocol;

/** Lets later fragments pass, whatever their ports, and no whole packet: port 0 is nobody's. */
const laterFragments = [
  rule('permit', { protocol: udpNumber, port: 0 }),
  rule('permit', { protocol: udpNumber, port: 0, from: '::/0' }),
];

const fragments = (from: string, to: string): Buffer[] => {
  const whole = udp(from, to, long);
  return from.startsWith('[') ? fragment6(whole, 1448) : fragment4(whole, 1500);
};

/** Where fragments of a datagram to port 53 and of one to port 99 get to, as parts that came. */
async function fragmentsPast(s: PacketSubject, output: readonly Rule[]): Promise<string[]> {
  await filter(s, 'pod1', { output });
  const came: string[] = [];
  for (const [name, from, to] of [
    ['v4', '10.1.1.12', '10.1.1.11'],
    ['v6', '[fd10:1::12]', '[fd10:1::11]'],
  ] as const)
    for (const port of [53, 99]) {
      await s.send('pod2', ...fragments(`${from}:${6000 + port}`, `${to}:${port}`));
      came.push(`${name} ${port}: ${s.last.map(({ frame }) => partOf(frame)).join(' ')}`);
    }
  return came;
}

/** `first` or `later`. */
function partOf(frame: Buffer): string {
  const isIp6 = frame.readUInt16BE(12) === 0x86dd;
  const offset = isIp6 ? frame.readUInt16BE(14 + 42) >> 3 : frame.readUInt16BE(14 + 6) & 0x1fff;
  return offset === 0 ? 'first' : 'later';
}

/** A rule that opens sessions, one that does not, and one that denies. */
const counted = [
  rule('reflect', { protocol: udpNumber, port: 1 }),
  rule('permit', { protocol: udpNumber, port: 2 }),
  rule('deny', { protocol: udpNumber, port: 3 }),
];

const cases: Case[] = [
  {
    name: 'NP-21 an error about a packet of a session does not belong to the session: it needs a rule',
    async run(s) {
      const errors = async () => {
        const about4 = udp('10.1.1.11:1500', '10.1.1.12:53');
        const about6 = udp('[fd10:1::11]:1500', '[fd10:1::12]:53');
        const [a, b] = ['10.1.1.12', '10.1.1.11'];
        const [c, d] = ['fd10:1::12', 'fd10:1::11'];
        const opened = await s.send('pod1', Buffer.from(about4), Buffer.from(about6));
        const came = await s.send(
          'pod2',
          ...[3, 11, 12].map((type) => icmpAbout(a, b, type, type === 3 ? 4 : 0, about4)),
          ...[1, 2, 3, 4].map((type) => icmpAbout(c, d, type, 0, about6)),
        );
        return [...opened, ...came.map((line) => line.replace(/ \(.*/, ''))];
      };
      const input = all('reflect');
      await filter(s, 'pod1', { input, output: all('deny') });
      const without = await errors();
      const ofErrors = [
        rule('permit', { protocol: icmp, types: [3, 3] }),
        rule('permit', { protocol: icmp, types: [11, 12] }),
        rule('permit', { protocol: icmp6, types: [1, 4] }),
      ];
      await filter(s, 'pod1', { input, output: [...ofErrors, ...all('deny')] });
      return [...without, 'with rules', ...(await errors())];
    },
    expect: [
      'pod2: 10.1.1.11:1500 > 10.1.1.12:53 udp',
      'pod2: [fd10:1::11]:1500 > [fd10:1::12]:53 udp',
      'with rules',
      'pod2: 10.1.1.11:1500 > 10.1.1.12:53 udp',
      'pod2: [fd10:1::11]:1500 > [fd10:1::12]:53 udp',
      'pod1: 10.1.1.12 > 10.1.1.11 icmp 11/0',
      'pod1: 10.1.1.12 > 10.1.1.11 icmp 12/0',
      'pod1: 10.1.1.12 > 10.1.1.11 icmp 3/4',
      'pod1: fd10:1::12 > fd10:1::11 icmp 1/0',
      'pod1: fd10:1::12 > fd10:1::11 icmp 2/0',
      'pod1: fd10:1::12 > fd10:1::11 icmp 3/0',
      'pod1: fd10:1::12 > fd10:1::11 icmp 4/0',
    ],
  },
  {
    name: 'NP-21 errors that VPP itself sends to a pod meet its ingress',
    async run(s) {
      await route(s.vpp, '10.97.0.0/24', [{ type: 5 }]);
      await filter(s, 'pod1', { input: all('permit'), output: all('deny') });
      const asked = () => s.send('pod1', udp('10.1.1.11:1501', '10.97.0.1:53'));
      const without = await asked();
      const ofErrors = rule('permit', { protocol: icmp, types: [3, 3] });
      await filter(s, 'pod1', { input: all('permit'), output: [ofErrors] });
      return [...without, 'with a rule', ...(await asked())].map((line) =>
        line.replace(/ \(.*/, ''),
      );
    },
    expect: ['with a rule', 'pod1: 192.0.2.1 > 10.1.1.11 icmp 3/1'],
  },
  {
    name: 'NP-21 a ping is a session of its type: a request passes, an answer nobody asked for does not',
    async run(s) {
      const echo = rule('reflect', { protocol: icmp, types: [8, 8] });
      const echo6 = rule('reflect', { protocol: icmp6, types: [128, 128] });
      await filter(s, 'pod1', { input: all('deny'), output: [echo, echo6] });
      return [
        ...(await s.send('pod1', ping('10.1.1.11', '10.1.1.12', 7, true))),
        ...(await s.send('pod2', ping('10.1.1.12', '10.1.1.11'), ping('fd10:1::12', 'fd10:1::11'))),
        ...(await s.send(
          'pod1',
          ping('10.1.1.11', '10.1.1.12', 7, true),
          ping('fd10:1::11', 'fd10:1::12', 7, true),
        )),
        ...(await s.send('pod1', ping('10.1.1.11', '10.1.1.12'))),
      ];
    },
    expect: [
      'pod1: 10.1.1.12 > 10.1.1.11 echo 8 id 7',
      'pod1: fd10:1::12 > fd10:1::11 echo 128 id 7',
      'pod2: 10.1.1.11 > 10.1.1.12 echo 0 id 7',
      'pod2: fd10:1::11 > fd10:1::12 echo 129 id 7',
    ],
  },
  {
    name: 'NP-21 of neighbour discovery, only what is sent to one address meets filters',
    async run(s) {
      const linkLocal = 'fe80::ff:fe00:101';
      const target = (address: string) => {
        const rest = Buffer.alloc(24);
        Buffer.from(ipBytes(ip(address))).copy(rest);
        rest[16] = 1;
        rest[17] = 1;
        Buffer.from('020000000102', 'hex').copy(rest, 18);
        return rest;
      };
      const solicit = (to: string) => nd('fd10:1::11', to, 135, target(linkLocal));
      const ask = async () => [
        'multicast',
        ...(await s.send('pod1', solicit('ff02::1:ff00:101'))),
        'unicast',
        ...(await s.send('pod1', solicit(linkLocal))),
      ];
      await filter(s, 'pod1', { input: all('deny'), output: all('deny') });
      const denied = await ask();
      const discovery = rule('permit', { protocol: icmp6, types: [135, 136] });
      await filter(s, 'pod1', { input: [discovery], output: all('deny') });
      const permitted = await ask();
      return [...denied, 'with a rule of the input', ...permitted];
    },
    expect: [
      'multicast',
      'pod1: fe80::ff:fe00:101 > fd10:1::11 nd 136',
      'unicast',
      'with a rule of the input',
      'multicast',
      'pod1: fe80::ff:fe00:101 > fd10:1::11 nd 136',
      'unicast',
      'pod1: fe80::ff:fe00:101 > fd10:1::11 nd 136',
    ],
  },
  {
    name: "NP-21 VPP's own questions for a neighbour meet the ingress of the pod",
    async run(s) {
      const pod1 = s.index.pod1 ?? 0;
      // VPP asks in the name of each of its addresses.
      const asks = async (host: string) => {
        await route(s.vpp, `${host}/128`, [{ via: host, dev: pod1 }]);
        const seen = await s.send('pod2', udp('[fd10:1::12]:1', `[${host}]:2`));
        return seen.filter((line) => line.startsWith('pod1: fe80::ff:fe00:101 '));
      };
      await filter(s, 'pod1', { output: all('deny') });
      const denied = await asks('fd10:1::77');
      const discovery = rule('permit', { protocol: icmp6, types: [135, 135] });
      await filter(s, 'pod1', { output: [discovery] });
      return [...denied, 'with a rule', ...(await asks('fd10:1::78'))];
    },
    expect: ['with a rule', 'pod1: fe80::ff:fe00:101 > ff02::1:ff00:78 nd 135'],
  },
  {
    name: 'NP-22 later fragments match each rule of their protocol, whatever its ports',
    run: (s) =>
      fragmentsPast(s, [
        rule('permit', { protocol: udpNumber, port: 53 }),
        rule('permit', { protocol: udpNumber, port: 53, from: '::/0' }),
      ]),
    expect: [
      'v4 53: first later later',
      'v4 99: later later',
      'v6 53: first later later',
      'v6 99: later later',
    ],
  },
  {
    name: 'NP-22 so a rule that denies a port drops the later fragments of all ports behind it',
    run: (s) =>
      fragmentsPast(s, [
        rule('deny', { protocol: udpNumber, port: 99 }),
        rule('deny', { protocol: udpNumber, port: 99, from: '::/0' }),
        ...all('permit'),
      ]),
    expect: ['v4 53: first', 'v4 99: ', 'v6 53: first', 'v6 99: '],
  },
  {
    name: 'NP-22 unless a rule for port 0, which no whole packet has, permits them first',
    run: (s) =>
      fragmentsPast(s, [
        ...laterFragments,
        rule('deny', { protocol: udpNumber, port: 99 }),
        rule('deny', { protocol: udpNumber, port: 99, from: '::/0' }),
        ...all('permit'),
      ]),
    expect: [
      'v4 53: first later later',
      'v4 99: later later',
      'v6 53: first later later',
      'v6 99: later later',
    ],
  },
  {
    name: 'NP-22 of an answer in fragments the session knows the first alone; the rule for port 0 the others',
    async run(s) {
      const came: string[] = [];
      for (const output of [all('deny'), [...laterFragments, ...all('deny')]]) {
        await filter(s, 'pod1', { input: all('reflect'), output });
        for (const [a, b] of [
          ['10.1.1.11', '10.1.1.12'],
          ['[fd10:1::11]', '[fd10:1::12]'],
        ] as const) {
          await s.send('pod1', udp(`${a}:6200`, `${b}:53`));
          await s.send('pod2', ...fragments(`${b}:53`, `${a}:6200`));
          came.push(s.last.map(({ frame }) => partOf(frame)).join(' '));
        }
      }
      return came;
    },
    expect: ['first', 'first', 'first later later', 'first later later'],
  },
  {
    name: 'NP-09 a rule with ports of SCTP matches no packet, for VPP reads none; one without matches all',
    async run(s) {
      const there = sctp('10.1.1.12', '10.1.1.11', [7000, 5000]);
      const back = sctp('10.1.1.11', '10.1.1.12', [5000, 7000]);
      const withPort = rule('reflect', { protocol: sctpNumber, port: 5000 });
      await filter(s, 'pod1', { input: all('deny'), output: [withPort] });
      const without = await s.send('pod2', there);
      const portless = rule('reflect', { protocol: sctpNumber });
      await filter(s, 'pod1', { input: all('deny'), output: [portless] });
      return [
        ...without,
        'without a port',
        ...(await s.send('pod2', there)),
        ...(await s.send('pod1', back)),
        'a session of both hosts, not of ports',
        ...(await s.send('pod1', sctp('10.1.1.11', '10.1.1.12', [1, 2]))),
      ];
    },
    expect: [
      'without a port',
      'pod1: 10.1.1.12 > 10.1.1.11 proto 132',
      'pod2: 10.1.1.11 > 10.1.1.12 proto 132',
      'a session of both hosts, not of ports',
      'pod2: 10.1.1.11 > 10.1.1.12 proto 132',
    ],
  },
  {
    name: 'NP-23 other protocols match rules of all protocols, and have sessions by addresses',
    async run(s) {
      const there = raw('10.1.1.12', '10.1.1.11', Protocol.gre, Buffer.alloc(8));
      const back = raw('10.1.1.11', '10.1.1.12', Protocol.gre, Buffer.alloc(8));
      const esp = raw('10.1.1.11', '10.1.1.12', 50, Buffer.alloc(8));
      await filter(s, 'pod1', {
        input: all('deny'),
        output: [rule('reflect', { protocol: udpNumber }), rule('reflect', { protocol: 6 })],
      });
      const withoutRule = await s.send('pod2', there);
      await filter(s, 'pod1', { input: all('deny'), output: all('reflect') });
      return [
        ...withoutRule,
        'any',
        ...(await s.send('pod2', there)),
        ...(await s.send('pod1', back, esp)),
      ];
    },
    expect: ['any', 'pod1: 10.1.1.12 > 10.1.1.11 proto 47', 'pod2: 10.1.1.11 > 10.1.1.12 proto 47'],
  },
  {
    name: 'NP-08 a rule of one family says nothing of the other',
    async run(s) {
      await filter(s, 'pod1', { output: [rule('permit')] });
      return s.send(
        'pod2',
        tcp('10.1.1.12:8000', '10.1.1.11:80'),
        tcp('[fd10:1::12]:8000', '[fd10:1::11]:80'),
      );
    },
    expect: ['pod1: 10.1.1.12:8000 > 10.1.1.11:80 tcp'],
  },
];

for (const kind of process.env.VPP_BIN === undefined ? ['embedded'] : ['embedded', 'vpp']) {
  describe(`packets past filters on the ${kind === 'vpp' ? 'real VPP' : 'embedded data plane'}`, function () {
    this.timeout(60_000);
    let s: PacketSubject;
    before(async () => {
      s = await createSubject(kind as 'embedded' | 'vpp', process.env.VPP_BIN);
      await prepareFilters(s);
      await neighbour(s.vpp, s.index.pod1 ?? 0, 'fd10:1::11', '02:00:00:00:01:02');
    });
    afterEach(() => unfilter(s));
    after(() => s[Symbol.asyncDispose]());

    for (const one of cases)
      it(one.name, async () => assert.deepEqual(await one.run(s), one.expect));

    it('NP-14 the number of open sessions can be read', async () => {
      const open = async () => (await filterSessions(s.vpp)) ?? Number.NaN;
      await filter(s, 'pod1', { output: all('reflect') });
      const before = await open();
      const to = (port: number) => udp('10.1.1.12:9100', `10.1.1.11:${port}`, 'hello');
      await s.send('pod2', to(1), to(2), to(3));
      // Not with the first: two packets that VPP takes up together open a session each.
      await s.send('pod2', to(1));
      assert.equal((await open()) - before, 3);
    });

    it('NP-14 a full table of sessions drops new flows; only TCP that is not established makes room', async () => {
      await using own = await createSubject(kind as 'embedded' | 'vpp', process.env.VPP_BIN);
      await prepareFilters(own);
      const set = (entries: number) =>
        own.vpp.request('cli_inband', {
          cmd: `set acl-plugin session table max-entries ${entries}`,
        });
      await filter(own, 'pod1', { output: all('reflect') });
      // One entry stays free: these are two sessions.
      await set(3);
      const flow = (port: number) => udp(`10.1.1.12:${port}`, '10.1.1.11:53');
      const open = [tcp('10.1.1.12:1', '10.1.1.11:80'), flow(2)];
      const passes = async (packet: Buffer) => (await own.send('pod2', packet)).length === 1;
      const seen: boolean[] = [];
      for (const packet of [...open, flow(3), flow(3), flow(4), flow(4), flow(2)])
        seen.push(await passes(packet));
      assert.deepEqual(seen, [true, true, false, true, false, false, true]);
      await set(5);
      assert.deepEqual([await passes(flow(4)), await passes(flow(5))], [true, true]);
    });

    it('NP-29 each rule counts the packets that met it: of a session only the first', async () => {
      await using stats = createVppStats({ path: s.statsPath, session: () => s });
      const { output } = await filter(s, 'pod1', { input: all('deny'), output: counted });
      const handles = new Map([
        ['web', output[0] ?? 0],
        ['never', 4711],
      ]);
      const seen = async () => {
        await s.counted();
        return (await filterCounters(stats, handles))?.get('web')?.slice(0, counted.length);
      };
      const to = (port: number) => udp('10.1.1.12:9000', `10.1.1.11:${port}`, 'hello');
      const before = await seen();
      // Together with the first, VPP would count a second one, too.
      await s.send('pod2', to(1));
      await s.send('pod2', to(1), to(2), to(2), to(3), to(3), to(4));
      const after = await seen();
      await putAcl(s, counted, output[0]);
      const replaced = await seen();
      await putAcl(s, counted.slice(0, 1), output[0]);
      await s.send('pod2', to(1), udp('10.1.1.12:9001', '10.1.1.11:1', 'hello'));
      const shorter = await seen();
      await s.vpp.request('acl_stats_intf_counters_enable', { enable: false });
      await s.send('pod2', udp('10.1.1.12:9002', '10.1.1.11:1', 'hello'));
      const off = await seen();
      await s.vpp.request('acl_stats_intf_counters_enable', { enable: true });
      // 20 bytes of IPv4, 8 of UDP, 5 of payload; VPP counts the Ethernet header of what it sends.
      const bytes = 47;
      const one = { packets: 1, bytes };
      const two = { packets: 2, bytes: 2 * bytes };
      const none = { packets: 0, bytes: 0 };
      assert.deepEqual(
        { before, after, replaced, shorter, off },
        {
          before: [none, none, none],
          after: [one, two, two],
          replaced: [none, none, none],
          // The session of the first is judged anew; the vector stays as long as it was.
          shorter: [two, none, none],
          off: [two, none, none],
        },
      );
    });
  });
}
