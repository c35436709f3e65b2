import type {
  Check,
  ErrorView,
  PodView,
  RowView,
  ServiceExplanation,
  ServiceView,
  TableView,
  TraceRequest,
  TraceView,
} from '../core/control-api.ts';
import type { PolicyLintView } from '../core/control-policy-lint.ts';
import type {
  AdvertisementView,
  LintView,
  PeerView,
  RouteExplanation,
  RouteView,
} from '../core/control-routing.ts';
import type { Stage } from '../desired/table.ts';

/** How far the data plane is behind what the cluster said (KP-52). */
export interface Freshness {
  /** When the last round ended, ms since the epoch; undefined before the first. */
  readonly lastUpdatedMs: number | undefined;
  /** When the oldest change arrived that is not yet in force; undefined when there is none. */
  readonly oldestPendingMs: number | undefined;
  /** False while the Node is being deleted or about to be (KEP-3836). */
  readonly nodeEligible: boolean;
}

/** A source of facts as metrics and checks see it. */
export interface SourceView {
  readonly name: string;
  readonly synced: boolean;
  /** ms since the epoch; undefined before the first event. */
  readonly lastEventMs: number | undefined;
}

/** A target as metrics and checks see it. */
export interface TargetView {
  readonly name: string;
  readonly connected: boolean;
}

/** Figures about Services, for metrics. */
export interface ServiceFigures {
  /** Changes of Services and slices that no round has taken yet. */
  readonly pendingServices: number;
  readonly pendingSlices: number;
  /** Ports of Services whose policy Local finds no endpoint on this node, by family and policy. */
  readonly noLocalEndpoints: readonly {
    readonly family: 4 | 6;
    readonly internal: number;
    readonly external: number;
  }[];
}

/** New connections of one frontend since VPP made its translation. */
export interface FrontendConnections {
  /** `namespace/name:port`. */
  readonly service: string;
  readonly frontend: string;
  readonly connections: number;
}

/**
 * What the periphery (health, metrics, control socket) may see of the running daemon. Nothing
 * behind it can be changed through it, and nothing of it is stored: each call looks.
 */
export interface DaemonView {
  readonly nodeName: string;
  readonly version: string;
  checks(): readonly Check[];
  freshness(): Freshness;
  tables(): readonly TableView[];
  rows(table: Stage): readonly RowView[];
  services(): readonly ServiceView[];
  pods(): readonly PodView[];
  problems(): readonly ErrorView[];
  sources(): readonly SourceView[];
  targets(): readonly TargetView[];
  serviceFigures(): ServiceFigures;
  /** From VPP's counters; empty while they cannot be read. */
  connections(): Promise<readonly FrontendConnections[]>;
  /** Asks GoBGP; rejects when it does not answer. */
  peers(signal: AbortSignal): Promise<readonly PeerView[]>;
  routes(): readonly RouteView[];
  /** Paths of this node; `withNeighbours` says also who hears each. */
  advertisements(withNeighbours: boolean): readonly AdvertisementView[];
  /** State of each BFD session, such as `up`, by the neighbour's address. */
  bfdSessions(): ReadonlyMap<string, string>;
  /** Undefined when the daemon knows no such Service; then names like it. */
  explainService(key: string): Promise<{
    readonly found: ServiceExplanation | undefined;
    readonly similar: readonly string[];
  }>;
  /** Undefined when the text is neither an address nor a prefix. */
  explainRoute(to: string, signal: AbortSignal): Promise<RouteExplanation | undefined>;
  /** What the text of a configuration file would change; applies nothing. */
  lint(text: string): LintView;
  /** Mistakes in the policies of manifests; absent: in those in force. */
  lintPolicies(manifests?: { readonly text: string; readonly namespace: string }): PolicyLintView;
  trace(request: TraceRequest, signal: AbortSignal): Promise<TraceView>;
}
