import { ip, prefix } from '../../src/core/ip.ts';
import type { Config } from '../../src/model/config.ts';
import { encapsulationAnnotation, encapsulations } from '../../src/model/encapsulation.ts';
import type { Endpoint, Pod, Protocol, Service } from '../../src/model/facts.ts';
import { createStore, type FactKind, factKinds, type Store } from '../../src/model/store.ts';
import { config, endpoint, node, pod, service, slice, uplink } from '../facts.ts';
import { addFacts, copyFacts } from './daemon.ts';
import { applyManifests } from './manifests.ts';
import { attachmentOf, defaultNamespace, isAttached, keyOf, namespaceOf, podOf } from './pods.ts';
import { listOf, options } from './words.ts';

/**
 * The objects of a scenario, one a line. `set` adds or replaces, `delete` in front removes.
 *
 *     node n2 192.0.2.12 pods 10.244.2.0/24 zone=a
 *     node n3 198.51.100.3,2001:db8::3 pods 10.244.3.0/24 encapsulation=gre
 *     namespace e team=a
 *     pod web-1 10.244.1.11 fd00:10:244:1::11
 *     pod e/web 10.244.2.12 labels=app=web,tier=x ports=http:8080/tcp,dns:53/udp node=n2
 *     pod done 10.244.1.13 phase=Succeeded
 *     pod agent 192.0.2.1 hostNetwork
 *     pod early 10.244.1.11 noIps: its status does not say its addresses yet
 *     attachment web-1 10.244.1.11: the interface of a Pod that is not known yet
 *     delete policy e/x
 *     delete clusterpolicy y
 *     service d/web 10.96.0.10 80/tcp nodePort=30080 external=Local internal=Local affinity=60
 *     service d/lb 10.96.0.11 80/tcp lb=203.0.113.5 ranges=198.51.100.0/24,10.0.0.0/8
 *     service d/out 10.96.0.12 80/tcp externalIp=203.0.113.9 mode=Proxy
 *     hostport d/pod 8443/tcp 10.244.1.11:443 hostIp=192.0.2.1
 *     forget d/web: its clients, as after the timeout of ClientIP affinity
 *     config mode=full encapsulation=gre accept=ipip,vxlan
 *     config externalIpRanges=203.0.113.0/24 strictSourceRanges=true
 *     endpoint d/web 10.244.1.11:8080 ready node=n1
 *     route 10.244.2.0/24 via 192.0.2.12
 *     late policies,pods: the next daemon does not hear of these
 *     synced policies,pods: until here
 *
 * What names no namespace is in `d`, which is always there. Policies are manifests: manifests.ts.
 */
export interface World {
  readonly store: Store;
  apply(line: string): void;
  applyPolicies(manifests: string, readable: boolean): void;
  /** Gives the same facts to a store of their own, as a daemon that starts finds them. */
  renew(): void;
}

/** Host interfaces of pods, in the order in which a scenario names the pods of this node. */
export const podInterfaces = ['veth-a', 'veth-b', 'veth-c'] as const;

