/**
 * What the daemon's control socket serves: the contract of the daemon and `kvr`.
 *
 * HTTP over a unix socket, JSON, GET only but for `/lint` and `/policy/lint`. A list is `{ "items": […] }`, an error is
 * `{ "error": "…" }` with a status of 400 or more.
 */
export const controlSocketDefault = '/run/kube-vpp-router/control.sock';

export type Gate = 'live' | 'ready';

/** One answer to "is it well?", with the reason in both cases. */
export interface Check {
  readonly name: string;
  /** `live`: only a restart of the daemon can help. `ready`: it works on it. */
  readonly gate: Gate;
  readonly ok: boolean;
  readonly reason: string;
}

export type RowStatus = 'done' | 'pending' | 'failed';

/** One row of a table. */
export interface RowView {
  readonly key: string;
  /** The row as its table prints it. */
  readonly line: string;
  readonly status: RowStatus;
  /** Why it failed; empty otherwise. */
  readonly error: string;
}

/** One table and how far its rows are. */
export interface TableView {
  readonly name: string;
  readonly desired: number;
  readonly applied: number;
  readonly failed: number;
}

/** One frontend of a Service. */
export interface ServiceView {
  /** `namespace/name:port`. */
  readonly service: string;
  /** What sort of address the frontend is, such as `ClusterIP` or `NodePort`. */
  readonly kind: string;
  /** `10.96.0.10:53/udp`. */
  readonly frontend: string;
  /** Empty when the Service has no usable endpoint. */
  readonly backends: readonly string[];
  readonly status: RowStatus;
  readonly error: string;
}

/** A pod of this node that CNI ADD attached. */
export interface PodView {
  readonly pod: string;
  readonly ips: readonly string[];
  readonly interface: string;
  readonly kind: string;
  readonly containerId: string;
  /**
   * What policies say of it: `open`, `rules` (they have a say, and it is not isolated), the
   * directions in which it is isolated, such as `ingress+egress`, or `closed` until they are known.
   */
  readonly policies: string;
  readonly status: RowStatus;
  readonly error: string;
}

/** A `Problem` as it travels. */
export interface ErrorView {
  readonly object: string;
  readonly field: string;
  readonly reason: string;
}

export const traceProtocols = ['tcp', 'udp', 'sctp', 'icmp'] as const;
export type TraceProtocol = (typeof traceProtocols)[number];

/** A packet whose way is asked for. */
export interface TraceRequest {
  readonly source: string;
  readonly destination: string;
  readonly protocol: TraceProtocol;
  /** 0 for ICMP. */
  readonly port: number;
}

/** The way of a packet, as the rows say. */
export interface TraceView {
  readonly steps: readonly { readonly at: string; readonly what: string }[];
  readonly verdict: string;
}

/** One frontend of a Service, with everything about it. */
export interface ExplainedFrontend {
  readonly kind: string;
  readonly frontend: string;
  /** What a client meets: endpoints, a refusal, silence, or nothing that this daemon programmed. */
  readonly answer: 'endpoints' | 'refused' | 'dropped' | 'nothing';
  readonly backends: readonly string[];
  /** Source ranges, `everybody` or `nobody`. */
  readonly allowed: string;
  /** What else a client meets, such as the reason of a refusal; empty mostly. */
  readonly note: string;
  /** How often clients were forgotten; undefined without affinity. */
  readonly affinityEpoch: number | undefined;
  readonly status: RowStatus;
  readonly error: string;
  /** VPP's id of the translation; undefined while it has none. */
  readonly translationId: number | undefined;
  /** New connections since VPP made the translation. */
  readonly connections: number;
  readonly openSessions: number;
  /** Open sessions by backend, the busiest first. */
  readonly sessionsByBackend: readonly { readonly backend: string; readonly sessions: number }[];
}

/** One endpoint, and why it is used or not. */
export interface EndpointView {
  readonly address: string;
  readonly node: string;
  /** Used under traffic policy Cluster, and under Local. */
  readonly cluster: boolean;
  readonly local: boolean;
  readonly reason: string;
}

export interface ExplainedPort {
  readonly name: string;
  readonly protocol: string;
  readonly frontends: readonly ExplainedFrontend[];
  readonly endpoints: readonly EndpointView[];
}

/** The answer to `GET /explain/service?key=namespace/name`. */
export interface ServiceExplanation {
  readonly service: string;
  readonly type: string;
  /** The first line: how it is. */
  readonly verdict: string;
  readonly internalTrafficPolicy: string;
  readonly externalTrafficPolicy: string;
  /** 0 when there is none. */
  readonly affinitySeconds: number;
  /** False when VPP has too many sessions to count them for this. */
  readonly sessionsRead: boolean;
  readonly ports: readonly ExplainedPort[];
  readonly problems: readonly ErrorView[];
}

/** The answer to `GET /status`. */
export interface StatusView {
  readonly node: string;
  readonly version: string;
  readonly ready: boolean;
  readonly checks: readonly Check[];
}
