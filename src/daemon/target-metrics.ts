import type { Target } from '../reconcile/driver.ts';
import type { Metrics } from './metrics.ts';

/** Counts each new connection to a target until the signal aborts. */
export function countConnects(
  target: Pick<Target, 'name' | 'session' | 'sessionChanged'>,
  metrics: Pick<Metrics, 'connects'>,
  signal: AbortSignal,
): void {
  let last: object | undefined;
  const look = () => {
    if (signal.aborted) return;
    const { session } = target;
    if (session !== undefined && session !== last) metrics.connects.inc({ target: target.name });
    last = session;
    void target.sessionChanged().then(look);
  };
  look();
}