export function createWorld(): World & { interfaceOf(pod: string): string | undefined } {
  let store = createStore();
  const pods = new Map<string, string>();
  const endpoints = new Map<string, Map<string, { endpoint: Endpoint; port: number }>>();
  const protocols = new Map<string, readonly Protocol[]>();
  store.replace(
    'config',
    new Map([['config', { ...config, bgp: { ...config.bgp, enabled: false } }]]),
  );
  store.replace('uplink', new Map([['uplink', uplink]]));
  for (const kind of factKinds.filter((one) => one !== 'config' && one !== 'uplink'))
    store.markSynced(kind);
  const namespace = namespaceOf(defaultNamespace, []);
  store.commit('namespaces', [[namespace.key, namespace]]);
  const late = new Set<FactKind>();
  let known = store;

  function applyPod(name: string, words: readonly string[], removed: boolean): void {
    const fact = podOf(name, words);
    if (isAttached(fact) || pods.has(fact.key))
      applyAttachment(name, words, removed || !isAttached(fact));
    store.commit('pods', [[fact.key, removed ? undefined : fact]]);
  }

  function applyAttachment(name: string, words: readonly string[], removed: boolean): void {
    const key = keyOf(name);
    const link = pods.get(key) ?? podInterfaces[pods.size];
    if (link === undefined) throw new Error(`more than ${podInterfaces.length} pods`);
    pods.set(key, link);
    const fact = removed ? undefined : attachmentOf(name, link, words);
    store.commit('attachments', [[`${link}/eth0`, fact]]);
  }

  function applyEndpoint(owner: string, where: string, words: readonly string[], removed: boolean) {
    const colon = where.lastIndexOf(':');
    const address = where.slice(0, colon).replaceAll(/[[\]]/g, '');
    const state = (words.find((word) => !word.includes('=')) ?? 'ready') as 'ready';
    const { node: on = 'n2', ...rest } = options(words);
    const nodeName = on === 'none' ? '' : on;
    const all = endpoints.get(owner) ?? new Map();
    endpoints.set(owner, all);
    const given = { node: nodeName, ...(rest.zone && { zoneHints: [rest.zone] }) };
    if (removed) all.delete(where);
    else
      all.set(where, {
        endpoint: endpoint(address, state, given),
        port: Number(where.slice(colon + 1)),
      });
    commitSlices(owner, all);
  }

  /** A slice for each port number and family, as the endpoint slice controller makes them. */
  function commitSlices(owner: string, all: Map<string, { endpoint: Endpoint; port: number }>) {
    const groups = new Map<string, Endpoint[]>();
    for (const one of all.values()) {
      const key = `${owner}-${one.endpoint.ip.includes(':') ? 6 : 4}-${one.port}`;
      groups.set(key, [...(groups.get(key) ?? []), one.endpoint]);
    }
    const known = [...store.facts.slices.keys()].filter((key) => key.startsWith(`${owner}-`));
    store.commit('slices', [
      ...known.filter((key) => !groups.has(key)).map((key) => [key, undefined] as const),
      ...[...groups].map(([key, list]) => {
        const [, family, number] = /-(\d)-(\d+)$/.exec(key) ?? [];
        const ports = (protocols.get(owner) ?? ['TCP']).map((protocol) => ({
          name: protocol.toLowerCase(),
          protocol,
          port: Number(number),
        }));
        return [key, slice(key, owner, list, { family: family === '6' ? 6 : 4, ports })] as const;
      }),
    ]);
  }

  return {
    get store() {
      return store;
    },
    renew() {
      known = store;
      store = createStore();
      for (const kind of known.synced) if (!late.has(kind)) copyFacts(kind, known, store);
    },
    interfaceOf: (name) => pods.get(keyOf(name)),
    applyPolicies: (manifests, readable) => applyManifests(store, manifests, readable),
    apply(line) {
      const removed = line.startsWith('delete ');
      const [kind = '', name = '', ...words] = line.replace(/^delete /, '').split(/\s+/);
      switch (kind) {
        case 'node': {
          const [address = '', , ...rest] = words;
          const { zone, encapsulation } = options(rest);
          const given = {
            internalIps: address.split(',').map(ip),
            podCidrs: rest.filter((word) => !word.includes('=')).map(prefix),
            annotations:
              encapsulation === undefined ? {} : { [encapsulationAnnotation]: encapsulation },
            labels: zone === undefined ? {} : { 'topology.kubernetes.io/zone': zone },
          };
          return store.commit('nodes', [[name, removed ? undefined : node(name, 0, given)]]);
        }
        case 'pod':
          return applyPod(name, words, removed);
        case 'attachment':
          return applyAttachment(name, words, removed);
        case 'namespace':
          return store.commit('namespaces', [
            [name, removed ? undefined : namespaceOf(name, words)],
          ]);
        case 'policy':
          return store.commit('policies', [[keyOf(name), undefined]]);
        case 'clusterpolicy':
          return store.commit('clusterPolicies', [[name, undefined]]);
        case 'late':
          for (const kind of listOf(name)) late.add(kind as FactKind);
          return;
        case 'synced':
          for (const kind of listOf(name)) {
            late.delete(kind as FactKind);
            addFacts(kind as FactKind, known, store);
          }
          return;
        case 'route': {
          const fact = { prefix: prefix(name), nextHops: words.slice(1).map(ip) };
          return store.commit('learnedRoutes', [[name, removed ? undefined : fact]]);
        }
        case 'service': {
          const fact = serviceOf(name, words);
          protocols.set(
            name,
            fact.ports.map((port) => port.protocol),
          );
          return store.commit('services', [[name, removed ? undefined : fact]]);
        }
        case 'hostport': {
          const fact = removed ? undefined : hostPortPod(name, words);
          return store.commit('pods', [[name, fact]]);
        }
        case 'forget': {
          const before = store.facts.affinityEpochs.get(`${name} tcp/TCP`) ?? 0;
          return store.commit('affinityEpochs', [[`${name} tcp/TCP`, before + 1]]);
        }
        case 'config':
          return store.commit('config', [['config', configOf([name, ...words])]]);
        case 'endpoint':
          return applyEndpoint(name, words[0] ?? '', words.slice(1), removed);
        default:
          throw new Error(`not an object: ${line}`);
      }
    },
  };
}

