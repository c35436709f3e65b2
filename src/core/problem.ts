/**
 * Something a user should know about one of their objects. A value, never an exception:
 * the object keeps its last good state and everything else goes on. Shown as a Kubernetes
 * Event on `object`, a metric, and a line of `kvr show errors`.
 */
export interface Problem {
  /** `Kind/namespace/name`, or `Kind/name` for cluster-scoped objects, or `config`. */
  readonly object: string;
  /** Path of the field inside the object, such as `spec.ports[0].nodePort`. */
  readonly field: string;
  /** One sentence: what is wrong and what happens because of it. */
  readonly reason: string;
  /** Reason of the Event, where tools look for a certain one; otherwise `InvalidField`. */
  readonly event?: string;
}

export function formatProblem(problem: Problem): string {
  return `${problem.object} ${problem.field}: ${problem.reason}`;
}
