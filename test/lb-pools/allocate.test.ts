import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ip, prefix } from '../../src/core/ip.ts';
import { createAllocator } from '../../src/lb-pools/allocate.ts';
import { type Pool, parsePool } from '../../src/lb-pools/pools.ts';
import type { PoolConfig } from '../../src/model/config.ts';
import type { Service } from '../../src/model/facts.ts';
import { createStore, type Store } from '../../src/model/store.ts';
import { config, node, service } from '../facts.ts';

function pool(name: string, addresses: readonly string[], given: Partial<PoolConfig> = {}): Pool {
  const parsed = parsePool({
    name,
    addresses,
    namespaces: [],
    namespaceLabels: {},
    serviceLabels: {},
    autoAssign: true,
    bgp: { communities: [], localPreference: undefined, med: undefined, peers: [] },
    ...given,
  });
  assert.ok(parsed.ok);
  return parsed.value;
}

function balancer(key: string, given: Partial<Service> = {}): Service {
  return service(key, { type: 'LoadBalancer', ...given });
}

function cluster(services: readonly Service[]): Store {
  const store = createStore();
  store.replace('config', new Map([['config', config]]));
  store.replace('services', new Map(services.map((one) => [one.key, one])));
  return store;
}

/** Decides and writes into the status, as the leader does, until nothing changes. */
function settle(
  store: Store,
  pools: readonly Pool[],
  ours = '',
): ReturnType<typeof createAllocator> {
  const allocator = createAllocator(
    store.facts,
    () => pools,
    () => ours,
  );
  for (const { key, ips } of allocator.decide(store.facts.services.keys())) write(store, key, ips);
  return allocator;
}

function write(store: Store, key: string, ips: readonly string[]): void {
  const before = store.facts.services.get(key);
  if (before === undefined) return;
  const ingress = ips.map((address) => ({ ip: ip(address), mode: 'VIP' as const }));
  store.commit('services', [[key, { ...before, ingress }]]);
}

function addresses(store: Store): Record<string, string> {
  return Object.fromEntries(
    [...store.facts.services].map(([key, one]) => [key, one.ingress.map((e) => e.ip).join()]),
  );
}

const small = pool('small', ['203.0.113.0/30', '2001:db8:f::/126']);

