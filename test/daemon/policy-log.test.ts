import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectVpp } from '../../native/vpp-api/client.ts';
import { createFakeClock } from '../../src/core/clock.ts';
import { ip, prefix } from '../../src/core/ip.ts';
import { followDenied, lookMs } from '../../src/daemon/follow-denied.ts';
import {
  createPolicyLog,
  type DeniedFlow,
  explainDenied,
  flowsMax,
  foldMs,
} from '../../src/daemon/policy-log.ts';
import { createEmulator } from '../../src/emulator/emulator.ts';
import type { NetworkPolicy } from '../../src/model/facts.ts';
import { createStore } from '../../src/model/store.ts';
import type { DeniedPacket } from '../../src/vpp/capture-file.ts';
import { createDeniedFlows } from '../../src/vpp/denied-flows.ts';
import { configure, hostNames, openInterface, tcp, unset } from '../emulator/rig.ts';
import { attachment, config, node, pod } from '../facts.ts';

const none = { matchLabels: {}, matchExpressions: [] };

const isolates: NetworkPolicy = {
  key: 'default/only-80',
  uid: 'uid-only-80',
  namespace: 'default',
  podSelector: none,
  policyTypes: ['Ingress', 'Egress'],
  ingress: [{ peers: [], ports: [{ protocol: 'TCP', port: 80 }] }],
  egress: [{ peers: [], ports: [{ protocol: 'TCP', port: 80 }] }],
  mode: 'enforce',
};

function factsOf(policies: readonly NetworkPolicy[] = []) {
  const store = createStore();
  for (const [name, address] of [
    ['web', '10.1.1.11'],
    ['db', '10.1.1.12'],
  ] as const) {
    const one = { ...attachment(name, address), mac: `02:00:00:00:0${name === 'web' ? 1 : 2}:02` };
    store.commit('attachments', [[one.key, one]]);
    const podFact = pod(`default/${name}`, { ips: [ip(address)], uid: one.podUid });
    store.commit('pods', [[podFact.key, podFact]]);
  }
  store.commit('config', [['config', config]]);
  store.commit('nodes', [['n1', node('n1', 1)]]);
  const labels = { 'kubernetes.io/metadata.name': 'default' };
  store.commit('namespaces', [['default', { key: 'default', labels }]]);
  for (const policy of policies) store.commit('policies', [[policy.key, policy]]);
  for (const kind of ['policies', 'clusterPolicies', 'namespaces', 'pods', 'nodes'] as const)
    store.markSynced(kind);
  store.takeSnapshot();
  return store.facts;
}

function packet(given: Partial<DeniedPacket> = {}): DeniedPacket {
  return {
    direction: 'output',
    source: ip('192.0.2.9'),
    destination: ip('10.1.1.11'),
    protocol: 'TCP',
    sourcePort: 1000,
    port: 443,
    sourceMac: '02:00:00:00:01:01',
    destinationMac: '02:00:00:00:01:02',
    bytes: Buffer.alloc(0),
    ...given,
  };
}

/** A log, its lines, and a clock in the hand. */
function logged() {
  let nowMs = 0;
  const lines: string[] = [];
  const asked: DeniedFlow[] = [];
  const policyLog = createPolicyLog({
    facts: factsOf(),
    explainDenied(flow) {
      asked.push(flow);
      return { policies: ['NetworkPolicy/default/p'], verdict: 'no rule allows it' };
    },
    log: (message, fields) => lines.push(`${message} ${JSON.stringify(fields)}`),
    monotonic: () => nowMs,
  });
  return {
    asked,
    take(packets: readonly DeniedPacket[], rate = 10) {
      policyLog.take(packets, rate);
      return lines.splice(0);
    },
    wait(ms: number) {
      nowMs += ms;
    },
  };
}

/** Packets of that many flows. */
const many = (count: number, first = 1) =>
  Array.from({ length: count }, (_, i) => packet({ port: first + i }));

