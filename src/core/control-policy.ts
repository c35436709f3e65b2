import type { ErrorView, RowStatus } from './control-api.ts';

/** What the control socket says about policies: `GET /policies` and `GET /explain/policy?…`. */

/** A rule of a policy: its place in the direction's list, and its name or ''. */
export interface PolicyRuleView {
  readonly policy: string;
  readonly index: number;
  readonly name: string;
}

/** How far what was judged is in VPP; `elsewhere`: the pod is on another node, which knows. */
export type InForce = RowStatus | 'elsewhere';

/** What was counted of a filter, or of one rule of it; absent while VPP cannot be asked. */
export interface FilterCount {
  readonly filter: string;
  /** Of an allowing rule the first of each connection, of others all. */
  readonly packets?: number;
  /** Pods of this node that share the filter in this direction, and so the count. */
  readonly pods: number;
}

/** One end of a flow, as its policies judge it. */
export interface JudgedEnd {
  readonly direction: 'Egress' | 'Ingress';
  readonly pod: string;
  readonly node: string;
  readonly allowed: boolean;
  /** Rules of policies that decided; empty where none allowed it, or no policy has a say. */
  readonly rules: readonly PolicyRuleView[];
  /** Policies in audit mode that would deny it. */
  readonly audited: readonly string[];
  readonly why: string;
  /** The rule of VPP that decides: its place in the filter, from 0, and what it says. */
  readonly rule: number;
  readonly ruleText: string;
  readonly status: InForce;
  readonly error: string;
  /** Of the rule. */
  readonly hits: FilterCount;
  /** Of the filters of the same list that deny. */
  readonly denied: readonly FilterCount[];
}

/** One way that packets may take, with one address at each end. */
export interface JudgedFlow {
  readonly from: string;
  readonly to: string;
  /** `8080/tcp` or `icmp`; of the endpoint where a Service was asked for. */
  readonly port: string;
  readonly allowed: boolean;
  /** One sentence. */
  readonly verdict: string;
  /** The sender first; an end that is no pod is not judged. */
  readonly ends: readonly JudgedEnd[];
}

/** The answer to `GET /explain/policy?from=…&to=…&port=…`. */
export interface FlowExplanation {
  readonly verdict: string;
  /** The Service that was asked for, and its frontend; absent where a pod or an address was. */
  readonly service?: string;
  readonly flows: readonly JudgedFlow[];
  readonly notes: readonly string[];
}

/** One filter of a pod's list, in the order in which VPP asks. */
export interface PodFilterView extends FilterCount {
  readonly rules: number;
  readonly status: RowStatus;
  readonly error: string;
  readonly why: readonly string[];
}

export interface PodListView {
  readonly direction: 'Egress' | 'Ingress';
  readonly isolated: boolean;
  readonly filters: readonly PodFilterView[];
}

/** The answer to `GET /explain/policy?pod=namespace/name`. */
export interface PodPolicyExplanation {
  readonly pod: string;
  readonly verdict: string;
  readonly addresses: readonly string[];
  readonly interface: string;
  /** Whether both lists are bound to the pod's interface. */
  readonly status: RowStatus;
  readonly error: string;
  readonly lists: readonly PodListView[];
  readonly problems: readonly ErrorView[];
}

/** Packets by verdict since the daemon started. */
export interface VerdictCounts {
  /** The first packet of each connection that a rule allowed. */
  readonly allowed: number;
  /** Every packet that was denied on the policy's behalf. */
  readonly denied: number;
  /** What the policy would deny, in audit mode: the first packet of each connection. */
  readonly audited: number;
}

/** One policy, as it is on this node. */
export interface PolicyView extends VerdictCounts {
  readonly policy: string;
  /** `enforce`, `audit`, or tier and priority of a ClusterNetworkPolicy. */
  readonly mode: string;
  readonly directions: readonly ('Egress' | 'Ingress')[];
  /** Pods of this node to which it applies. */
  readonly pods: readonly string[];
  /** Filters of VPP in which it has a say, and their rules. */
  readonly filters: number;
  readonly rules: number;
  readonly status: RowStatus;
  readonly problems: readonly string[];
}

/** Figures about all policies of this node. */
export interface PolicyFigures {
  readonly pods: {
    /** Nobody knows yet what they may do. */
    readonly closed: number;
    /** No policy concerns them. */
    readonly open: number;
    readonly isolatedIngress: number;
    readonly isolatedEgress: number;
  };
  readonly filters: number;
  readonly rules: number;
}
