import assert from 'node:assert/strict';
import { createFakeClock } from '../../src/core/clock.ts';
import { type Ip, ip } from '../../src/core/ip.ts';
import {
  type DeniedWishes,
  followDenied,
  lookMs,
  refuseLookMs,
} from '../../src/daemon/follow-denied.ts';
import { createFrontendIndex } from '../../src/daemon/frontend-index.ts';
import {
  createRefuser,
  frontendsMax,
  refusalsPerSecond,
  silenceMs,
} from '../../src/daemon/refuse-denied.ts';
import type { TranslationRow } from '../../src/desired/rows.ts';
import type { NetworkPolicy } from '../../src/model/facts.ts';
import { createStore } from '../../src/model/store.ts';
import type { DeniedPacket } from '../../src/vpp/capture-file.ts';
import { showL3, tcp } from '../emulator/rig.ts';
import { attachment, config, node, pod, uplink } from '../facts.ts';

const only80: NetworkPolicy = {
  key: 'default/only-80',
  uid: 'uid-only-80',
  namespace: 'default',
  podSelector: { matchLabels: {}, matchExpressions: [] },
  policyTypes: ['Ingress', 'Egress'],
  ingress: [{ peers: [], ports: [{ protocol: 'TCP', port: 80 }] }],
  egress: [{ peers: [], ports: [{ protocol: 'TCP', port: 80 }] }],
  mode: 'enforce',
};

function createWorld(policies: readonly NetworkPolicy[] = [only80]) {
  const store = createStore();
  const web = attachment('web', '10.1.1.11');
  store.commit('attachments', [[web.key, web]]);
  const ips = web.ips;
  store.commit('pods', [['default/web', pod('default/web', { ips, uid: web.podUid })]]);
  store.commit('config', [['config', config]]);
  store.commit('nodes', [['n1', node('n1', 1)]]);
  store.replace('uplink', new Map([['uplink', uplink]]));
  const labels = { 'kubernetes.io/metadata.name': 'default' };
  store.commit('namespaces', [['default', { key: 'default', labels }]]);
  for (const policy of policies) store.commit('policies', [[policy.key, policy]]);
  for (const kind of ['policies', 'clusterPolicies', 'namespaces', 'pods', 'nodes'] as const)
    store.markSynced(kind);
  store.takeSnapshot();
  return store;
}

/** A refuser, what it sent, and a clock in the hand. */
function refusing(store = createWorld(), translations: readonly TranslationRow[] = []) {
  let nowMs = 0;
  const sent: string[] = [];
  const said: string[] = [];
  const state = { broken: false };
  const refuser = createRefuser({
    facts: store.facts,
    frontends: createFrontendIndex(
      () => translations,
      () => nowMs,
    ),
    send({ packet, to }) {
      if (state.broken) throw new Error('EPERM');
      sent.push(`${to}: ${showL3(packet)}`);
    },
    monotonic: () => nowMs,
    log: (message, error) => said.push(`${message}: ${error}`),
  });
  return {
    sent,
    said,
    state,
    take: (...packets: readonly DeniedPacket[]) => refuser.take(packets),
    pass(ms: number) {
      nowMs += ms;
    },
  };
}

const podMac = '02:00:00:00:01:01';
const gatewayMac = '02:00:00:00:01:02';

/** A SYN from the pod to somewhere. */
function outgoing(given: Partial<DeniedPacket> = {}): DeniedPacket {
  const packet = {
    direction: 'input',
    source: ip('10.1.1.11'),
    sourcePort: 1000,
    destination: ip('10.9.9.9'),
    port: 443,
    protocol: 'TCP',
    sourceMac: podMac,
    destinationMac: gatewayMac,
    ...given,
  } as const;
  const end = (address: Ip, port = 0) => `${address}:${port}`;
  const bytes = tcp(end(packet.source, packet.sourcePort), end(packet.destination, packet.port));
  return { ...packet, bytes };
}

/** A SYN to the pod from somewhere. */
const incoming = (given: Partial<DeniedPacket> = {}) =>
  outgoing({
    direction: 'output',
    source: ip('10.9.9.9'),
    destination: ip('10.1.1.11'),
    sourceMac: gatewayMac,
    destinationMac: podMac,
    ...given,
  });

const told = '192.0.2.1 > 10.1.1.11 icmp 3/13 (10.1.1.11:1000 > 10.9.9.9:443 tcp)';

describe('who is refused', () => {
  it('NP-24 the sender, when its own policies or those of the receiver deny', () => {
    const world = refusing();
    world.take(outgoing(), incoming());
    assert.deepEqual(world.sent, [
      `10.1.1.11: ${told}`,
      '10.9.9.9: 192.0.2.1 > 10.9.9.9 icmp 3/13 (10.9.9.9:1000 > 10.1.1.11:443 tcp)',
    ]);
  });

  const silent: readonly (readonly [string, DeniedPacket])[] = [
    [
      'what a neighbour sends with the address of a pod',
      outgoing({ sourceMac: '02:00:00:00:00:99' }),
    ],
    [
      'what a neighbour sends with both addresses',
      outgoing({ destinationMac: '02:00:00:00:00:01' }),
    ],
    ['what is not to the pod', incoming({ destinationMac: '02:00:00:00:00:99' })],
    ['what is of no pod', outgoing({ source: ip('10.1.1.99') })],
    ['what the policies of now allow', outgoing({ port: 80 })],
  ];
  for (const [name, packet] of silent)
    it(`NP-24 not ${name}`, () => {
      const world = refusing();
      world.take(packet);
      assert.deepEqual(world.sent, []);
    });

  it('NP-26 nobody whom no policy denies any more', () => {
    const world = refusing(createWorld([]));
    world.take(outgoing());
    assert.deepEqual(world.sent, []);
  });

  it('NP-19 nobody while the pod is not known: it may be let in a moment later', () => {
    const store = createWorld();
    store.commit('pods', [['default/web', undefined]]);
    store.takeSnapshot();
    const world = refusing(store);
    world.take(outgoing());
    assert.deepEqual(world.sent, []);
  });
});