describe('the log of denied flows', () => {
  it('NP-24 says which pod, direction, ends, port, protocol, and whose policies', () => {
    const log = logged();
    assert.deepEqual(log.take([packet()]), [
      'denied {"pod":"default/web","direction":"ingress","from":"192.0.2.9","to":"10.1.1.11","protocol":"TCP","port":443,"policies":["NetworkPolicy/default/p"],"verdict":"no rule allows it","packets":1}',
    ]);
    const sent = packet({
      direction: 'input',
      source: ip('10.1.1.12'),
      destination: ip('10.1.1.11'),
    });
    assert.match(log.take([sent])[0] ?? '', /"pod":"default\/db","direction":"egress"/);
  });

  it('NP-24 knows a pod by its MAC address when it sends from another address', () => {
    const log = logged();
    const forged = packet({
      direction: 'input',
      source: ip('10.9.9.9'),
      sourceMac: '02:00:00:00:02:02',
      destination: ip('192.0.2.9'),
    });
    assert.match(
      log.take([forged])[0] ?? '',
      /"pod":"default\/db","direction":"egress","from":"10\.9\.9\.9"/,
    );
  });

  it('NP-16 says nothing of what is denied elsewhere than at a pod of this node', () => {
    const log = logged();
    const gate = packet({
      direction: 'input',
      destination: ip('10.1.1.11'),
      sourceMac: '02:00:00:00:00:ee',
    });
    assert.deepEqual(log.take([gate]), []);
    assert.deepEqual(log.asked, []);
  });

  it('NP-24 tells a flow once a minute, with the packets in between, whatever its source port', () => {
    const log = logged();
    assert.equal(log.take([packet(), packet({ sourcePort: 1001 })]).length, 1);
    log.wait(foldMs - 1);
    assert.deepEqual(log.take([packet({ sourcePort: 1002 }), packet()]), []);
    log.wait(1);
    const [line, ...more] = log.take([]);
    assert.match(line ?? '', /"packets":2}$/);
    assert.deepEqual(more, []);
    log.wait(foldMs);
    assert.deepEqual(log.take([]), []);
    assert.match(log.take([packet()])[0] ?? '', /"packets":1}$/);
  });

  it('NP-29 asks whose policies it was only for lines that are written', () => {
    const log = logged();
    log.take(Array.from({ length: 50 }, () => packet()));
    assert.equal(log.asked.length, 1);
  });

  it('NP-29 writes no more lines a second than the rate, and says how many flows were left out', () => {
    const log = logged();
    const first = log.take(many(15));
    assert.equal(first.filter((line) => line.startsWith('denied {')).length, 10);
    assert.equal(
      first.at(-1),
      'denied flows left out: more than policy.log.rate {"flows":5,"rate":10}',
    );
    log.wait(500);
    assert.equal(log.take(many(15, 100)).length, 5);
    log.wait(foldMs);
    assert.deepEqual(log.take([]), [
      'denied flows left out: more than policy.log.rate {"flows":10,"rate":10}',
    ]);
  });

  it('NP-29 a flow that was left out is told when there is room', () => {
    const log = logged();
    log.take(many(1), 1);
    assert.equal(log.take(many(1, 2), 1).filter((line) => line.startsWith('denied {')).length, 0);
    log.wait(1000);
    assert.match(log.take(many(1, 2), 1)[0] ?? '', /^denied \{.*"port":2,/);
  });

  it(`NP-29 remembers ${flowsMax} flows`, () => {
    const log = logged();
    const lines = log.take(many(flowsMax + 3), 10_000);
    assert.equal(lines.length, flowsMax + 1);
    assert.match(lines.at(-1) ?? '', /"flows":3,/);
    log.wait(foldMs);
    assert.deepEqual(log.take([]), []);
    assert.equal(log.take(many(3, 60_000), 10_000).length, 3);
  });
});

describe('whose policies deny a flow', () => {
  const flow: DeniedFlow = {
    pod: 'default/web',
    direction: 'ingress',
    from: ip('192.0.2.9'),
    to: ip('10.1.1.11'),
    protocol: 'TCP',
    port: 443,
  };
  const out: DeniedFlow = { ...flow, direction: 'egress', from: flow.to, to: flow.from };

  it('NP-03 names the policies that isolate the pod, for every protocol and direction', () => {
    const facts = factsOf([isolates]);
    for (const one of [
      flow,
      out,
      { ...flow, protocol: 'UDP', port: 80 },
      { ...flow, protocol: 'SCTP', port: undefined },
      { ...flow, protocol: 'ICMP', port: 8 },
      { ...flow, protocol: '47', port: undefined },
    ])
      assert.deepEqual(explainDenied(facts, one), {
        policies: ['NetworkPolicy/default/only-80'],
        verdict: 'no rule of NetworkPolicy/default/only-80 allows it',
      });
  });

  it('NP-26 says so when the policies of now would let it pass, or the pod has gone', () => {
    const { policies, verdict } = explainDenied(factsOf(), flow);
    assert.deepEqual(policies, []);
    assert.match(verdict, /^no policy of now denies it: /);
    assert.deepEqual(explainDenied(factsOf(), { ...flow, pod: 'default/gone' }), {
      policies: [],
      verdict: 'the pod is not known',
    });
  });
});

