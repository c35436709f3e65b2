import { createHash } from 'node:crypto';
import { familyOf, hostPrefix, type Ip, prefix } from '../core/ip.ts';
import { everybody, forEverybody } from '../desired/filters.ts';
import type { FilterRow, FilterRule } from '../desired/rows.ts';
import { everything, type Part, type Service } from './boxes.ts';
import { createMemo } from './memo.ts';
import type { Direction } from './peers.ts';

/**
 * Filters that policies become. A filter is named by what it says, so that all pods with the same
 * rules share it, and it never changes: other rules are another filter, which is there before an
 * interface changes over to it and goes when nobody has it any more (the order of stages).
 */

/** Rules of a filter; VPP needs longer for a larger one than packets should wait. */
export const rulesMax = 256;

/** What one part is asked for: directions, actions, and who isolates or is audited. */
const remembered = createMemo<readonly FilterRow[]>(16);

/** The filters that say what becomes of the packets of a part; `tag` goes into their names. */
export function filtersOf(
  part: Part,
  direction: Direction,
  action: 'reflect' | 'deny',
  tag: string,
): readonly FilterRow[] {
  // The tags of what is everything are as many as sets of policies: not remembered.
  if (part === everything) return [nameFilter(tag, rulesOf(part, direction, action))];
  return remembered(part, `${tag} ${direction} ${action}`, () =>
    chunksOf(rulesOf(part, direction, action)).map((rules) => nameFilter(tag, rules)),
  );
}

function rulesOf(part: Part, direction: Direction, action: FilterRule['action']): FilterRule[] {
  return part.map(({ remote, ...service }) => {
    const all = everybody[familyOf(remote)];
    const { protocol, ports } = service;
    const ends =
      direction === 'Ingress'
        ? { source: remote, destination: all }
        : { source: all, destination: remote };
    const isPlain = ports === undefined || ignoresPorts(service, action);
    return { action, ...ends, protocol, ...(isPlain ? {} : { ports }) };
  });
}

/**
 * VPP's filters see no port of SCTP (plugins/acl/public_inlines.h reads those of TCP and UDP), so a
 * rule with one never matches. To allow it means to allow none, except where it means all of them;
 * to deny it means to deny all.
 */
function ignoresPorts({ protocol, ports }: Service, action: FilterRule['action']): boolean {
  const isAll = ports !== undefined && ports[0] <= 1 && ports[1] === 65_535;
  return protocol === 'SCTP' && (isAll || action === 'deny');
}

function chunksOf<T>(items: readonly T[]): (readonly T[])[] {
  const chunks: (readonly T[])[] = [];
  for (let at = 0; at < items.length; at += rulesMax) chunks.push(items.slice(at, at + rulesMax));
  return chunks;
}

/** `np-4f…`: the tag says what for, the rest is a hash of the rules. */
export function nameFilter(tag: string, rules: readonly FilterRule[]): FilterRow {
  const hash = createHash('sha256');
  for (const { action, source, destination, protocol, ports } of rules)
    hash.update(`${action} ${source} ${destination} ${protocol} ${ports?.join('-') ?? ''}\n`);
  return { name: `${tag}-${hash.digest('hex').slice(0, 24)}`, rules };
}

function icmp(protocol: 'ICMP' | 'ICMPv6', first: number, last = first): FilterRule {
  const all = everybody[protocol === 'ICMP' ? 4 : 6];
  return { action: 'permit', source: all, destination: all, protocol, ports: [first, last] };
}

/**
 * What every pod sends and receives.
 *
 * NP-21: VPP's sessions do not know ICMP errors (RFC 792: 3, 11, 12; RFC 4443: 1 to 4), so these
 * pass for every flow; neighbour discovery and multicast listeners (RFC 4861: 133 to 137; RFC
 * 2710: 130 to 132; RFC 3810: 143) are how IPv6 works at all.
 *
 * NP-22: later fragments have no ports, are of no session, and match every rule of their protocol,
 * whatever its ports (VPP's l4-match-nonfirst-fragment). A rule for port 0, to which nobody
 * listens, is for them alone: so they follow the first one, which is judged, and without which
 * nobody can put them together.
 */
export const alwaysFilter: FilterRow = {
  name: 'np-always',
  rules: [
    icmp('ICMP', 3),
    icmp('ICMP', 11, 12),
    icmp('ICMPv6', 1, 4),
    icmp('ICMPv6', 130, 137),
    icmp('ICMPv6', 143),
    ...forEverybody({ action: 'permit', protocol: 'UDP', ports: [0, 0] }),
    ...forEverybody({ action: 'permit', protocol: 'TCP', ports: [0, 0] }),
  ],
};

/** A pod that no policy concerns. Sessions, so that its flows outlive the first policy. */
export const openFilter: FilterRow = {
  name: 'np-open',
  rules: forEverybody({ action: 'reflect', protocol: 'any' }),
};

/** NP-19: a pod whose policies are not known yet. */
export const closedFilter: FilterRow = {
  name: 'np-closed',
  rules: forEverybody({ action: 'deny', protocol: 'any' }),
};

/** Begins the names of filters for the node's own addresses. */
export const nodeFilterTag = 'np-node';

/** NP-15: the node that a pod is on. */
export function nodeFilter(addresses: readonly Ip[]): FilterRow {
  const rules = [...new Set(addresses)].sort().map(
    (address): FilterRule => ({
      action: 'reflect',
      source: hostPrefix(address),
      destination: everybody[familyOf(address)],
      protocol: 'any',
    }),
  );
  return nameFilter(nodeFilterTag, rules.length === 0 ? nobody : rules);
}

/** Where VPP would deny everything, because a filter has no rule: this matches no packet. */
const nobody: readonly FilterRule[] = [
  {
    action: 'deny',
    source: prefix('255.255.255.255/32'),
    destination: prefix('255.255.255.255/32'),
    protocol: 'any',
  },
];
