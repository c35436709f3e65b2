import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type Ip, ip } from '../../src/core/ip.ts';
import type { LabelSelector, NetworkPolicy, Pod, PodSelector } from '../../src/model/facts.ts';
import { selects } from '../../src/model/labels.ts';
import {
  type Bucket,
  isPeer,
  selectionId,
  selectorsOfClusterPolicy,
  selectorsOfPolicy,
} from '../../src/model/selections.ts';
import { createStore, type Facts, type FactTypes, type Store } from '../../src/model/store.ts';
import { attachment, clusterPolicy, namespace, networkPolicy, pod, selector } from '../facts.ts';

type Kind = 'pods' | 'attachments' | 'namespaces' | 'policies' | 'clusterPolicies';
type Event = {
  [K in Kind]: readonly [kind: K, key: string, fact: FactTypes[K] | undefined];
}[Kind];

const spaces = ['a', 'b'] as const;
const values = fc.constantFrom('x', 'y');
const someLabels = fc.dictionary(fc.constantFrom('app', 'tier'), values, { maxKeys: 2 });
const someSelector: fc.Arbitrary<LabelSelector> = fc.record({
  matchLabels: someLabels,
  matchExpressions: fc.array(
    fc.record({
      key: fc.constantFrom('app', 'tier'),
      operator: fc.constantFrom('In', 'NotIn', 'Exists', 'DoesNotExist'),
      values: fc.subarray(['x', 'y']),
    }),
    { maxLength: 1 },
  ),
});
const somePorts = fc.subarray([
  { name: 'web', protocol: 'TCP', containerPort: 80, hostPort: 0, hostIp: '' },
  { name: 'dns', protocol: 'UDP', containerPort: 53, hostPort: 0, hostIp: '' },
  { name: '', protocol: 'TCP', containerPort: 9090, hostPort: 0, hostIp: '' },
] as const);
const podKey = fc
  .tuple(fc.constantFrom(...spaces), fc.constantFrom('p', 'q'))
  .map((names) => names.join('/'));
const someIps = fc.subarray(
  ['10.244.1.5', '10.244.1.6', '10.244.2.5', 'fd00::5', 'fd00::6'].map(ip),
);
const mirror = 'kubernetes.io/config.mirror';
const podEvent = fc
  .record({
    key: podKey,
    uid: fc.constantFrom('u1', 'u1', 'u2'),
    annotations: fc.constantFrom({}, {}, { [mirror]: 'u2' }),
    labels: someLabels,
    hostNetwork: fc.constantFrom(false, false, true),
    phase: fc.constantFrom('Pending', 'Running', 'Running', 'Succeeded', 'Failed'),
    ips: someIps,
    ports: somePorts,
    ready: fc.boolean(),
    keep: fc.boolean(),
  })
  .map(({ key, keep, ...given }): Event => ['pods', key, keep ? pod(key, given) : undefined]);
const attachmentEvent = fc
  .record({
    name: fc.constantFrom('veth-a', 'veth-b', 'veth-c'),
    pod: podKey,
    podUid: fc.constantFrom('u1', 'u1', 'u2', ''),
    ips: someIps,
    keep: fc.boolean(),
  })
  .map(({ name, keep, ...given }): Event => {
    const fact = { ...attachment(name, '10.244.1.5'), ...given };
    return ['attachments', fact.key, keep ? fact : undefined];
  });
const namespaceEvent = fc
  .tuple(fc.constantFrom(...spaces), someLabels, fc.boolean())
  .map(
    ([key, labels, keep]): Event => ['namespaces', key, keep ? namespace(key, labels) : undefined],
  );
const somePeer = fc.oneof(
  someSelector.map((podSelector) => ({ podSelector })),
  someSelector.map((namespaceSelector) => ({ namespaceSelector })),
  fc
    .tuple(someSelector, someSelector)
    .map(([podSelector, namespaceSelector]) => ({ podSelector, namespaceSelector })),
);
const someRules: fc.Arbitrary<NetworkPolicy['egress']> = fc.array(
  fc.record({
    peers: fc.array(somePeer, { maxLength: 2 }),
    ports: fc.subarray([{ protocol: 'TCP', port: 'web' }] as const),
  }),
  { maxLength: 2 },
);
const policyEvent = fc
  .record({
    key: fc.constantFrom('a/n', 'b/n'),
    ingress: someRules,
    egress: someRules,
    keep: fc.boolean(),
  })
  .map(
    ({ key, keep, ...given }): Event => [
      'policies',
      key,
      keep ? networkPolicy(key, given) : undefined,
    ],
  );
