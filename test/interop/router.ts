import type { Ip, Prefix } from '../../src/core/ip.ts';

/**
 * A BGP daemon of somebody else, as the other end of our sessions: what a test says to it and
 * asks of it, in words of neither BIRD nor FRR.
 */
export interface Router extends AsyncDisposable {
  readonly config: RouterConfig;
  /** How the session with a neighbour is. */
  session(neighbour: Ip): Promise<RouterSession>;
  /** Every path that neighbours sent and the router accepted, without attributes. */
  routes(): Promise<readonly RouterRoute[]>;
  /** The paths to one prefix with all their attributes, best or not. */
  paths(prefix: Prefix): Promise<readonly RouterPath[]>;
  /** Makes `announcements` all that it announces. */
  announce(announcements: readonly Announcement[]): Promise<void>;
  /** Ends it as a crash does: the neighbours hear nothing. */
  kill(): Promise<void>;
  /**
   * Starts it again with what it announced before. It says that it forwarded meanwhile
   * (RFC 4724) unless it gets another configuration.
   */
  restart(config?: RouterConfig): Promise<void>;
}

export interface RouterConfig {
  readonly asn: number;
  readonly routerId: Ip;
  /** TCP port of BGP, of itself and of its neighbours. */
  readonly port: number;
  /** How long neighbours shall keep its routes when it dies (RFC 4724); 0: not at all. */
  readonly restartSeconds: number;
  readonly neighbours: readonly Neighbour[];
}

export interface Neighbour {
  readonly address: Ip;
  readonly localAddress: Ip;
  readonly asn: number;
  readonly families: readonly (4 | 6)[];
  /** Waits for the other side to call. */
  readonly passive?: boolean;
  /** TCP-MD5 (RFC 2385). */
  readonly password?: string;
  /** TTL of what it sends to a neighbour of another AS; default 255. */
  readonly ttl?: number;
  /** Packets of a neighbour of another AS must have come over that many hops at most (RFC 5082). */
  readonly hopsMax?: number;
  /** Sends all of its paths, not only the best (RFC 7911). */
  readonly addPath?: boolean;
}

export interface RouterSession {
  readonly established: boolean;
  /** True while it keeps the routes of a neighbour that is away (RFC 4724). */
  readonly helping: boolean;
  /** Differs for every time that the session came up. */
  readonly incarnation: string;
}

export interface RouterRoute {
  readonly prefix: Prefix;
  /** Address of the neighbour that sent it. */
  readonly from: Ip;
  /** Differs when the route was withdrawn and came back, or changed. */
  readonly incarnation: string;
}

export interface RouterPath {
  readonly nextHop: Ip;
  readonly from: Ip;
  readonly asPath: readonly number[];
  readonly localPref: number | undefined;
  readonly med: number | undefined;
  /** `65001:5` */
  readonly communities: readonly string[];
  /** `1:2:3` */
  readonly largeCommunities: readonly string[];
  /** `rt:65001:5` */
  readonly extendedCommunities: readonly string[];
  readonly originatorId: string | undefined;
  readonly clusterList: readonly string[];
}

/** A prefix that the router announces. Where a text stands, it is as in `RouterPath`. */
export interface Announcement extends Attributes {
  readonly prefix: Prefix;
}

export interface Attributes {
  readonly nextHop: Ip;
  readonly localPref?: number;
  readonly med?: number;
  readonly communities?: readonly string[];
  readonly largeCommunities?: readonly string[];
  readonly extendedCommunities?: readonly string[];
  /** How many times more than once its own number stands in the path. */
  readonly prepend?: number;
}

/** Announcements with equal attributes together. */
export function groupByAttributes(
  announcements: readonly Announcement[],
): { readonly attributes: Attributes; readonly prefixes: readonly Prefix[] }[] {
  const groups = new Map<string, { attributes: Attributes; prefixes: Prefix[] }>();
  for (const { prefix, ...attributes } of announcements) {
    const key = JSON.stringify(attributes);
    const group = groups.get(key) ?? { attributes, prefixes: [] };
    groups.set(key, group);
    group.prefixes.push(prefix);
  }
  return [...groups.values()];
}
