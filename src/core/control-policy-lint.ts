/** Mistakes that `kvr policy lint` knows; docs/policy.md says what each is. */
export type FindingKind =
  | 'items-not-one'
  | 'one-not-items'
  | 'selects-nothing'
  | 'namespace-label'
  | 'named-port'
  | 'protocol'
  | 'service-address'
  | 'pod-address'
  | 'except'
  | 'no-dns'
  | 'policy-types'
  | 'adds-nothing'
  | 'hidden'
  | 'same-priority'
  | 'audit'
  | 'unreadable'
  | 'not-compared';

export const severities = ['error', 'warning', 'info'] as const;
/**
 * `error`: the policy surely does something else than its author thinks. `warning`: probably.
 * `info`: worth knowing.
 */
export type Severity = (typeof severities)[number];

/** One mistake in one policy. */
export interface PolicyFinding {
  readonly severity: Severity;
  readonly finding: FindingKind;
  /** `NetworkPolicy/shop/web`. */
  readonly object: string;
  /** `spec.ingress[0].from[1].podSelector`. */
  readonly field: string;
  /** What the policy says, and what follows from it. */
  readonly written: string;
  /** What is probably meant, and how to write that. */
  readonly meant: string;
}

/**
 * The answer to `GET /policy/lint`: the policies in force; and to `POST /policy/lint?namespace=…`
 * with manifests: the policies in them. `namespace` is that of objects without one.
 */
export interface PolicyLintView {
  /** False: the manifests are no YAML. */
  readonly usable: boolean;
  /** How many policies were looked at. */
  readonly policies: number;
  /** Errors first, then by object and field. */
  readonly findings: readonly PolicyFinding[];
}
