import type { ErrorView, RowStatus } from './control-api.ts';

/** What the control socket says of routing: `kvr show peers|routes|advertisements`, and more. */

/** A BGP session, or a range of neighbours that may call. */
export interface PeerView {
  readonly address: string;
  /** `unknown`: GoBGP has it, and nobody here wants it. */
  readonly kind: 'node' | 'peer' | 'range' | 'unknown';
  readonly asn: number;
  /**
   * RFC 4271 section 8.2.2: idle, connect, active, opensent, openconfirm, established. Or
   * `not configured`: GoBGP does not have it yet; of a range `waiting`, as others call.
   */
  readonly state: string;
  /** Seconds in Established; 0 otherwise. */
  readonly uptimeSeconds: number;
  /** Prefixes. */
  readonly received: number;
  /** Of those, all but loops; what the import policy rejects is among them. */
  readonly accepted: number;
  readonly advertised: number;
  /** Sessions that ended since the daemon or gobgpd began, whatever was later. */
  readonly flaps: number;
  /** Such as `node/worker-1` or `peer/tor-a`. */
  readonly description: string;
  /** Why the last session ended, or why it cannot be configured; mostly empty. */
  readonly lastError: string;
  /** Which password, never the password; '' for none. */
  readonly passwordKey: string;
}

/** A route of this node. */
export interface RouteView {
  readonly prefix: string;
  /** As the row prints them: `via 192.0.2.2 dev uplink`. */
  readonly paths: readonly string[];
  readonly origin: 'learned' | 'own';
  /** Of a learned route its BGP next hops, with names where they are known; else who wants it. */
  readonly from: readonly string[];
  readonly status: RowStatus;
  readonly error: string;
}

/** Attributes of a path for people. */
export interface PathView {
  readonly nextHop: string;
  readonly communities: readonly string[];
  readonly localPreference: number | undefined;
  readonly med: number | undefined;
  /** Nearest first; our own AS is not in it. */
  readonly asPath: readonly string[];
}

/** A path that this node originates. */
export interface AdvertisementView extends Omit<PathView, 'asPath'> {
  readonly prefix: string;
  readonly kind: 'pods' | 'service' | 'aggregate' | 'other';
  /** Keys of the Services behind it, or `pods of NODE`. */
  readonly for: readonly string[];
  readonly status: RowStatus;
  readonly error: string;
  /** With `?neighbours=1`: who hears it while its session is up, and how. */
  readonly neighbours?: readonly HearerView[];
}

/** What the export policy makes of a path on its way to one neighbour. */
export interface HearerView extends PathView {
  /** Its description, such as `peer/tor-a`. */
  readonly peer: string;
  readonly address: string;
}

/** A path that GoBGP knows. */
export interface CandidateView extends PathView {
  readonly prefix: string;
  /** `` for a path of this node. */
  readonly neighbor: string;
  /** Description of the neighbour; its address when nobody here knows it. */
  readonly peer: string;
  readonly origin: string;
  readonly ageSeconds: number;
  readonly stale: boolean;
  /** `best`: first choice; `equal`: as good, and used too (ECMP). */
  readonly verdict: 'best' | 'equal' | 'worse' | 'rejected';
  /** Why it is not the best, or which import statement rejects it; '' for the best. */
  readonly reason: string;
}

/** How packets get to a BGP next hop. */
export interface NextHopView {
  readonly nextHop: string;
  /** The Node that has the address; '' for others. */
  readonly node: string;
  readonly way: 'tunnel' | 'direct' | 'gateway' | 'none';
  /** As the route's row prints it; '' when there is no way. */
  readonly path: string;
  readonly reason: string;
}

/** An address of a Service, as it is announced. */
export interface AnnouncedServiceView {
  readonly service: string;
  readonly kind: string;
  readonly announced: boolean;
  readonly reason: string;
  /** The path; '' when it is not announced. */
  readonly prefix: string;
  readonly neighbours: readonly HearerView[];
  /** Neighbours of this node that do not hear it, each with the statement that keeps it back. */
  readonly withheld: readonly { readonly peer: string; readonly reason: string }[];
}

/** The answer to `GET /explain/route?to=PREFIX|ADDRESS`. */
export interface RouteExplanation {
  readonly asked: string;
  /** The first line: where packets go, or why not. */
  readonly verdict: string;
  /** The route in force; undefined when no route of this node is about it. */
  readonly route: RouteView | undefined;
  /** Others that want a route of this prefix, and lost. */
  readonly overruled: readonly string[];
  /** Of a learned route. */
  readonly nextHops: readonly NextHopView[];
  /** All paths that GoBGP has, the longest prefix first. */
  readonly candidates: readonly CandidateView[];
  /** When the address is one of a Service. */
  readonly services: readonly AnnouncedServiceView[];
  /** What could not be found out, and what else is worth knowing. */
  readonly notes: readonly string[];
}

/** What a new configuration would do to one session. */
export interface SessionChangeView {
  readonly address: string;
  readonly description: string;
  /**
   * `bounced`: it ends and comes again; `updated`: it stays, and GoBGP is told; `described`: it
   * stays, and nobody is told.
   */
  readonly change: 'added' | 'removed' | 'bounced' | 'updated' | 'described';
  /** Fields that differ. */
  readonly fields: readonly string[];
}

export interface PolicyChangeView {
  readonly direction: string;
  /** Names of statements. */
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly changed: readonly string[];
  /** True when the order or the default differs and no statement does. */
  readonly reordered: boolean;
}

export interface PrefixChangeView {
  readonly prefix: string;
  readonly change: 'announced' | 'withdrawn' | 'changed';
  /** As the row prints it; '' where there is none. */
  readonly before: string;
  readonly after: string;
}

export interface TableChangeView {
  readonly name: string;
  readonly added: number;
  readonly removed: number;
  readonly changed: number;
}

/** The answer to `POST /lint` with the text of a configuration file. */
export interface LintView {
  /** False: the file cannot be used at all; then nothing was planned. */
  readonly usable: boolean;
  /** Of the file, and of what would be planned from it but is no problem now. */
  readonly problems: readonly ErrorView[];
  /** The BGP server before and after, when that changes: all sessions end with it. */
  readonly server: { readonly before: string; readonly after: string } | undefined;
  readonly sessions: readonly SessionChangeView[];
  readonly policies: readonly PolicyChangeView[];
  readonly prefixes: readonly PrefixChangeView[];
  /** Every table with changes, those of BGP too. */
  readonly tables: readonly TableChangeView[];
}
