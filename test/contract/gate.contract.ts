/**
 * The gate: filters that see packets before translation, and translation behind them, on a
 * loopback. The same calls and packets on a real VPP and on the embedded data plane.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'mocha';
import { VppError } from '../../native/vpp-api/errors.ts';
import { prefix } from '../../src/core/ip.ts';
import { apiPath, icmpAbout, ping, putService, route, tcp, udp, unset } from '../emulator/rig.ts';
import { createSubject, type PacketSubject } from './packet-subject.ts';

const FibPathType = { interfaceRx: 9 } as const;
const cnatOnInput = ['lookup', 'input'];
const policies = { 4: 44, 6: 66 } as const;

async function setFeature(
  s: PacketSubject,
  on: number,
  name: string,
  arc: string,
  enable: boolean,
) {
  await s.vpp.request('feature_enable_disable', {
    sw_if_index: on,
    enable,
    arc_name: arc,
    feature_name: name,
  });
}

const isEnabled = async (s: PacketSubject, on: number, name: string, arc: string) =>
  (
    await s.vpp.request('feature_is_enabled', {
      sw_if_index: on,
      arc_name: arc,
      feature_name: name,
    })
  ).is_enabled;

function rule(isPermit: number, target: string, port?: number) {
  return {
    is_permit: isPermit,
    src_prefix: prefix(target.includes(':') ? '::/0' : '0.0.0.0/0'),
    dst_prefix: prefix(target),
    proto: port === undefined ? 0 : 6,
    srcport_or_icmptype_first: 0,
    srcport_or_icmptype_last: 65535,
    dstport_or_icmpcode_first: port ?? 0,
    dstport_or_icmpcode_last: port ?? 65535,
    tcp_flags_mask: 0,
    tcp_flags_value: 0,
  };
}

async function acl(s: PacketSubject, ...r: ReturnType<typeof rule>[]): Promise<number> {
  return (await s.vpp.request('acl_add_replace', { acl_index: unset, tag: 'gate', r })).acl_index;
}

const retvalOf = (asked: Promise<unknown>): Promise<number> =>
  asked.then(
    () => 0,
    (error: unknown) => (error instanceof VppError ? error.retval : -999),
  );

/** Moves cnat's input features from the uplink to a loopback that all its packets go through. */
async function openGate(s: PacketSubject): Promise<{ gate: number; everything: number }> {
  const uplink = s.index.uplink ?? 0;
  const { sw_if_index: gate } = await s.vpp.request('create_loopback_instance', {
    mac_address: '02:fe:00:00:00:07',
    is_specified: true,
    user_instance: 7,
  });
  await s.vpp.request('sw_interface_set_unnumbered', {
    sw_if_index: uplink,
    unnumbered_sw_if_index: gate,
    is_add: true,
  });
  await s.vpp.request('sw_interface_ip6_enable_disable', { sw_if_index: gate, enable: true });
  await s.vpp.request('sw_interface_set_flags', { sw_if_index: gate, flags: 1 });
  const everything = await acl(s, rule(1, '0.0.0.0/0'), rule(1, '::/0'));
  for (const family of [4, 6] as const) {
    for (const name of cnatOnInput) {
      const feature = `cnat-${name}-ip${family}`;
      await setFeature(s, gate, feature, `ip${family}-unicast`, true);
      await setFeature(s, uplink, feature, `ip${family}-unicast`, false);
    }
    const path = apiPath({ dev: gate, type: FibPathType.interfaceRx }, family === 6);
    await s.vpp.request('abf_policy_add_del', {
      is_add: true,
      policy: { policy_id: policies[family], acl_index: everything, paths: [path] },
    });
    await s.vpp.request('abf_itf_attach_add_del', {
      is_add: true,
      attach: {
        policy_id: policies[family],
        sw_if_index: uplink,
        priority: 1,
        is_ipv6: family === 6,
      },
    });
  }
  return { gate, everything };
}