const clusterEvent = fc
  .record({
    key: fc.constantFrom('c1', 'c2'),
    peers: fc.array(fc.record({ namespace: someSelector, pods: someSelector }), { maxLength: 2 }),
    keep: fc.boolean(),
  })
  .map(({ key, peers, keep }): Event => {
    const rule = { name: '', action: 'Deny' as const, ports: [] };
    const ingress = peers.map((pods) => ({ ...rule, peers: [{ pods }] }));
    return ['clusterPolicies', key, keep ? clusterPolicy(key, { ingress }) : undefined];
  });
/** Long, so that most of them change what others made. */
const events = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: podEvent },
    { weight: 2, arbitrary: attachmentEvent },
    { weight: 2, arbitrary: namespaceEvent },
    { weight: 1, arbitrary: policyEvent },
    { weight: 1, arbitrary: clusterEvent },
  ),
  { minLength: 20, maxLength: 60, size: 'max' },
);

function commit(store: Store, event: Event): void {
  const [kind, key, fact] = event;
  // One by one: TypeScript does not follow a kind and its fact through a call.
  if (kind === 'pods') store.commit(kind, [[key, fact]]);
  else if (kind === 'attachments') store.commit(kind, [[key, fact]]);
  else if (kind === 'namespaces') store.commit(kind, [[key, fact]]);
  else if (kind === 'policies') store.commit(kind, [[key, fact]]);
  else store.commit(kind, [[key, fact]]);
}

function selectorsIn(facts: Facts): ReadonlyMap<string, PodSelector> {
  const wanted = [
    ...[...facts.policies.values()].flatMap(selectorsOfPolicy),
    ...[...facts.clusterPolicies.values()].flatMap(selectorsOfClusterPolicy),
  ];
  return new Map(wanted.map((one) => [selectionId(one), one]));
}

/** Read from the rules, by looking at every pod. */
function selectedBy(facts: Facts, { namespace: where, pods }: PodSelector): string[] {
  const isThere = (name: string) => {
    if (typeof where === 'string') return where === name;
    const known = facts.namespaces.get(name);
    if (known !== undefined) return selects(where, known.labels);
    return where.matchExpressions.length === 0 && Object.keys(where.matchLabels).length === 0;
  };
  return [...facts.pods.values()]
    .filter((one) => isPeer(one) && isThere(one.namespace) && selects(pods, one.labels))
    .flatMap((one) => addressesOf(facts, one).map((address) => textOf(address, one)))
    .sort();
}

/** An address of an interface of this node is that pod's alone; others are as statuses say. */
function addressesOf(facts: Facts, { key, uid, annotations, ips }: Pod): Ip[] {
  const links = [...facts.attachments.values()];
  const uids = ['', uid, annotations[mirror]];
  return [...new Set([...ips, ...links.flatMap((one) => one.ips)])].filter((address) => {
    const holders = links.filter((one) => one.ips.includes(address));
    return holders.length === 0
      ? ips.includes(address)
      : holders.some((one) => one.pod === key && uids.includes(one.podUid));
  });
}

/** What a member stands for. */
function textOf(address: string, { key, ports }: Pod): string {
  const named = ports.filter(({ name }) => name !== '');
  const names = named.map((one) => `${one.name}=${one.protocol}${one.containerPort}`);
  return [address, key, ...names].join(' ');
}

function textsOf(buckets: readonly Bucket[]): string[][] {
  return buckets.map(({ members }) => members.map((member) => textOf(member.ip, member.pod)));
}

/** Everything that selections say, without identities. */
function contentOf({ selections, ...facts }: Facts): unknown {
  return [...selectorsIn({ selections, ...facts }).keys()].sort().map((id) => ({
    id,
    buckets: textsOf(selections.get(id)?.buckets ?? []),
    users: [...selections.usersOf(id)].sort(),
  }));
}

