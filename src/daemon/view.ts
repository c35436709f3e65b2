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
import type {
  FlowExplanation,
  PodPolicyExplanation,
  PolicyFigures,
  PolicyView,
  VerdictCounts,
} from '../core/control-policy.ts';
import type { PolicyLintView } from '../core/control-policy-lint.ts';
import type {
  AdvertisementView,
  LintView,
  PeerView,
  RouteExplanation,
  RouteView,
} from '../core/control-routing.ts';
import type { Parsed } from '../core/parsed.ts';
import type { Stage } from '../desired/table.ts';

/** `--from`, `--to` and `--port` of `kvr explain policy`, as they were typed; '' without a port. */
export interface FlowQuestion {
  readonly from: string;
  readonly to: string;
  readonly port: string;
}

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
  /** Each policy of the cluster, with what this node counted for it. */
  policies(): Promise<readonly PolicyView[]>;
  /** Packets by policy and verdict, after a look at VPP's counters. */
  policyCounts(): Promise<ReadonlyMap<string, VerdictCounts>>;
  policyFigures(): PolicyFigures;
  /** Sessions of VPP's filters; undefined when VPP does not say. */
  policySessions(): Promise<number | undefined>;
  /** Whether policies let a packet pass; rejected when the words mean no packet. */
  explainFlow(question: FlowQuestion): Promise<Parsed<FlowExplanation>>;
  /** What a pod's interface asks of packets; rejected when this node has no such pod. */
  explainPod(pod: string): Promise<Parsed<PodPolicyExplanation>>;
  trace(request: TraceRequest, signal: AbortSignal): Promise<TraceView>;
}
