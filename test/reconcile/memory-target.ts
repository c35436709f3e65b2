import type { Stage, Table } from '../../src/desired/table.ts';
import { tables } from '../../src/desired/tables.ts';
import {
  type AnyDriver,
  type Change,
  done,
  failed,
  type Target,
} from '../../src/reconcile/driver.ts';

/** A target that keeps rows in memory, notes what it is told, and refuses what it is told to. */
export function createMemoryTarget(name: string, stageNames: readonly Stage[]) {
  const content = new Map<Stage, Map<string, unknown>>(stageNames.map((s) => [s, new Map()]));
  const calls: string[] = [];
  const refused = new Set<string>();
  let session: object | undefined = {};
  let wake = () => {};
  let changed = new Promise<void>((resolve) => {
    wake = resolve;
  });

  function write(stage: Stage, change: Change<unknown>) {
    calls.push(`${change.to === undefined ? 'del' : 'put'} ${stage} ${change.key}`);
    if (refused.has(change.key)) return failed(new Error('refused'));
    if (change.to === undefined) content.get(stage)?.delete(change.key);
    else content.get(stage)?.set(change.key, change.to);
    return done;
  }

  const driver = (stage: Stage): AnyDriver => ({
    table: tables[stage] as Table<unknown>,
    dump: async () => [...(content.get(stage) ?? [])].map(([key, row]) => ({ key, row })),
    apply: async (changes) => {
      if (session === undefined) throw new Error('not connected');
      return changes.map((change) => write(stage, change));
    },
  });

  return {
    name,
    drivers: stageNames.map(driver),
    get session() {
      return session;
    },
    sessionChanged: () => changed,
    /** For tests. */
    content,
    calls,
    refused,
    setSession(next: object | undefined) {
      session = next;
      const before = wake;
      changed = new Promise((resolve) => {
        wake = resolve;
      });
      before();
    },
    takeCalls: () => calls.splice(0),
  } satisfies Target & Record<string, unknown>;
}