describe('selections of pods', () => {
  it('NP-01 NP-16 NP-18 NP-19 NP-20 are what every pod says for itself, in any order of events', () => {
    fc.assert(
      fc.property(events, (all) => {
        const store = createStore();
        for (const event of all) commit(store, event);
        for (const [id, one] of selectorsIn(store.facts)) {
          const found = textsOf(store.facts.selections.get(id)?.buckets ?? []).flat();
          assert.deepEqual(found.toSorted(), selectedBy(store.facts, one), id);
        }
      }),
      { numRuns: 200 },
    );
  });

  it('NP-29 are the same as from scratch, whatever comes first', () => {
    fc.assert(
      fc.property(events, fc.boolean(), (all, policiesFirst) => {
        const store = createStore();
        for (const event of all) commit(store, event);
        const fresh = createStore();
        const { facts } = store;
        const steps = [
          () => fresh.replace('pods', facts.pods),
          () => fresh.replace('attachments', facts.attachments),
          () => fresh.replace('namespaces', facts.namespaces),
          () => fresh.replace('clusterPolicies', facts.clusterPolicies),
          () => fresh.replace('policies', facts.policies),
        ];
        for (const step of policiesFirst ? steps.toReversed() : steps) step();
        assert.deepEqual(contentOf(fresh.facts), contentOf(facts));
      }),
    );
  });

  it('NP-29 keep buckets whose members stay, and tell of all that changed', () => {
    fc.assert(
      fc.property(events, (all) => {
        const store = createStore();
        let before = new Map<string, readonly Bucket[]>();
        for (const event of all) {
          commit(store, event);
          const { changed, facts } = store.takeSnapshot();
          const after = new Map<string, readonly Bucket[]>();
          for (const id of selectorsIn(facts).keys())
            after.set(id, facts.selections.get(id)?.buckets ?? []);
          for (const id of new Set([...before.keys(), ...after.keys()])) {
            const [old, now] = [before.get(id), after.get(id)];
            const isTold = changed.selections?.has(id) === true;
            if (old === undefined || now === undefined) assert.ok(isTold, `${id} came or went`);
            else assertKept(old, now, isTold);
          }
          before = after;
        }
      }),
      { numRuns: 200 },
    );
  });

  it('NP-29 nothing changes with what no policy looks at', () => {
    const store = createStore();
    const ingress = [{ peers: [{ podSelector: selector({ app: 'x' }) }], ports: [] }];
    store.commit('policies', [['a/n', networkPolicy('a/n', { ingress })]]);
    const port = { name: '', protocol: 'TCP', containerPort: 1, hostPort: 0, hostIp: '' } as const;
    const given = { labels: { app: 'x' }, ips: [ip('10.244.1.5'), ip('fd00::5')], ports: [port] };
    store.commit('pods', [['a/p', pod('a/p', { ...given, phase: 'Pending' })]]);
    const id = selectionId({ namespace: 'a', pods: selector({ app: 'x' }) });
    const before = store.facts.selections.get(id);
    store.takeSnapshot();
    const others: Partial<Pod>[] = [
      { ready: false, annotations: { a: 'b' }, terminating: true },
      { labels: { app: 'x', more: 'y' } },
      { ips: [ip('fd00::5'), ip('10.244.1.5')] },
      { ports: [{ ...port, containerPort: 2, hostPort: 3 }] },
      { uid: 'another' },
    ];
    for (const other of others) {
      store.commit('pods', [['a/p', pod('a/p', { ...given, ...other })]]);
      assert.equal(store.facts.selections.get(id), before, JSON.stringify(other));
      assert.equal(store.takeSnapshot().changed.selections, undefined, JSON.stringify(other));
    }
    store.commit('pods', [['a/q', pod('a/q', { ips: [ip('10.244.1.6')] })]]);
    store.commit('namespaces', [['a', namespace('a', { team: 'x' })]]);
    assert.equal(store.takeSnapshot().changed.selections, undefined);
    assert.deepEqual(textsOf(before?.buckets ?? []), [['10.244.1.5 a/p'], ['fd00::5 a/p']]);
  });

  it('forget what nobody asks for', () => {
    const store = createStore();
    const peers = [{ podSelector: selector({ app: 'x' }) }];
    const rule = { peers, ports: [] };
    const id = selectionId({ namespace: 'a', pods: selector({ app: 'x' }) });
    store.commit('policies', [
      ['a/one', networkPolicy('a/one', { ingress: [rule] })],
      ['a/two', networkPolicy('a/two', { ingress: [rule, rule] })],
    ]);
    assert.deepEqual(
      [...store.facts.selections.usersOf(id)],
      ['NetworkPolicy/a/one', 'NetworkPolicy/a/two'],
    );
    store.takeSnapshot();
    store.commit('policies', [['a/two', undefined]]);
    assert.deepEqual([...store.facts.selections.usersOf(id)], ['NetworkPolicy/a/one']);
    assert.equal(store.takeSnapshot().changed.selections, undefined);
    store.commit('policies', [['a/one', undefined]]);
    assert.equal(store.facts.selections.get(id), undefined);
    assert.deepEqual([...store.facts.selections.usersOf(id)], []);
    assert.deepEqual([...(store.takeSnapshot().changed.selections ?? [])], [id]);
  });

  it('NP-18 hold two live pods with one address, sorted by address and key', () => {
    const store = createStore();
    const ingress = [{ peers: [{ podSelector: selector() }], ports: [] }];
    store.commit('policies', [['a/n', networkPolicy('a/n', { ingress })]]);
    store.commit('pods', [
      ['a/q', pod('a/q', { ips: [ip('10.244.1.5')] })],
      ['a/p', pod('a/p', { ips: [ip('10.244.1.5')] })],
      ['a/z', pod('a/z', { ips: [ip('10.244.1.4')] })],
    ]);
    const id = selectionId({ namespace: 'a', pods: selector() });
    const texts = () => textsOf(store.facts.selections.get(id)?.buckets ?? []);
    assert.deepEqual(texts(), [['10.244.1.4 a/z', '10.244.1.5 a/p', '10.244.1.5 a/q']]);
    store.commit('pods', [['a/p', pod('a/p', { ips: [ip('10.244.1.5')], phase: 'Succeeded' })]]);
    assert.deepEqual(texts(), [['10.244.1.4 a/z', '10.244.1.5 a/q']]);
  });

  it('NP-19 know a pod of this node by its interface, and change with nothing else of it', () => {
    const store = createStore();
    const ingress = [{ peers: [{ podSelector: selector({ app: 'x' }) }], ports: [] }];
    store.commit('policies', [['a/n', networkPolicy('a/n', { ingress })]]);
    const id = selectionId({ namespace: 'a', pods: selector({ app: 'x' }) });
    const texts = () => textsOf(store.facts.selections.get(id)?.buckets ?? []).flat();
    const isTold = () => store.takeSnapshot().changed.selections?.has(id) === true;
    const given = { uid: 'u1', labels: { app: 'x' } };
    const link = { ...attachment('veth-a', '10.244.1.5'), pod: 'a/p', podUid: 'u1' };
    const old = pod('a/old', { ...given, ips: [ip('10.244.1.5')], terminating: true });
    store.commit('pods', [['a/old', old]]);
    assert.deepEqual(texts(), ['10.244.1.5 a/old']);
    isTold();
    store.commit('attachments', [[link.key, link]]);
    assert.deepEqual([texts(), isTold()], [[], true], 'the interface of a pod that is not known');
    store.commit('pods', [['a/p', pod('a/p', { ...given, uid: 'u0' })]]);
    assert.deepEqual([texts(), isTold()], [[], false], 'another pod of that name');
    store.commit('pods', [['a/p', pod('a/p', given)]]);
    assert.deepEqual([texts(), isTold()], [['10.244.1.5 a/p'], true]);
    const before = store.facts.selections.get(id);
    store.commit('pods', [['a/p', pod('a/p', { ...given, ips: [ip('10.244.1.5')] })]]);
    store.commit('attachments', [[link.key, { ...link, mtu: 1400 }]]);
    assert.equal(store.facts.selections.get(id), before, 'its status has the address, too');
    assert.equal(isTold(), false);
    store.commit('pods', [['a/p', undefined]]);
    assert.deepEqual([texts(), isTold()], [[], true]);
    store.commit('attachments', [[link.key, undefined]]);
    assert.deepEqual([texts(), isTold()], [['10.244.1.5 a/old'], true], 'what a status says again');
  });

  it('NP-06 ask labels only of namespaces that are known', () => {
    const store = createStore();
    const notProd = selector({}, [{ key: 'env', operator: 'NotIn', values: ['prod'] }]);
    const peers = [{ namespaceSelector: notProd }];
    store.commit('policies', [['a/n', networkPolicy('a/n', { ingress: [{ peers, ports: [] }] })]]);
    store.commit('pods', [['b/p', pod('b/p', { ips: [ip('10.244.1.5')] })]]);
    const id = selectionId({ namespace: notProd, pods: selector() });
    const found = () => textsOf(store.facts.selections.get(id)?.buckets ?? []).flat();
    assert.deepEqual(found(), []);
    store.commit('namespaces', [['b', namespace('b')]]);
    assert.deepEqual(found(), ['10.244.1.5 b/p']);
    store.commit('namespaces', [['b', namespace('b', { env: 'prod' })]]);
    assert.deepEqual(found(), []);
  });
});

function assertKept(old: readonly Bucket[], now: readonly Bucket[], isTold: boolean): void {
  if (!isTold) assert.deepEqual(textsOf(now), textsOf(old), 'changed without a word');
  for (const bucket of now) {
    const [content] = textsOf([bucket]);
    const same = old.find((one) => textsOf([one])[0]?.join() === content?.join());
    if (same !== undefined) assert.equal(bucket, same, `${content} is another object`);
  }
}
