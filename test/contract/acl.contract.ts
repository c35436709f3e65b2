/**
 * Filters as the data path of policies: what VPP's acl plugin does with flows, by the same calls
 * and packets on a real VPP and on the embedded data plane.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'mocha';
import { Protocol } from '../../src/emulator/packet/headers.ts';
import { apiPath, ping, putService, tcp, udp, unset } from '../emulator/rig.ts';
import { all, bind, filter, prepareFilters, putAcl, type Rule, rule, unfilter } from './acl-rig.ts';
import { createSubject, type PacketSubject } from './packet-subject.ts';

interface Case {
  readonly name: string;
  run(s: PacketSubject): Promise<readonly string[]>;
  readonly expect: readonly string[];
}

const fromClient = (n: number): Rule => rule('reflect', { from: `203.0.113.${n}/32` });
const synAck = 18;
const ack = 16;

const cases: Case[] = [
  {
    name: 'NP-14 an answer passes although the list of its direction denies, and nothing else does',
    async run(s) {
      await filter(s, 'pod1', { input: all('reflect'), output: all('deny') });
      const asked = [
        tcp('10.1.1.11:1000', '10.1.1.12:80'),
        udp('10.1.1.11:1001', '10.1.1.12:53'),
        ping('10.1.1.11', '10.1.1.12'),
        tcp('[fd10:1::11]:1002', '[fd10:1::12]:80'),
        udp('[fd10:1::11]:1003', '[fd10:1::12]:53'),
        ping('fd10:1::11', 'fd10:1::12'),
      ];
      const answers = [
        tcp('10.1.1.12:80', '10.1.1.11:1000', synAck),
        udp('10.1.1.12:53', '10.1.1.11:1001'),
        ping('10.1.1.12', '10.1.1.11', 7, true),
        tcp('[fd10:1::12]:80', '[fd10:1::11]:1002', synAck),
        udp('[fd10:1::12]:53', '[fd10:1::11]:1003'),
        ping('fd10:1::12', 'fd10:1::11', 7, true),
      ];
      const others = [
        tcp('10.1.1.12:80', '10.1.1.11:1009', synAck),
        tcp('10.1.1.12:81', '10.1.1.11:1000'),
        ping('10.1.1.12', '10.1.1.11'),
        ping('fd10:1::12', 'fd10:1::11'),
      ];
      return [
        ...(await s.send('pod1', ...asked)),
        ...(await s.send('pod2', ...answers)),
        ...(await s.send('pod2', ...others)),
      ];
    },
    expect: [
      'pod2: 10.1.1.11 > 10.1.1.12 echo 8 id 7',
      'pod2: 10.1.1.11:1000 > 10.1.1.12:80 tcp',
      'pod2: 10.1.1.11:1001 > 10.1.1.12:53 udp',
      'pod2: [fd10:1::11]:1002 > [fd10:1::12]:80 tcp',
      'pod2: [fd10:1::11]:1003 > [fd10:1::12]:53 udp',
      'pod2: fd10:1::11 > fd10:1::12 echo 128 id 7',
      'pod1: 10.1.1.12 > 10.1.1.11 echo 0 id 7',
      'pod1: 10.1.1.12:53 > 10.1.1.11:1001 udp',
      'pod1: 10.1.1.12:80 > 10.1.1.11:1000 tcp',
      'pod1: [fd10:1::12]:53 > [fd10:1::11]:1003 udp',
      'pod1: [fd10:1::12]:80 > [fd10:1::11]:1002 tcp',
      'pod1: fd10:1::12 > fd10:1::11 echo 129 id 7',
    ],
  },
  ...(['exchanged', 'replaced in place'] as const).map(
    (how): Case => ({
      name: `NP-14 NP-25 a list that is ${how} ends what it denies now, and nothing else`,
      async run(s) {
        const lists = { input: all('deny'), output: [fromClient(9), fromClient(10)] };
        const bound = await filter(s, 'pod1', lists);
        const from = (n: number, flags?: number) =>
          tcp(`203.0.113.${n}:2000`, '10.1.1.11:80', flags);
        const to = (n: number) => tcp('10.1.1.11:80', `203.0.113.${n}:2000`, ack);
        const opened = await s.send('uplink', from(9), from(10));
        if (how === 'exchanged')
          await bind(s, s.index.pod1 ?? 0, {
            ...bound,
            output: [await putAcl(s, [fromClient(9), fromClient(11)])],
          });
        else await putAcl(s, [fromClient(9), fromClient(11)], bound.output[0]);
        return [
          ...opened,
          'changed',
          // Only its next packet in the direction that opened a session ends it.
          ...(await s.send('pod1', to(9), to(10))),
          ...(await s.send('uplink', from(9, ack), from(10, ack))),
          ...(await s.send('pod1', to(9), to(10))),
        ];
      },
      expect: [
        'pod1: 203.0.113.10:2000 > 10.1.1.11:80 tcp',
        'pod1: 203.0.113.9:2000 > 10.1.1.11:80 tcp',
        'changed',
        'uplink: 10.1.1.11:80 > 203.0.113.10:2000 tcp',
        'uplink: 10.1.1.11:80 > 203.0.113.9:2000 tcp',
        'pod1: 203.0.113.9:2000 > 10.1.1.11:80 tcp',
        'uplink: 10.1.1.11:80 > 203.0.113.9:2000 tcp',
      ],
    }),
  ),
  {
    name: 'NP-14 what a change has ended may be opened again by its other end, where that is let through',
    async run(s) {
      const bound = await filter(s, 'pod1', { input: all('reflect'), output: all('reflect') });
      const from = udp('10.1.1.12:2100', '10.1.1.11:80');
      const opened = await s.send('pod2', from);
      await putAcl(s, all('deny'), bound.output[0]);
      const ended = await s.send('pod2', from);
      const back = await s.send('pod1', udp('10.1.1.11:80', '10.1.1.12:2100'));
      return [...opened, 'denied', ...ended, ...back, ...(await s.send('pod2', from))];
    },
    expect: [
      'pod1: 10.1.1.12:2100 > 10.1.1.11:80 udp',
      'denied',
      'pod2: 10.1.1.11:80 > 10.1.1.12:2100 udp',
      'pod1: 10.1.1.12:2100 > 10.1.1.11:80 udp',
    ],
  },
  {
    name: 'NP-14 of a session in both directions, each change is judged by the list that opened it',
    async run(s) {
      const bound = await filter(s, 'pod1', { input: all('reflect'), output: all('deny') });
      const there = udp('10.1.1.11:2200', '10.1.1.12:53');
      const back = udp('10.1.1.12:53', '10.1.1.11:2200');
      const opened = await s.send('pod1', there);
      await putAcl(s, all('deny'), bound.input[0]);
      const still = await s.send('pod2', back);
      const ended = [...(await s.send('pod1', there)), ...(await s.send('pod2', back))];
      return [...opened, ...still, 'ended', ...ended];
    },
    expect: [
      'pod2: 10.1.1.11:2200 > 10.1.1.12:53 udp',
      'pod1: 10.1.1.12:53 > 10.1.1.11:2200 udp',
      'ended',
    ],
  },
  {
    name: 'NP-12 egress sees the backend of a Service, not its address; the answer is translated back',
    async run(s) {
      await putService(s.vpp, '10.96.1.1', 80, ['10.1.1.12:8080']);
      const backend = { to: '10.1.1.12/32', protocol: Protocol.tcp, port: 8080 };
      const service = { to: '10.96.1.1/32', protocol: Protocol.tcp, port: 80 };
      await filter(s, 'pod1', { input: [rule('reflect', service)], output: all('deny') });
      const byAddress = await s.send('pod1', tcp('10.1.1.11:3000', '10.96.1.1:80'));
      await filter(s, 'pod1', { input: [rule('reflect', backend)], output: all('deny') });
      await filter(s, 'pod2', {
        input: all('deny'),
        output: [rule('reflect', { ...backend, from: '10.1.1.11/32' })],
      });
      return [
        ...byAddress,
        ...(await s.send('pod1', tcp('10.1.1.11:3001', '10.96.1.1:80'))),
        ...(await s.send('pod2', tcp('10.1.1.12:8080', '10.1.1.11:3001', synAck))),
      ];
    },
    expect: [
      'pod2: 10.1.1.11:3001 > 10.1.1.12:8080 tcp',
      'pod1: 10.96.1.1:80 > 10.1.1.11:3001 tcp',
    ],
  },
  {
    name: 'NP-13 ingress sees the client of a NodePort, and egress whom it talks to behind masquerade',
    async run(s) {
      await putService(s.vpp, '192.0.2.1', 31080, ['10.1.1.11:8080'], { real: true });
      const client = { from: '203.0.113.9/32', protocol: Protocol.tcp, port: 8080 };
      const outside = { to: '203.0.113.9/32', protocol: Protocol.udp, port: 53 };
      await filter(s, 'pod1', {
        input: [rule('reflect', outside)],
        output: [rule('reflect', client)],
      });
      const asked = await s.send('uplink', tcp('203.0.113.9:3100', '192.0.2.1:31080'));
      const other = await s.send('uplink', tcp('203.0.113.8:3100', '192.0.2.1:31080'));
      const answered = await s.send('pod1', tcp('10.1.1.11:8080', '203.0.113.9:3100', synAck));
      const masked = await s.send('pod1', udp('10.1.1.11:3101', '203.0.113.9:53'));
      const port = s.last[0]?.frame.readUInt16BE(34) ?? 0;
      const back = await s.send('uplink', udp('203.0.113.9:53', `192.0.2.1:${port}`));
      return [...asked, ...other, ...answered, ...masked, ...back].map((line) =>
        line.replace(`192.0.2.1:${port} `, '192.0.2.1:* '),
      );
    },
    expect: [
      'pod1: 203.0.113.9:3100 > 10.1.1.11:8080 tcp',
      'uplink: 192.0.2.1:31080 > 203.0.113.9:3100 tcp',
      'uplink: 192.0.2.1:* > 203.0.113.9:53 udp',
      'pod1: 203.0.113.9:53 > 10.1.1.11:3101 udp',
    ],
  },
  {
    name: 'NP-17 a pod that reaches itself by a Service is its own client to its ingress',
    async run(s) {
      await putService(s.vpp, '10.96.1.2', 80, ['10.1.1.11:8080']);
      const others = rule('reflect', { from: '203.0.113.0/24' });
      await filter(s, 'pod1', { input: all('reflect'), output: [others] });
      const denied = await s.send('pod1', tcp('10.1.1.11:3200', '10.96.1.2:80'));
      const self = rule('reflect', { from: '10.1.1.11/32' });
      await filter(s, 'pod1', { input: all('reflect'), output: [others, self] });
      const passed = await s.send('pod1', tcp('10.1.1.11:3201', '10.96.1.2:80'));
      const port = s.last[0]?.frame.readUInt16BE(34) ?? 0;
      const back = await s.send('pod1', tcp('10.1.1.11:8080', `192.0.2.1:${port}`, synAck));
      return [...denied, ...passed, ...back].map((line) =>
        line.replace(`192.0.2.1:${port} `, '192.0.2.1:* '),
      );
    },
    expect: ['pod1: 192.0.2.1:* > 10.1.1.11:8080 tcp', 'pod1: 10.96.1.2:80 > 10.1.1.11:3201 tcp'],
  },
  {
    name: 'NP-15 what a pod sends to its node is judged before it is handed to the host, and what the host sends like any other',
    async run(s) {
      const host = s.index.pod2 ?? 0;
      // To the host nothing is masqueraded.
      const isHost = (is_add: number) =>
        s.vpp.request('cnat_snat_policy_add_del_if', { sw_if_index: host, is_add, table: 3 });
      await isHost(1);
      await s.vpp.request('set_punt', {
        is_add: true,
        punt: { type: 0, punt: { l4: { af: 0, protocol: Protocol.tcp, port: 0xffff } } },
      });
      await s.vpp.request('add_del_ip_punt_redirect_v2', {
        is_add: true,
        punt: {
          rx_sw_if_index: unset,
          af: 0,
          paths: [apiPath({ via: '10.1.1.12', dev: host }, false)],
        },
      });
      const toNode = { to: '192.0.2.1/32', protocol: Protocol.tcp, port: 10250 };
      const fromNode = { from: '192.0.2.1/32', protocol: Protocol.tcp, port: 8080 };
      await filter(s, 'pod1', {
        input: [rule('reflect', toNode)],
        output: [rule('reflect', fromNode)],
      });
      const seen = [
        ...(await s.send('pod1', tcp('10.1.1.11:3300', '192.0.2.1:10250'))),
        ...(await s.send('pod1', tcp('10.1.1.11:3301', '192.0.2.1:22'))),
        ...(await s.send('pod2', tcp('192.0.2.1:10250', '10.1.1.11:3300', synAck))),
        'probe',
        ...(await s.send('pod2', tcp('192.0.2.1:3302', '10.1.1.11:8080'))),
        ...(await s.send('pod1', tcp('10.1.1.11:8080', '192.0.2.1:3302', synAck))),
      ];
      await isHost(0);
      return seen;
    },
    expect: [
      'pod2: 10.1.1.11:3300 > 192.0.2.1:10250 tcp',
      'pod1: 192.0.2.1:10250 > 10.1.1.11:3300 tcp',
      'probe',
      'pod1: 192.0.2.1:3302 > 10.1.1.11:8080 tcp',
      'pod2: 10.1.1.11:8080 > 192.0.2.1:3302 tcp',
    ],
  },
];

/**
 * While lists are exchanged and replaced, packets come: what both allow and what both deny, on
 * new flows and on open ones.
 */