describe('denied packets on their way into the log', () => {
  const permit80 = {
    is_permit: 2,
    src_prefix: prefix('0.0.0.0/0'),
    dst_prefix: prefix('0.0.0.0/0'),
    proto: 6,
    srcport_or_icmptype_first: 0,
    srcport_or_icmptype_last: 65535,
    dstport_or_icmpcode_first: 80,
    dstport_or_icmpcode_last: 80,
    tcp_flags_mask: 0,
    tcp_flags_value: 0,
  };

  it('NP-24 a denied packet is a line within a second; nothing is, before and after it is wanted', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'kvr-denied-'));
    const clock = createFakeClock();
    const emulator = createEmulator({ clock, tmpDirectory: directory });
    const vpp = await connectVpp({ stream: emulator.connect(), name: 'test' });
    const index: Record<string, number> = {};
    for (const [name, hostName] of Object.entries(hostNames)) {
      emulator.addPort(hostName);
      index[name] = await openInterface(vpp, name, hostName);
    }
    await configure(vpp, index);
    const { acl_index } = await vpp.request('acl_add_replace', {
      acl_index: unset,
      tag: '',
      r: [permit80],
    });
    await vpp.request('acl_interface_set_acl_list', {
      sw_if_index: index.pod1 ?? 0,
      n_input: 1,
      acls: [acl_index],
    });
    const facts = factsOf([isolates]);
    const lines: object[] = [];
    const stop = new AbortController();
    let enabled = false;
    const sum = () => [...emulator.plane.drops.denied.values()].reduce((a, b) => a + b, 0);
    const denied = createDeniedFlows({
      connection: () => vpp,
      denied: async () => sum(),
      directory,
      monotonic: clock.monotonic,
      log: (message) => assert.fail(message),
    });
    let looks = 0;
    const following = followDenied({
      denied: {
        ...denied,
        async look(wanted, pace) {
          const found = await denied.look(wanted, pace);
          looks++;
          return found;
        },
      },
      policyLog: createPolicyLog({
        facts,
        explainDenied: (flow) => explainDenied(facts, flow),
        log: (_message, fields) => lines.push(fields),
        monotonic: clock.monotonic,
      }),
      refuser: { take: () => assert.fail('refuses without being asked to') },
      wanted: () => ({ denied: 'drop', log: { enabled, rate: 10 } }),
      onError: (error) => assert.fail(String(error)),
      clock,
      signal: stop.signal,
    });
    const deny = (port: number) =>
      emulator.inject('pod1', tcp('10.1.1.11:1000', `10.1.1.12:${port}`));
    /** A look asks the disk, too, which the clock knows nothing of. */
    const look = async () => {
      const before = looks;
      await clock.advance(lookMs);
      while (looks === before) await new Promise((done) => setImmediate(done));
    };
    deny(441);
    await look();
    enabled = true;
    await look();
    deny(442);
    await look();
    assert.deepEqual(lines, [
      {
        pod: 'default/web',
        direction: 'egress',
        from: '10.1.1.11',
        to: '10.1.1.12',
        protocol: 'TCP',
        port: 442,
        policies: ['NetworkPolicy/default/only-80'],
        verdict: 'no rule of NetworkPolicy/default/only-80 allows it',
        packets: 1,
      },
    ]);
    enabled = false;
    await look();
    deny(443);
    await look();
    assert.equal(lines.length, 1);
    stop.abort();
    await following;
    await denied[Symbol.asyncDispose]();
    assert.equal(emulator.plane.drops.capture, undefined);
    assert.deepEqual(await readdir(directory), []);
    await vpp[Symbol.asyncDispose]();
    await emulator[Symbol.asyncDispose]();
    await rm(directory, { recursive: true });
  });
});
