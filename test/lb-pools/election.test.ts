import assert from 'node:assert/strict';
import { findResource } from '../../src/apiserver/resources.ts';
import { createApiServer } from '../../src/apiserver/server.ts';
import { realClock } from '../../src/core/clock.ts';
import type { Problem } from '../../src/core/problem.ts';
import { startPools } from '../../src/daemon/pools.ts';
import { createKubeClient } from '../../src/kube/request.ts';
import { watchKube } from '../../src/kube/watch-kube.ts';
import type { Config } from '../../src/model/config.ts';
import { createStore } from '../../src/model/store.ts';
import { config } from '../facts.ts';
import { accessOf } from '../kube/rig.ts';

const log = { info: () => {}, warn: () => {} };
const services = findResource('', 'v1', 'services');
assert.ok(services !== undefined);

const pool = {
  name: 'public',
  addresses: ['203.0.113.0/29'],
  namespaces: [],
  namespaceLabels: {},
  serviceLabels: {},
  autoAssign: true,
  bgp: { communities: [], localPreference: undefined, med: undefined, peers: [] },
};

/** The part of a daemon that gives out addresses, over the real client and the small API server. */
async function startNode(url: string, nodeName: string) {
  const stop = new AbortController();
  const own: Config = {
    ...config,
    nodeName,
    loadBalancer: { class: '', leaseNamespace: 'kube-system', pools: [pool] },
  };
  const store = createStore();
  store.replace('config', new Map([['config', own]]));
  const access = await accessOf(url);
  const fixed = { store, access, clock: realClock, signal: stop.signal, log };
  const kube = watchKube({ ...fixed, onProblems: () => undefined });
  const announced: Problem[] = [];
  const pools = startPools({
    ...fixed,
    config: own,
    synced: kube.synced,
    announce: (note) => announced.push(note),
  });
  const follow = (async () => {
    while (!stop.signal.aborted) {
      pools.onRound(store.takeSnapshot().changed);
      await Promise.race([
        store.changed(),
        new Promise((resolve) => stop.signal.addEventListener('abort', resolve, { once: true })),
      ]);
    }
  })();
  return {
    pools,
    announced,
    /** Another configuration file. */
    configure(loadBalancer: Partial<Config['loadBalancer']>) {
      const next = { ...own, loadBalancer: { ...own.loadBalancer, ...loadBalancer } };
      store.commit('config', [['config', next]]);
    },
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('the node is gone'));
      await pools[Symbol.asyncDispose]();
      await kube[Symbol.asyncDispose]();
      await follow;
    },
  };
}

async function until(condition: () => boolean): Promise<void> {
  const limit = AbortSignal.timeout(20_000);
  while (!condition()) {
    limit.throwIfAborted();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe('address pools on a cluster', function () {
  this.timeout(60_000);

  it('one daemon gives addresses; when it goes, the next keeps them and goes on', async () => {
    await using server = await createApiServer();
    await using client = createKubeClient(await accessOf(server.url), realClock);
    const { signal } = new AbortController();
    const create = (name: string, spec: object = {}) =>
      client.request(
        {
          method: 'POST',
          path: '/api/v1/namespaces/default/services',
          body: {
            apiVersion: 'v1',
            kind: 'Service',
            metadata: { name, namespace: 'default' },
            spec: { type: 'LoadBalancer', selector: { app: name }, ports: [{ port: 80 }], ...spec },
          },
        },
        signal,
      );
    const addressOf = (name: string) => {
      const service = server.api.storage
        .list(services)
        .find((one) => (one.metadata as { name?: string }).name === name);
      const status = service?.status as
        | { loadBalancer?: { ingress?: { ip: string; ipMode: string }[] } }
        | undefined;
      return status?.loadBalancer?.ingress?.map((one) => `${one.ip} ${one.ipMode}`).join() ?? '';
    };
    await create('a');
    const nodes = [await startNode(server.url, 'n1'), await startNode(server.url, 'n2')];
    const dispose = async () => {
      for (const one of nodes.splice(0)) await one[Symbol.asyncDispose]();
    };
    try {
      await until(() => addressOf('a') === '203.0.113.1 VIP');
      assert.equal(nodes.filter((one) => one.pools.leading).length, 1, 'one leads');
      const leader = nodes.findIndex((one) => one.pools.leading);
      // The Event follows the status that `until` saw.
      await until(() => (nodes[leader]?.announced.length ?? 0) > 0);
      assert.equal(nodes[leader]?.announced[0]?.event, 'AddressAllocated');
      const [gone] = nodes.splice(leader, 1);
      await gone?.[Symbol.asyncDispose]();
      await create('b');
      await until(() => addressOf('b') !== '');
      assert.equal(addressOf('a'), '203.0.113.1 VIP', 'kept');
      assert.equal(addressOf('b'), '203.0.113.2 VIP');
      assert.equal(nodes[0]?.pools.leading, true);
      // No pool: somebody else gives out addresses, and what was given is theirs now.
      nodes[0]?.configure({ pools: [] });
      await until(() => nodes[0]?.pools.leading === false);
      await create('c');
      nodes[0]?.configure({ pools: [pool], class: 'example.org/vpp' });
      await until(() => nodes[0]?.pools.leading === true);
      await create('d', { loadBalancerClass: 'example.org/vpp' });
      await until(() => addressOf('d') !== '');
      assert.deepEqual(['a', 'b', 'c', 'd'].map(addressOf), [
        '203.0.113.1 VIP',
        '203.0.113.2 VIP',
        '',
        '203.0.113.3 VIP',
      ]);
      nodes[0]?.configure({ class: '' });
      await until(() => addressOf('c') === '203.0.113.4 VIP');
    } finally {
      await dispose();
    }
  });
});
