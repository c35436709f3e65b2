import type { ServiceChanges } from '../lb-pools/writer.ts';
import type { ChangedKeys } from '../model/store.ts';

/** Keys of Services that changed, for one who takes them; while nobody does they are not kept. */
export function createServiceChanges(
  isTaken: () => boolean,
): ServiceChanges & { add(changed: ChangedKeys): void } {
  let keys = new Set<string>();
  let everything = false;
  let wake: (() => void) | undefined;
  return {
    add(changed: ChangedKeys) {
      if (isTaken()) for (const key of changed.services ?? []) keys.add(key);
      if (changed.config || changed.namespaces || changed.nodes) everything = true;
      if (keys.size > 0 || everything) wake?.();
    },
    async wait(signal: AbortSignal): Promise<void> {
      if (keys.size > 0 || everything) return;
      await new Promise<void>((resolve, reject) => {
        const abort = () => reject(signal.reason);
        signal.addEventListener('abort', abort, { once: true });
        wake = () => {
          signal.removeEventListener('abort', abort);
          resolve();
        };
      });
    },
    take(): ReadonlySet<string> | 'all' {
      const taken = everything ? ('all' as const) : keys;
      keys = new Set();
      everything = false;
      return taken;
    },
  };
}