async function changeUnderTraffic(s: PacketSubject): Promise<{ passed: number; denied: number }> {
  const rounds = 40;
  const flows = 8;
  const list = (n: number) => [
    rule('deny', { from: '203.0.113.66/32' }),
    fromClient(100 + n),
    fromClient(9),
  ];
  const bound = await filter(s, 'pod1', { input: all('deny'), output: list(0) });
  const spare = await putAcl(s, list(1));
  let [passed, denied] = [0, 0];
  for (let round = 0; round < rounds; round++) {
    const packets = Array.from({ length: flows }, (_, flow) => [
      udp(`203.0.113.9:${4000 + flow}`, '10.1.1.11:80'),
      udp(`203.0.113.9:${5000 + round * flows + flow}`, '10.1.1.11:80'),
      udp(`203.0.113.66:${4000 + flow}`, '10.1.1.11:80'),
    ]).flat();
    const output = round % 2 === 0 ? [spare] : bound.output;
    const [seen] = await Promise.all([
      s.send('uplink', ...packets),
      bind(s, s.index.pod1 ?? 0, { ...bound, output }),
      putAcl(s, list(round), output[0]),
    ]);
    passed += seen.filter((line) => line.startsWith('pod1: 203.0.113.9:')).length;
    denied += seen.filter((line) => line.includes('203.0.113.66')).length;
  }
  return { passed: passed / (rounds * flows * 2), denied };
}

for (const kind of process.env.VPP_BIN === undefined ? ['embedded'] : ['embedded', 'vpp']) {
  describe(`filters on the ${kind === 'vpp' ? 'real VPP' : 'embedded data plane'}`, function () {
    this.timeout(60_000);
    let s: PacketSubject;
    before(async () => {
      s = await createSubject(kind as 'embedded' | 'vpp', process.env.VPP_BIN);
      await prepareFilters(s);
    });
    afterEach(() => unfilter(s));
    after(() => s[Symbol.asyncDispose]());

    for (const one of cases)
      it(one.name, async () => assert.deepEqual(await one.run(s), one.expect));

    it('NP-25 no change lets through or drops what both its sides would not', async () => {
      assert.deepEqual(await changeUnderTraffic(s), { passed: 1, denied: 0 });
    });
  });
}
