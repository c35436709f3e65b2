import { ip, prefix } from '../../src/core/ip.ts';
import type { Plan } from '../../src/desired/plan.ts';
import { stages, type Table } from '../../src/desired/table.ts';
import { tables } from '../../src/desired/tables.ts';
import { type BgpPeerConfig, noBfd } from '../../src/model/bgp-config.ts';
import type { Config } from '../../src/model/config.ts';
import type { Labels, Node } from '../../src/model/facts.ts';
import { createStore, type Store } from '../../src/model/store.ts';
import { config, node, uplink } from '../facts.ts';

/** A configuration with other words about BGP. */
export function bgpConfig(bgp: Partial<Config['bgp']>, given: Partial<Config> = {}): Config {
  return { ...config, ...given, bgp: { ...config.bgp, ...bgp } };
}

/** This node is n1; n2 is a neighbour of its subnet. */
export function nodesOf(
  given: Config,
  self: Partial<Node> = {},
  others: readonly Node[] = [node('n2', 2)],
): Store {
  const store = createStore();
  store.replace('config', new Map([['config', given]]));
  store.replace('uplink', new Map([['uplink', uplink]]));
  const all = [node('n1', 1, self), ...others];
  store.replace('nodes', new Map(all.map((one) => [one.key, one])));
  return store;
}

export function annotated(annotations: Labels): Partial<Node> {
  return { annotations };
}

export function peer(name: string, given: Partial<BgpPeerConfig> = {}): BgpPeerConfig {
  return {
    name,
    address: ip('192.0.2.253'),
    range: '',
    asn: 65_001,
    port: 0,
    nodeSelector: {},
    localAddress: '',
    passwordKey: '',
    multihopTtl: 0,
    ttlSecurityHops: 0,
    holdTimeSeconds: 0,
    keepaliveSeconds: 0,
    connectRetrySeconds: 0,
    passive: false,
    families: [4, 6],
    gracefulRestartSeconds: -1,
    longLivedSeconds: -1,
    maxPrefixes: 0,
    addPathReceive: false,
    addPathSend: 0,
    bfd: noBfd,
    advertise: {
      podCidrs: true,
      services: true,
      communities: [],
      localPreference: undefined,
      med: undefined,
      prepend: 0,
      prependAsn: 0,
      nextHop: '',
    },
    ...given,
  };
}

export function lines(plan: Plan): string[] {
  return stages.flatMap((stage) => {
    const table: Table<unknown> = tables[stage];
    return (plan.rows[stage] ?? []).map((row) => `${stage}: ${table.format(row)}`);
  });
}

export const pool = {
  name: 'outside',
  addresses: ['203.0.113.0/28'],
  namespaces: [],
  namespaceLabels: {},
  serviceLabels: {},
  autoAssign: true,
  bgp: { communities: ['64512:7'], localPreference: undefined, med: 70, peers: [] },
};

export const anyPrefix = prefix('203.0.113.0/24');
