import assert from 'node:assert/strict';
import { ip, prefix } from '../../src/core/ip.ts';
import { peerMarker, servicesMarker } from '../../src/desired/markers.ts';
import type { AdvertiseConfig } from '../../src/model/bgp-config.ts';
import type { Config } from '../../src/model/config.ts';
import type { Endpoint, Service } from '../../src/model/facts.ts';
import { advertisementPlanner, explainAdvertisements } from '../../src/routing/advertise.ts';
import { config, endpoint, service, slice } from '../facts.ts';
import { bgpConfig, nodesOf, peer, pool } from './rig.ts';

const all: AdvertiseConfig = {
  ...config.bgp.advertise,
  clusterIps: true,
  externalIps: true,
  loadBalancerIps: true,
};
const here = endpoint('10.244.1.5', 'ready', { node: 'n1' });
const there = endpoint('10.244.2.5');

function world(
  given: Partial<Service>,
  endpoints: readonly Endpoint[] = [there],
  {
    advertise = all,
    more = {},
    bgp = {},
  }: {
    advertise?: AdvertiseConfig;
    more?: Partial<Config>;
    bgp?: Partial<Config['bgp']>;
  } = {},
) {
  const services = { ...config.services, externalIpRanges: [prefix('198.51.100.0/24')] };
  const store = nodesOf(bgpConfig({ advertise, ...bgp }, { services, ...more }));
  store.commit('services', [['d/s', service('d/s', given)]]);
  store.commit('slices', [['d/s-1', slice('d/s-1', 'd/s', endpoints)]]);
  return store;
}

type World = Parameters<typeof world>;
const plan = (...args: World) => advertisementPlanner.plan(world(...args).facts, 'd/s');
const paths = (...args: World) => plan(...args).rows.bgpPaths ?? [];
const prefixes = (...args: World) => paths(...args).map((row) => row.prefix);
const lb: Partial<Service> = {
  type: 'LoadBalancer',
  ingress: [{ ip: ip('203.0.113.5'), mode: 'VIP' }],
};