describe('addresses for load balancers', () => {
  it('never gives out a network or broadcast address', () => {
    const store = cluster([balancer('d/a'), balancer('d/b'), balancer('d/c')]);
    const allocator = settle(store, [small]);
    assert.deepEqual(addresses(store), { 'd/a': '203.0.113.1', 'd/b': '203.0.113.2', 'd/c': '' });
    const [problem] = allocator.waiting.get('d/c') ?? [];
    assert.equal(problem?.event, 'AddressExhausted');
    assert.match(problem?.reason ?? '', /no IPv4 address is left in small/);
  });

  it('gives one address of each family of the Service', () => {
    const clusterIps = [ip('10.96.0.10'), ip('fd00:96::10')];
    const store = cluster([balancer('d/a', { clusterIps })]);
    settle(store, [small]);
    assert.deepEqual(addresses(store), { 'd/a': '203.0.113.1,2001:db8:f::1' });
  });

  it('keeps what stands in a status, whoever comes first', () => {
    const store = cluster([balancer('d/a'), balancer('d/b')]);
    write(store, 'd/b', ['203.0.113.1']);
    settle(store, [small]);
    assert.deepEqual(addresses(store), { 'd/a': '203.0.113.2', 'd/b': '203.0.113.1' });
  });

  it('gives the address that is asked for, and says why when it cannot', () => {
    const asks = (address: string) => ({
      annotations: { 'kube-vpp-router.io/load-balancer-ips': address },
    });
    const store = cluster([
      balancer('d/a', asks('203.0.113.2')),
      balancer('d/b', { requestedIp: '203.0.113.2', createdMs: 1 }),
      balancer('d/c', asks('198.51.100.1')),
      balancer('d/e', asks('nonsense')),
    ]);
    const allocator = settle(store, [small]);
    assert.deepEqual(addresses(store), {
      'd/a': '203.0.113.2',
      'd/b': '',
      'd/c': '',
      'd/e': '203.0.113.1',
    });
    const reasons = (key: string) =>
      allocator.waiting
        .get(key)
        ?.map((one) => one.reason)
        .join();
    assert.match(reasons('d/b') ?? '', /used by Service\/d\/a: they have no sharing key/);
    assert.match(reasons('d/c') ?? '', /in no pool/);
    assert.match(reasons('d/e') ?? '', /"nonsense" is no address/);
  });

  it('shares an address where keys agree and ports, policy and ranges allow it', () => {
    const sharing = { annotations: { 'kube-vpp-router.io/sharing-key': 'web' } };
    const port = (number: number) => ({
      ports: [{ name: '', protocol: 'TCP' as const, port: number, nodePort: 0 }],
    });
    const store = cluster([
      balancer('d/a', { ...sharing, ...port(80) }),
      balancer('d/b', { ...sharing, ...port(443) }),
      balancer('d/c', { ...sharing, ...port(80), createdMs: 1 }),
    ]);
    settle(store, [small]);
    assert.deepEqual(addresses(store), {
      'd/a': '203.0.113.1',
      'd/b': '203.0.113.1',
      'd/c': '203.0.113.2',
    });
  });

  it('serves namespaces and Services by name and label, and no others', () => {
    const only = pool('only', ['192.0.2.0/24'], {
      namespaces: ['x'],
      serviceLabels: { tier: 'web' },
    });
    const store = cluster([
      balancer('x/a', { labels: { tier: 'web' } }),
      balancer('x/b'),
      balancer('y/c', { labels: { tier: 'web' } }),
    ]);
    settle(store, [only]);
    assert.deepEqual(addresses(store), { 'x/a': '192.0.2.1', 'x/b': '', 'y/c': '' });
  });

  it('gives no address of a node, a pod or a Service', () => {
    const store = cluster([balancer('d/a')]);
    store.commit('nodes', [['n1', node('n1', 1, { internalIps: [ip('203.0.113.1')] })]]);
    settle(store, [small]);
    assert.deepEqual(addresses(store), { 'd/a': '203.0.113.2' });
  });

  it('is not held up by a pool inside the ranges of the cluster', () => {
    const cidrs = [...config.services.cidrs, prefix('fd00:96::/64')];
    const store = cluster([balancer('d/a', { clusterIps: [ip('fd00:96::10')] })]);
    const own = { ...config, services: { ...config.services, cidrs } };
    store.replace('config', new Map([['config', own]]));
    const inside = pool('inside', ['fd00:96::/64', 'fd00:97::/126']);
    settle(store, [inside]);
    assert.deepEqual(addresses(store), { 'd/a': 'fd00:97::1' });
  });

  it('looks again at the address of a node that is gone', () => {
    const store = cluster([balancer('d/a'), balancer('d/b')]);
    store.commit('nodes', [['n1', node('n1', 1, { internalIps: [ip('203.0.113.1')] })]]);
    const allocator = settle(store, [small]);
    assert.deepEqual(addresses(store), { 'd/a': '203.0.113.2', 'd/b': '' });
    store.commit('nodes', [['n1', undefined]]);
    for (const { key, ips } of allocator.decide('all')) write(store, key, ips);
    assert.deepEqual(addresses(store), { 'd/a': '203.0.113.2', 'd/b': '203.0.113.1' });
  });

  it('forgets Services that went while everything changed', () => {
    const store = cluster([balancer('d/a'), balancer('d/b')]);
    const allocator = settle(store, [small]);
    store.commit('services', [
      ['d/a', undefined],
      ['d/c', balancer('d/c')],
    ]);
    for (const { key, ips } of allocator.decide('all')) write(store, key, ips);
    assert.deepEqual(addresses(store), { 'd/b': '203.0.113.2', 'd/c': '203.0.113.1' });
  });

  it('leaves an address that two have to the older, whoever is asked about', () => {
    const ingress = [{ ip: ip('203.0.113.1'), mode: 'VIP' as const }];
    for (const asked of [[], ['d/young']]) {
      const young = balancer('d/young', { createdMs: 2_000 });
      const store = cluster([young]);
      const allocator = settle(store, [small]);
      assert.deepEqual(addresses(store), { 'd/young': '203.0.113.1' });
      // Its status is written after that of the younger: by an administrator, or by a second leader.
      store.commit('services', [['d/old', balancer('d/old', { createdMs: 1_000, ingress })]]);
      for (const { key, ips } of allocator.decide(['d/old', ...asked])) write(store, key, ips);
      const expected = { 'd/young': '203.0.113.2', 'd/old': '203.0.113.1' };
      assert.deepEqual(addresses(store), expected, asked.join());
      const again = [...allocator.decide('all')].filter((one) => one.changed);
      assert.deepEqual(again, []);
    }
  });

  it('stays with what it decided until the status says it, or something new', () => {
    const ingress = [{ ip: ip('203.0.113.1'), mode: 'VIP' as const }];
    const both = { ingress, resourceVersion: '7' };
    const store = cluster([
      balancer('d/old', { createdMs: 1_000, ...both }),
      balancer('d/young', { createdMs: 2_000, ...both }),
    ]);
    const allocator = createAllocator(
      store.facts,
      () => [small],
      () => '',
    );
    for (let i = 0; i < 3; i++) {
      const changed = [...allocator.decide('all')].filter((one) => one.changed);
      assert.deepEqual(
        changed.map(({ key, ips }) => [key, ...ips]),
        [['d/young', '203.0.113.2']],
      );
    }
  });

  it('gives way to the address of a Service of another class, which it must not touch', () => {
    const ingress = [{ ip: ip('203.0.113.1'), mode: 'VIP' as const }];
    const store = cluster([
      balancer('d/other', { createdMs: 2_000, loadBalancerClass: 'other.io/x', ingress }),
      balancer('d/ours', { createdMs: 1_000, ingress }),
    ]);
    settle(store, [small]);
    assert.deepEqual(addresses(store), { 'd/other': '203.0.113.1', 'd/ours': '203.0.113.2' });
  });

  it('takes an address back when the type changes, and leaves the status of others alone', () => {
    const store = cluster([balancer('d/a'), balancer('d/b', { loadBalancerClass: 'other.io/x' })]);
    write(store, 'd/b', ['198.51.100.9']);
    settle(store, [small]);
    assert.deepEqual(addresses(store), { 'd/a': '203.0.113.1', 'd/b': '198.51.100.9' });
    const before = store.facts.services.get('d/a');
    if (before !== undefined) store.commit('services', [['d/a', { ...before, type: 'ClusterIP' }]]);
    settle(store, [small]);
    assert.deepEqual(addresses(store), { 'd/a': '', 'd/b': '198.51.100.9' });
  });

  it('law: no address twice, what is held is kept, and a second look changes nothing', () => {
    const change = fc.record({
      key: fc.constantFrom('d/a', 'd/b', 'd/c', 'e/a', 'e/b'),
      type: fc.constantFrom('LoadBalancer' as const, 'ClusterIP' as const),
      gone: fc.boolean(),
      asked: fc.constantFrom('', '', '203.0.113.2'),
    });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 20 }), (changes) => {
        const store = cluster([]);
        const allocator = createAllocator(
          store.facts,
          () => [small],
          () => '',
        );
        for (const { key, type, gone, asked } of changes) {
          const before = store.facts.services.get(key);
          const ingress = before?.ingress ?? [];
          const next = balancer(key, { type, requestedIp: asked, ingress });
          store.commit('services', [[key, gone ? undefined : next]]);
          const held = new Map(Object.entries(addresses(store)));
          const asks = new Set([key, ...allocator.waiting.keys()]);
          for (const decision of allocator.decide(asks)) write(store, decision.key, decision.ips);
          const now = addresses(store);
          for (const [other, address] of held)
            if (other !== key && address !== '') assert.equal(now[other], address, 'kept');
          const used = Object.values(now).filter((address) => address !== '');
          assert.equal(new Set(used).size, used.length, 'no address twice');
        }
        const before = addresses(store);
        const again = createAllocator(
          store.facts,
          () => [small],
          () => '',
        );
        const changed = [...again.decide(store.facts.services.keys())].filter((one) => one.changed);
        for (const { key, ips } of changed)
          assert.ok(before[key] === '' && ips.length > 0, 'a new leader only fills gaps');
      }),
    );
  });
});
