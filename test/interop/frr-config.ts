import { familyOf, type Prefix } from '../../src/core/ip.ts';
import {
  type Announcement,
  type Attributes,
  groupByAttributes,
  type Neighbour,
  type RouterConfig,
} from './router.ts';

/**
 * FRR lets a `network` have attributes of its own, but no next hop that reaches a neighbour. So
 * each set of attributes has a tag, `network` marks its prefix with it, and one route map for
 * all neighbours turns the tag into attributes.
 */
export interface FrrTags {
  /** Number of a set of attributes; new ones get new numbers. */
  tagOf(attributes: Attributes): number;
  /** Commands that define all tags. */
  commands(asn: number): string[];
}

export function createFrrTags(): FrrTags {
  const tags = new Map<string, { readonly tag: number; readonly attributes: Attributes }>();
  return {
    tagOf(attributes) {
      const key = JSON.stringify(attributes);
      const known = tags.get(key) ?? { tag: tags.size + 1, attributes };
      tags.set(key, known);
      return known.tag;
    },
    commands: (asn) =>
      [...tags.values()].flatMap(({ tag, attributes }) => [
        `route-map tag${tag} permit 1`,
        ` set tag ${tag}`,
        'exit',
        `route-map export permit ${tag}`,
        ` match tag ${tag}`,
        ...sets(attributes, asn).map((text) => ` set ${text}`),
        'exit',
      ]),
  };
}

function sets(attributes: Attributes, asn: number): string[] {
  const { nextHop, localPref, med, prepend = 0 } = attributes;
  const { communities = [], largeCommunities = [], extendedCommunities = [] } = attributes;
  return [
    familyOf(nextHop) === 4 ? `ip next-hop ${nextHop}` : `ipv6 next-hop global ${nextHop}`,
    ...(localPref === undefined ? [] : [`local-preference ${localPref}`]),
    ...(med === undefined ? [] : [`metric ${med}`]),
    ...(communities.length === 0 ? [] : [`community ${communities.join(' ')}`]),
    ...(largeCommunities.length === 0 ? [] : [`large-community ${largeCommunities.join(' ')}`]),
    ...extendedCommunities.map((c) => `extcommunity ${c.replace(':', ' ')}`),
    ...(prepend === 0 ? [] : [`as-path prepend ${Array(prepend).fill(asn).join(' ')}`]),
  ];
}

/** Commands that announce a prefix, or end that, by the tag of its attributes. */
export type FrrNetworks = ReadonlyMap<Prefix, number>;

export function networksOf(announcements: readonly Announcement[], tags: FrrTags): FrrNetworks {
  return new Map(
    groupByAttributes(announcements).flatMap(({ attributes, prefixes }) => {
      const tag = tags.tagOf(attributes);
      return prefixes.map((prefix) => [prefix, tag] as const);
    }),
  );
}

/** Commands within `router bgp` that turn the networks of `before` into those of `after`. */
export function networkCommands(before: FrrNetworks, after: FrrNetworks): string[] {
  return [4, 6].flatMap((family) => [
    `address-family ipv${family} unicast`,
    ...[...before.keys()]
      .filter((prefix) => familyOf(prefix) === family && !after.has(prefix))
      .map((prefix) => `no network ${prefix}`),
    ...[...after]
      .filter(([prefix, tag]) => familyOf(prefix) === family && before.get(prefix) !== tag)
      .map(([prefix, tag]) => `network ${prefix} route-map tag${tag}`),
    'exit-address-family',
  ]);
}

export function frrConfig(
  config: RouterConfig,
  networks: FrrNetworks,
  tags: FrrTags,
  logFile: string,
): string {
  return [
    'hostname frr',
    `log file ${logFile} informational`,
    // What it announces names only route maps that are complete: nothing has to be done again.
    'bgp route-map delay-timer 0',
    ...tags.commands(config.asn),
    'route-map export deny 65535',
    'exit',
    `router bgp ${config.asn}`,
    `bgp router-id ${config.routerId}`,
    'no bgp default ipv4-unicast',
    'no bgp ebgp-requires-policy',
    'no bgp network import-check',
    ...(config.restartSeconds === 0
      ? ['bgp graceful-restart-disable']
      : [
          'bgp graceful-restart',
          'bgp graceful-restart preserve-fw-state',
          `bgp graceful-restart restart-time ${config.restartSeconds}`,
          'bgp long-lived-graceful-restart stale-time 60',
        ]),
    'coalesce-time 0',
    ...config.neighbours.flatMap((neighbour) => session(config, neighbour)),
    ...[4, 6].flatMap((family) => [
      `address-family ipv${family} unicast`,
      ...config.neighbours
        .filter((neighbour) => neighbour.families.some((each) => each === family))
        .flatMap(({ address, addPath }) => [
          `neighbor ${address} activate`,
          `neighbor ${address} route-map export out`,
          ...(addPath === true ? [`neighbor ${address} addpath-tx-all-paths`] : []),
        ]),
      'exit-address-family',
    ]),
    ...networkCommands(new Map(), networks),
    'exit',
    '',
  ].join('\n');
}

function session({ asn, port }: RouterConfig, neighbour: Neighbour): string[] {
  const external = neighbour.asn !== asn;
  const lines = [
    `remote-as ${neighbour.asn}`,
    `port ${port}`,
    `update-source ${neighbour.localAddress}`,
    'timers connect 1',
    'advertisement-interval 0',
    ...(neighbour.passive === true ? ['passive'] : []),
    ...(neighbour.password === undefined ? [] : [`password ${neighbour.password}`]),
    ...(external
      ? [
          neighbour.hopsMax === undefined
            ? `ebgp-multihop ${neighbour.ttl ?? 255}`
            : `ttl-security hops ${neighbour.hopsMax}`,
        ]
      : []),
    // Without zebra it knows of no link that a neighbour could be on.
    ...(external ? ['disable-connected-check'] : []),
  ];
  return lines.map((line) => `neighbor ${neighbour.address} ${line}`);
}