for (const kind of process.env.VPP_BIN === undefined ? ['embedded'] : ['embedded', 'vpp']) {
  describe(`the gate on the ${kind === 'vpp' ? 'real VPP' : 'embedded data plane'}`, function () {
    this.timeout(60_000);
    let s: PacketSubject;
    let gate = 0;
    before(async () => {
      s = await createSubject(kind as 'embedded' | 'vpp', process.env.VPP_BIN);
      ({ gate } = await openGate(s));
    });
    after(() => s[Symbol.asyncDispose]());

    it('has each feature of cnat on or off by itself', async () => {
      const seen: string[] = [];
      for (const [who, on] of [
        ['gate', gate],
        ['uplink', s.index.uplink ?? 0],
      ] as const)
        for (const family of [4, 6])
          for (const name of cnatOnInput)
            if (await isEnabled(s, on, `cnat-${name}-ip${family}`, `ip${family}-unicast`))
              seen.push(`${who} ${name}${family}`);
      assert.deepEqual(seen, ['gate lookup4', 'gate input4', 'gate lookup6', 'gate input6']);
    });

    it('counts a feature that is enabled twice', async () => {
      const [name, arc] = ['cnat-input-ip4', 'ip4-unicast'];
      await setFeature(s, gate, name, arc, true);
      await setFeature(s, gate, name, arc, false);
      assert.equal(await isEnabled(s, gate, name, arc), true);
    });

    it('translates what comes in at the uplink behind the gate, and the answers', async () => {
      await putService(s.vpp, '192.0.2.1', 30080, ['10.1.1.11:8080'], { real: true });
      await putService(s.vpp, 'fd96::10', 80, ['[fd10:1::11]:8080']);
      assert.deepEqual(
        [
          ...(await s.send('uplink', tcp('203.0.113.9:5000', '192.0.2.1:30080'))),
          ...(await s.send('pod1', tcp('10.1.1.11:8080', '203.0.113.9:5000', 18))),
          ...(await s.send('uplink', tcp('[2001:db8:5::9]:5000', '[fd96::10]:80'))),
          ...(await s.send('pod1', tcp('[fd10:1::11]:8080', '[2001:db8:5::9]:5000', 18))),
        ],
        [
          'pod1: 203.0.113.9:5000 > 10.1.1.11:8080 tcp',
          'uplink: 192.0.2.1:30080 > 203.0.113.9:5000 tcp',
          'pod1: [2001:db8:5::9]:5000 > [fd10:1::11]:8080 tcp',
          'uplink: [fd96::10]:80 > [2001:db8:5::9]:5000 tcp',
        ],
      );
    });

    it('takes one hop off the hop limit, not two', async () => {
      await s.send('uplink', udp('203.0.113.9:5100', '10.1.1.11:99', 'x', { ttl: 9 }));
      assert.equal(s.last[0]?.frame[14 + 8], 8);
    });

    it('receives again what is for the own address', async () => {
      assert.deepEqual(await s.send('uplink', ping('203.0.113.9', '192.0.2.1')), [
        'uplink: 192.0.2.1 > 203.0.113.9 echo 0 id 7',
      ]);
    });

    it('filters by the address as it came, not as it is translated', async () => {
      await putService(s.vpp, '192.0.2.1', 30081, ['10.1.1.11:8081'], { real: true });
      const vip = await acl(s, rule(0, '192.0.2.1/32', 30081), rule(1, '0.0.0.0/0'));
      const backend = await acl(s, rule(0, '10.1.1.11/32', 8081), rule(1, '0.0.0.0/0'));
      const bind = (...acls: number[]) =>
        s.vpp.request('acl_interface_set_acl_list', {
          sw_if_index: s.index.uplink ?? 0,
          n_input: acls.length,
          acls,
        });
      await bind(vip);
      const byVip = await s.send('uplink', tcp('203.0.113.9:5200', '192.0.2.1:30081'));
      await bind(backend);
      const byBackend = await s.send('uplink', tcp('203.0.113.9:5201', '192.0.2.1:30081'));
      await bind();
      assert.deepEqual([byVip, byBackend], [[], ['pod1: 203.0.113.9:5201 > 10.1.1.11:8081 tcp']]);
    });

    it('NP-12 behind a gate a pod is filtered by what it asks for, and its answers by who gives them', async () => {
      const pod1 = s.index.pod1 ?? 0;
      const bind = (swIfIndex: number, input: readonly number[], output: readonly number[]) =>
        s.vpp.request('acl_interface_set_acl_list', {
          sw_if_index: swIfIndex,
          n_input: input.length,
          acls: [...input, ...output],
        });
      const attach = (is_add: boolean) =>
        s.vpp.request('abf_itf_attach_add_del', {
          is_add,
          attach: { policy_id: policies[4], sw_if_index: pod1, priority: 1, is_ipv6: false },
        });
      const onPod = async (enable: boolean) => {
        for (const name of cnatOnInput)
          await setFeature(s, pod1, `cnat-${name}-ip4`, 'ip4-unicast', enable);
      };
      await putService(s.vpp, '10.96.1.9', 80, ['10.1.1.12:8080']);
      const reflect = 2;
      const toService = await acl(s, rule(reflect, '10.96.1.9/32', 80));
      const toBackend = await acl(s, rule(reflect, '10.1.1.12/32', 8080));
      const nothing = await acl(s, rule(0, '0.0.0.0/0'));
      await attach(true);
      await onPod(false);
      const exchange = async (port: number) => [
        ...(await s.send('pod1', tcp(`10.1.1.11:${port}`, '10.96.1.9:80'))),
        ...(await s.send('pod2', tcp('10.1.1.12:8080', `10.1.1.11:${port}`, 18))),
      ];
      await bind(pod1, [toBackend], [nothing]);
      const byBackend = await exchange(5600);
      await bind(pod1, [toService], [nothing]);
      const byService = await exchange(5601);
      await bind(pod1, [], []);
      await bind(gate, [toBackend], []);
      const atGate = await exchange(5602);
      await bind(gate, [], []);
      await onPod(true);
      await attach(false);
      const asked = (port: number) => `pod2: 10.1.1.11:${port} > 10.1.1.12:8080 tcp`;
      const answered = (port: number) => `pod1: 10.96.1.9:80 > 10.1.1.11:${port} tcp`;
      // The session is of the Service's address, and the answer comes from the backend: denied.
      assert.deepEqual(
        [byBackend, byService, atGate],
        [[], [asked(5601)], [asked(5602), answered(5602)]],
      );
    });

    it('asks the attachment with the lower priority first, and passes on what none permits', async () => {
      const uplink = s.index.uplink ?? 0;
      const some = await acl(s, rule(0, '10.1.1.12/32'), rule(1, '10.1.1.0/24'));
      const path = apiPath({ via: '10.1.1.12', dev: s.index.pod2 ?? 0 }, false);
      await s.vpp.request('abf_policy_add_del', {
        is_add: true,
        policy: { policy_id: 45, acl_index: some, paths: [path] },
      });
      const attach = (isAdd: boolean) =>
        s.vpp.request('abf_itf_attach_add_del', {
          is_add: isAdd,
          attach: { policy_id: 45, sw_if_index: uplink, priority: 0, is_ipv6: false },
        });
      await attach(true);
      const first = await s.send('uplink', udp('203.0.113.9:5300', '10.1.1.11:99'));
      const denied = await s.send('uplink', udp('203.0.113.9:5300', '10.1.1.12:99'));
      await attach(false);
      const then = await s.send('uplink', udp('203.0.113.9:5301', '10.1.1.11:99'));
      assert.deepEqual(
        [...first, ...denied, ...then],
        [
          'pod2: 203.0.113.9:5300 > 10.1.1.11:99 udp',
          'pod2: 203.0.113.9:5300 > 10.1.1.12:99 udp',
          'pod1: 203.0.113.9:5301 > 10.1.1.11:99 udp',
        ],
      );
    });

    it('receives a packet again by a route', async () => {
      await route(s.vpp, '10.98.0.0/24', [{ dev: gate, type: FibPathType.interfaceRx }]);
      const deny = await acl(s, rule(0, '10.98.0.2/32'), rule(1, '0.0.0.0/0'));
      await putService(s.vpp, '10.98.0.1', 80, ['10.1.1.12:80']);
      await putService(s.vpp, '10.98.0.2', 80, ['10.1.1.12:80']);
      const at = { sw_if_index: gate, n_input: 1, acls: [deny] };
      await s.vpp.request('acl_interface_set_acl_list', at);
      const through = await s.send('uplink', tcp('203.0.113.9:5400', '10.98.0.1:80'));
      await s.vpp.request('acl_interface_set_acl_list', { ...at, n_input: 0, acls: [] });
      assert.deepEqual(through, ['pod2: 203.0.113.9:5400 > 10.1.1.12:80 tcp']);
    });

    it('answers in the name of the VIP what an end without a listener refuses', async () => {
      await route(s.vpp, '169.254.1.2/32', [{ via: '10.1.1.12', dev: s.index.pod2 ?? 0 }]);
      const own = prefix('169.254.1.2/32');
      await s.vpp.request('cnat_snat_policy_add_del_exclude_pfx', { is_add: 1, prefix: own });
      await putService(s.vpp, '10.96.0.20', 80, ['169.254.1.2:1']);
      await putService(s.vpp, '10.96.0.20', 53, ['169.254.1.2:1'], { protocol: 17 });
      const about = udp('10.1.1.11:1701', '169.254.1.2:1');
      assert.deepEqual(
        [
          ...(await s.send('pod1', tcp('10.1.1.11:1700', '10.96.0.20:80'))),
          ...(await s.send('pod2', tcp('169.254.1.2:1', '10.1.1.11:1700', 0x14))),
          ...(await s.send('pod1', udp('10.1.1.11:1701', '10.96.0.20:53'))),
          ...(await s.send('pod2', icmpAbout('169.254.1.2', '10.1.1.11', 3, 3, about))),
        ],
        [
          'pod2: 10.1.1.11:1700 > 169.254.1.2:1 tcp',
          'pod1: 10.96.0.20:80 > 10.1.1.11:1700 tcp',
          'pod2: 10.1.1.11:1701 > 169.254.1.2:1 udp',
          'pod1: 10.96.0.20 > 10.1.1.11 icmp 3/3 (10.1.1.11:1701 > 10.96.0.20:53 udp)',
        ],
      );
    });

    it('gives the return values of VPP', async () => {
      const uplink = s.index.uplink ?? 0;
      const attach = (policy_id: number, is_ipv6: boolean, is_add: boolean, on = uplink) =>
        retvalOf(
          s.vpp.request('abf_itf_attach_add_del', {
            is_add,
            attach: { policy_id, sw_if_index: on, priority: 0, is_ipv6 },
          }),
        );
      const policy = (policy_id: number, is_add: boolean, paths: number) =>
        retvalOf(
          s.vpp.request('abf_policy_add_del', {
            is_add,
            policy: {
              policy_id,
              acl_index: 0,
              paths: Array.from({ length: paths }, () =>
                apiPath({ dev: gate, type: FibPathType.interfaceRx }, false),
              ),
            },
          }),
        );
      assert.deepEqual(
        {
          attachedTwice: await attach(policies[4], false, true),
          otherFamily: await attach(policies[4], true, true),
          unknownInterface: await attach(policies[4], false, true, 4711),
          notAttached: await attach(4711, false, false),
          noPaths: await policy(4712, true, 0),
          unknownPolicy: await policy(4711, false, 1),
        },
        {
          attachedTwice: -116,
          otherFamily: -116,
          unknownInterface: 0,
          notAttached: -6,
          noPaths: -7,
          unknownPolicy: -7,
        },
      );
    });

    it('keeps sessions of a removed path while the scan is off', async () => {
      const scanner = (state: string) =>
        s.vpp.request('cli_inband', { cmd: `test cnat scanner ${state}` });
      const at = udp('10.1.1.11:1801', '10.96.0.21:53');
      await scanner('off');
      await putService(s.vpp, '10.96.0.21', 53, ['10.1.1.12:53'], { protocol: 17 });
      const before = await s.send('pod1', Buffer.from(at));
      await putService(s.vpp, '10.96.0.21', 53, ['10.1.1.11:53'], { protocol: 17 });
      const during = await s.send('pod1', Buffer.from(at));
      await scanner('on');
      assert.deepEqual(
        [before, during],
        [['pod2: 10.1.1.11:1801 > 10.1.1.12:53 udp'], ['pod2: 10.1.1.11:1801 > 10.1.1.12:53 udp']],
      );
    });

    it('stops and starts the scan of sessions by a command', async () => {
      for (const state of ['off', 'on']) {
        const said = await s.vpp.request('cli_inband', { cmd: `test cnat scanner ${state}` });
        assert.equal(said.reply, '');
      }
    });
  });
}