describe('how often', () => {
  it(`NP-24 a flow once in ${silenceMs} ms`, () => {
    const world = refusing();
    const takeAfter = (ms: number) => {
      world.pass(ms);
      world.take(outgoing(), outgoing());
      return world.sent.length;
    };
    assert.deepEqual([0, 1, silenceMs - 2, 1, 1].map(takeAfter), [1, 1, 1, 2, 2]);
  });

  it(`NP-29 ${refusalsPerSecond} in any second, of all flows together`, () => {
    const world = refusing();
    const many = (first: number) =>
      Array.from({ length: 5000 }, (_, i) => outgoing({ sourcePort: first + i }));
    world.take(...many(1000));
    world.pass(silenceMs - 1);
    world.take(...many(6000));
    assert.equal(world.sent.length, refusalsPerSecond);
    world.pass(1);
    world.take(...many(11_000));
    assert.equal(world.sent.length, 2 * refusalsPerSecond);
  });

  it('says once why it cannot send', () => {
    const world = refusing();
    world.state.broken = true;
    for (let i = 0; i < 3; i++) world.take(outgoing({ sourcePort: 1000 + i }));
    assert.deepEqual(world.said, ['denied packets are not refused: Error: EPERM']);
  });
});

describe('when the daemon looks', () => {
  it('NP-24 ten times a second to refuse, once for the log, and does what is asked for', async () => {
    const clock = createFakeClock();
    const stop = new AbortController();
    const done: string[] = [];
    let wishes: DeniedWishes = { denied: 'drop', log: { enabled: false, rate: 10 } };
    const following = followDenied({
      denied: {
        async look(wanted, pace) {
          done.push(`look ${wanted} ${pace}`);
          return [];
        },
        [Symbol.asyncDispose]: async () => undefined,
      },
      policyLog: { take: () => done.push('log') } as never,
      refuser: { take: () => done.push('refuse') },
      wanted: () => wishes,
      onError: (error) => assert.fail(String(error)),
      clock,
      signal: stop.signal,
    });
    const during = async (ms: number, next: DeniedWishes) => {
      wishes = next;
      await clock.advance(lookMs);
      done.length = 0;
      for (let passed = 0; passed < ms; passed += refuseLookMs) await clock.advance(refuseLookMs);
      return done.splice(0);
    };
    const log = (enabled: boolean) => ({ enabled, rate: 10 });
    assert.deepEqual(await during(1000, { denied: 'drop', log: log(true) }), [
      'look true seldom',
      'log',
    ]);
    assert.deepEqual(await during(200, { denied: 'refuse', log: log(false) }), [
      ...['look true often', 'refuse'],
      ...['look true often', 'refuse'],
    ]);
    assert.deepEqual(await during(100, { denied: 'refuse', log: log(true) }), [
      'look true often',
      'refuse',
      'log',
    ]);
    assert.deepEqual(await during(1000, { denied: 'drop', log: log(false) }), [
      'look false seldom',
    ]);
    stop.abort();
    await following;
  });
});

describe('clients of Services', () => {
  const frontend = (vip: string, more: Partial<TranslationRow> = {}): TranslationRow => ({
    vip: ip(vip),
    port: 80,
    protocol: 'TCP',
    nodeAddress: false,
    affinityEpoch: undefined,
    backends: [{ ip: ip('10.9.9.9'), port: 443 }],
    service: 'default/web:http',
    ...more,
  });
  const about = (sent: readonly string[]) =>
    sent.map((line) => /> (\S+) tcp\)$/.exec(line)?.[1] ?? line);

  it('NP-12 are told of each frontend that leads there, and of no other', () => {
    const world = refusing(createWorld(), [
      frontend('192.0.2.1', { port: 30_080, nodeAddress: true }),
      frontend('10.96.0.10'),
      frontend('10.96.0.11', { backends: [{ ip: ip('10.9.9.9'), port: 8443 }] }),
      frontend('10.96.0.12', { protocol: 'UDP' }),
      frontend('10.96.0.13', { backends: [{ ip: ip('10.9.9.8'), port: 443 }] }),
    ]);
    world.take(outgoing());
    assert.deepEqual(about(world.sent), ['10.9.9.9:443', '10.96.0.10:80', '192.0.2.1:30080']);
  });

  it(`NP-29 of ${frontendsMax} at most, and each answer counts`, () => {
    const frontends = Array.from({ length: 20 }, (_, i) => frontend(`10.96.0.${i + 1}`));
    const world = refusing(createWorld(), frontends);
    world.take(outgoing());
    assert.equal(world.sent.length, 1 + frontendsMax);
    world.take(...Array.from({ length: 50 }, (_, i) => outgoing({ sourcePort: 2000 + i })));
    assert.equal(world.sent.length, refusalsPerSecond);
  });
});