describe('advertisementPlanner', () => {
  it('announces nothing that nobody asked for', () => {
    assert.deepEqual(prefixes(lb, [there], { advertise: config.bgp.advertise }), []);
  });

  it('announces the kinds of addresses whose flag is set', () => {
    const given = { ...lb, externalIps: [ip('198.51.100.7'), ip('192.168.9.9')] };
    assert.deepEqual(prefixes(given).toSorted(), [
      '10.96.0.10/32',
      '198.51.100.7/32',
      '203.0.113.5/32',
    ]);
    const only = { ...config.bgp.advertise, loadBalancerIps: true };
    assert.deepEqual(prefixes(given, [there], { advertise: only }), ['203.0.113.5/32']);
  });

  it('an annotation wins over the flag, both ways', () => {
    const annotations = {
      'kube-router.io/service.advertise.clusterip': 'false',
      'kube-router.io/service.advertise.loadbalancerip': 'true',
    };
    const advertise = { ...config.bgp.advertise, clusterIps: true };
    assert.deepEqual(prefixes({ ...lb, annotations }, [there], { advertise }), ['203.0.113.5/32']);
  });

  it('says which annotation it cannot read, and goes on with the flag', () => {
    const annotations = { 'kube-router.io/service.advertise.clusterip': 'yes' };
    const { rows, problems } = plan({ annotations });
    assert.equal(rows.bgpPaths?.length, 1);
    assert.deepEqual(
      problems.map((problem) => problem.field),
      ['metadata.annotations[kube-router.io/service.advertise.clusterip]'],
    );
  });

  it('announces only Services that the selector names', () => {
    const advertise = { ...all, serviceSelector: { announce: 'yes' } };
    assert.deepEqual(prefixes({}, [there], { advertise }), []);
    assert.deepEqual(prefixes({ labels: { announce: 'yes' } }, [there], { advertise }).length, 1);
  });

  it('withdraws a Service without usable endpoints, also with policy Cluster', () => {
    const dead = endpoint('10.244.2.5', 'unready');
    assert.deepEqual(prefixes({}, []), []);
    assert.deepEqual(prefixes({}, [dead]), []);
    assert.equal(prefixes({}, [], { advertise: { ...all, needEndpoints: false } }).length, 1);
  });

  it('an endpoint that ends still counts while it serves and no other is ready', () => {
    const ending = endpoint('10.244.2.5', 'draining');
    assert.equal(prefixes({}, [ending]).length, 1);
  });

  it('with policy Local announces where an endpoint is', () => {
    const outside = { ...lb, externalTrafficPolicy: 'Local' as const };
    assert.deepEqual(prefixes(outside, [there]), ['10.96.0.10/32']);
    assert.equal(prefixes(outside, [here]).length, 2);
    const inside = { internalTrafficPolicy: 'Local' as const };
    assert.deepEqual(prefixes(inside, [there]), []);
    assert.equal(prefixes(inside, [here]).length, 1);
  });

  it('gives routes what configuration, pool and annotations say, the nearest last', () => {
    const loadBalancer = { ...config.loadBalancer, pools: [pool] };
    const annotations = {
      'kube-vpp-router.io/bgp.communities': '64512:1:2,no-export',
      'kube-vpp-router.io/bgp.local-preference': '150',
    };
    const advertise = { ...all, clusterIps: false, communities: ['64512:1'], med: 5 };
    const [row] = paths({ ...lb, annotations }, [there], { advertise, more: { loadBalancer } });
    assert.deepEqual(
      row?.communities,
      [servicesMarker, '64512:1', '64512:1:2', '64512:7', '65535:65281'].toSorted(),
    );
    assert.deepEqual([row?.localPreference, row?.med], [150, 70]);
  });

  it('tells only the neighbours that the Service names', () => {
    const annotations = { 'kube-vpp-router.io/bgp.peers': 'a' };
    const bgp = { peers: [peer('a'), peer('b', { address: ip('192.0.2.252') })] };
    const [row] = paths({ annotations }, [there], { bgp });
    assert.deepEqual(row?.communities, [peerMarker('a')]);
    const unknown = plan({ annotations: { 'kube-vpp-router.io/bgp.peers': 'c' } }, [there], {
      bgp,
    });
    assert.deepEqual(unknown.rows.bgpPaths, []);
    assert.match(unknown.problems[0]?.reason ?? '', /no neighbour "c"/);
  });

  it('announces an aggregate in place of what is inside', () => {
    const advertise = { ...all, aggregates: [prefix('10.96.0.0/16')] };
    assert.deepEqual(prefixes({}, [there], { advertise }), ['10.96.0.0/16']);
  });

  it('tells the bandwidth of its own endpoints', () => {
    const advertise = { ...all, linkBandwidth: 1000 };
    const two = [here, endpoint('10.244.1.6', 'ready', { node: 'n1' }), there];
    assert.ok(paths({}, two, { advertise })[0]?.communities.includes('lb:64512:2000'));
    const none = paths({}, [there], { advertise })[0]?.communities;
    assert.ok(none?.every((one) => !one.startsWith('lb:')));
  });

  it('refuses the marks of the router, and more than a message holds', () => {
    for (const list of ['4294967295:1:1', Array.from({ length: 33 }, (_, i) => `1:${i}`).join()]) {
      const { rows, problems } = plan({
        annotations: { 'kube-vpp-router.io/bgp.communities': list },
      });
      assert.deepEqual(rows.bgpPaths?.[0]?.communities, [servicesMarker]);
      assert.equal(problems.length, 1);
    }
  });

  it('keeps a Service withdrawn that is held down', () => {
    const store = world({});
    store.commit('heldDown', [['d/s', true]]);
    const given = store.facts.services.get('d/s');
    assert.ok(given);
    assert.deepEqual(advertisementPlanner.plan(store.facts, 'd/s').rows.bgpPaths, []);
    assert.match(explainAdvertisements(store.facts, given)[0]?.reason ?? '', /held down/);
  });

  it('explains each address', () => {
    const store = world({ ...lb, externalTrafficPolicy: 'Local' });
    const given = store.facts.services.get('d/s');
    assert.ok(given);
    assert.deepEqual(
      explainAdvertisements(store.facts, given).map((one) => `${one.vip}: ${one.reason}`),
      [
        '10.96.0.10: announced by bgp.advertise.clusterIps',
        '203.0.113.5: externalTrafficPolicy is Local and no usable endpoint is on this node',
      ],
    );
  });
});
