import { matchesCommunity } from '../core/community.ts';
import {
  compareText,
  type Ip,
  type Prefix,
  prefixAddress,
  prefixContains,
  prefixLength,
} from '../core/ip.ts';
import type { BgpPolicyRow, BgpStatement } from './rows.ts';

/**
 * What a policy does with one path, as GoBGP does it (v3.10.0 internal/pkg/table/policy.go): the
 * first statement of which all conditions hold decides, then its actions are done. Pure, so that
 * `kvr` can say who hears a path and which statement keeps one out.
 */
export interface PolicyPath {
  readonly prefix: Prefix;
  readonly nextHop: Ip;
  /** Canonical texts (src/core/community.ts). */
  readonly communities: readonly string[];
  readonly localPreference: number | undefined;
  readonly med: number | undefined;
  /** Nearest AS first; empty for a path that was made here. */
  readonly asPath: readonly number[];
  /** Made here, learned from our own AS, or from another. */
  readonly routeType: 'local' | 'internal' | 'external';
}

/** Who tells a path (import) or shall hear of it (export). */
export interface PolicyPeer {
  /** A prefix stands for whoever calls from inside. */
  readonly address: Ip | Prefix;
  /** Our end of the session: what next hop `self` means. */
  readonly localAddress: Ip;
}

export interface PolicyVerdict {
  readonly accept: boolean;
  /** The statement that decided; undefined: none did, and the policy's default counts. */
  readonly statement: string | undefined;
  /** What of the statement met the path, for people: `prefix 10.0.0.0/8, community 64512:1`. */
  readonly because: string;
  /** The path after the actions; as it came when it is rejected. */
  readonly path: PolicyPath;
}

/** Total: every path gets a verdict from every policy. */
export function evaluatePolicy(
  policy: BgpPolicyRow,
  path: PolicyPath,
  peer: PolicyPeer,
): PolicyVerdict {
  for (const statement of policy.statements) {
    const met = conditionsMet(statement, path, peer);
    if (met === undefined) continue;
    return {
      accept: statement.accept,
      statement: statement.name,
      because: met.join(', ') || 'everything',
      path: statement.accept ? actedOn(statement, path, peer) : path,
    };
  }
  return {
    accept: policy.otherwise === 'accept',
    statement: undefined,
    because: 'no statement is about it',
    path,
  };
}

/** What held, one text for each condition; undefined when one did not. */
function conditionsMet(
  { peers, prefixes, communities, routeType }: BgpStatement,
  path: PolicyPath,
  peer: PolicyPeer,
): string[] | undefined {
  const met: string[] = [];
  if (peers !== undefined) {
    const found = peers.find((one) => isInside(peer.address, one));
    if (found === undefined) return undefined;
    met.push(`neighbour ${found}`);
  }
  if (prefixes !== undefined) {
    const length = prefixLength(path.prefix);
    const found = prefixes.find(
      ({ prefix, min, max }) =>
        prefixContains(prefix, prefixAddress(path.prefix)) && min <= length && length <= max,
    );
    if (found === undefined) return undefined;
    met.push(`prefix ${found.prefix} of length ${found.min} to ${found.max}`);
  }
  if (communities !== undefined) {
    const found = communities.find((one) => path.communities.includes(one));
    if (found === undefined) return undefined;
    met.push(`community ${found}`);
  }
  if (routeType !== undefined) {
    if (routeType !== path.routeType) return undefined;
    met.push(`${routeType} route`);
  }
  return met;
}

/** Whether an address, or all of a prefix, is what `outer` names. */
function isInside(inner: Ip | Prefix, outer: Ip | Prefix): boolean {
  if (inner === outer) return true;
  if (!isPrefix(outer)) return false;
  if (!isPrefix(inner)) return prefixContains(outer, inner);
  return prefixLength(outer) <= prefixLength(inner) && prefixContains(outer, prefixAddress(inner));
}

function isPrefix(text: Ip | Prefix): text is Prefix {
  return text.includes('/');
}

function actedOn(statement: BgpStatement, path: PolicyPath, peer: PolicyPeer): PolicyPath {
  const { addCommunities, removeCommunities, localPreference, med, prepend, nextHop } = statement;
  const isRemoved = (one: string) =>
    removeCommunities?.some((pattern) => matchesCommunity(pattern, one)) === true;
  const kept = path.communities.filter((one) => !isRemoved(one));
  return {
    ...path,
    communities: [...new Set([...kept, ...(addCommunities ?? [])])].toSorted(compareText),
    localPreference: localPreference ?? path.localPreference,
    med: med ?? path.med,
    asPath:
      prepend === undefined
        ? path.asPath
        : [...Array.from({ length: prepend.times }, () => prepend.asn), ...path.asPath],
    nextHop:
      nextHop === undefined ? path.nextHop : nextHop === 'self' ? peer.localAddress : nextHop,
  };
}
