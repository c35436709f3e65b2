import { familyOf } from '../../src/core/ip.ts';
import {
  type Announcement,
  type Attributes,
  groupByAttributes,
  type Neighbour,
  type RouterConfig,
} from './router.ts';

/** A configuration of BIRD 2: `peer0`, `peer1`, … are the neighbours in their order. */
export function birdConfig(
  config: RouterConfig,
  announcements: readonly Announcement[],
  logFile: string,
): string {
  const families = [4, 6] as const;
  return [
    `router id ${config.routerId};`,
    `log "${logFile}" { info, warning, error, remote, auth, fatal, bug };`,
    'timeformat protocol iso long ms;',
    'timeformat route iso long ms;',
    'protocol device {}',
    ...families.flatMap((family) => {
      const ours = announcements.filter(({ prefix }) => familyOf(prefix) === family);
      return [
        `protocol static static${family} {`,
        `  ipv${family};`,
        ...ours.map(({ prefix }) => `  route ${prefix} blackhole;`),
        '}',
        `filter export${family} {`,
        ...groupByAttributes(ours).flatMap(({ attributes, prefixes }) => [
          `  if net ~ [ ${prefixes.join(', ')} ] then {`,
          ...statements(attributes, config.asn).map((text) => `    ${text};`),
          '    accept;',
          '  }',
        ]),
        '  reject;',
        '}',
      ];
    }),
    ...config.neighbours.flatMap((neighbour, i) => peer(config, neighbour, i)),
    '',
  ].join('\n');
}

function statements(attributes: Attributes, asn: number): string[] {
  const list = (text: string) => `(${text.split(':').join(', ')})`;
  const { nextHop, localPref, med, prepend = 0 } = attributes;
  return [
    `bgp_next_hop = ${nextHop}`,
    ...(localPref === undefined ? [] : [`bgp_local_pref = ${localPref}`]),
    ...(med === undefined ? [] : [`bgp_med = ${med}`]),
    ...(attributes.communities ?? []).map((c) => `bgp_community.add(${list(c)})`),
    ...(attributes.largeCommunities ?? []).map((c) => `bgp_large_community.add(${list(c)})`),
    ...(attributes.extendedCommunities ?? []).map((c) => `bgp_ext_community.add(${list(c)})`),
    ...Array.from({ length: prepend }, () => `bgp_path.prepend(${asn})`),
  ];
}

function peer(
  { asn, port, restartSeconds }: RouterConfig,
  neighbour: Neighbour,
  index: number,
): string[] {
  const { address, localAddress, password } = neighbour;
  return [
    `protocol bgp peer${index} {`,
    `  local ${localAddress} port ${port} as ${asn};`,
    `  neighbor ${address} port ${port} as ${neighbour.asn};`,
    '  strict bind yes;',
    `  multihop ${neighbour.hopsMax ?? neighbour.ttl ?? 255};`,
    ...(neighbour.hopsMax === undefined ? [] : ['  ttl security yes;']),
    restartSeconds === 0
      ? '  graceful restart off;'
      : `  graceful restart on;\n  graceful restart time ${restartSeconds};`,
    '  connect delay time 0;',
    '  connect retry time 1;',
    '  error wait time 1, 2;',
    ...(neighbour.passive === true ? ['  passive yes;'] : []),
    ...(password === undefined ? [] : [`  password "${password}";`]),
    ...neighbour.families.flatMap((family) => [
      `  ipv${family} {`,
      '    import all;',
      `    export filter export${family};`,
      ...(neighbour.addPath === true ? ['    add paths tx;'] : []),
      '  };',
    ]),
    '}',
  ];
}