function serviceOf(name: string, words: readonly string[]): Service {
  const given = options(words);
  const ports = words.filter((word) => /^\d+\/(tcp|udp|sctp)$/.test(word));
  const vips = words.filter((word) => !word.includes('=') && !word.includes('/'));
  const ingress = listOf(given.lb);
  const nodePortType = given.nodePort === undefined ? 'ClusterIP' : 'NodePort';
  return service(name, {
    clusterIps: vips.map(ip),
    type:
      given.type === 'ExternalName'
        ? 'ExternalName'
        : ingress.length > 0
          ? 'LoadBalancer'
          : nodePortType,
    ingress: ingress.map((one) => ({
      ip: ip(one),
      mode: given.mode === 'Proxy' ? 'Proxy' : 'VIP',
    })),
    externalIps: listOf(given.externalIp).map(ip),
    sourceRanges: listOf(given.ranges),
    externalTrafficPolicy: given.external === 'Local' ? 'Local' : 'Cluster',
    internalTrafficPolicy: given.internal === 'Local' ? 'Local' : 'Cluster',
    affinitySeconds: Number(given.affinity ?? 0),
    // A port's name is its protocol, so that slices of several protocols match by name.
    ports: (ports.length === 0 ? ['80/tcp'] : ports).map((text) => {
      const [number, protocol = 'tcp'] = text.split('/');
      return {
        name: protocol,
        protocol: protocol.toUpperCase() as Protocol,
        port: Number(number),
        nodePort: Number(given.nodePort ?? 0),
      };
    }),
  });
}

function hostPortPod(name: string, words: readonly string[]): Pod {
  const [hostPort = '', protocol = 'tcp'] = (words[0] ?? '').split('/');
  const target = words[1] ?? '';
  const colon = target.lastIndexOf(':');
  return pod(name, {
    node: config.nodeName,
    ips: [ip(target.slice(0, colon).replaceAll(/[[\]]/g, ''))],
    ports: [
      {
        name: '',
        protocol: protocol.toUpperCase() as Protocol,
        containerPort: Number(target.slice(colon + 1)),
        hostPort: Number(hostPort),
        hostIp: options(words).hostIp ?? '',
      },
    ],
  });
}

function configOf(words: readonly string[]): Config {
  const given = options(words);
  const { externalIpRanges, strictSourceRanges, nodePortAddresses } = given;
  const { encapsulation, accept, mode } = given;
  return {
    ...config,
    bgp: { ...config.bgp, enabled: false },
    overlay: {
      ...config.overlay,
      accept: encapsulations.filter((one) => listOf(accept).includes(one)),
      encapsulation: encapsulations.find((one) => one === encapsulation) ?? 'ipip',
      mode: mode === 'full' ? 'full' : 'subnet',
    },
    services: {
      ...config.services,
      externalIpRanges: listOf(externalIpRanges).map(prefix),
      nodePortAddresses: listOf(nodePortAddresses).map(prefix),
      strictSourceRanges: strictSourceRanges === 'true',
    },
  };
}
