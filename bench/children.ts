import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';

/** What a child tells; which fields are there depends on the kind. */
export interface Answer {
  readonly kind: string;
  readonly ms: number;
  readonly rssMb: number;
  readonly latenciesMs: readonly number[];
}

/** What production uses: a bound on the heap makes the collector work before memory is wasted. */
const nodeFlags = ['--max-semi-space-size=4', '--max-old-space-size=512'];

/** What a child is: bench/child.ts. */
export type Role = 'api' | 'list' | 'daemon' | 'policy-api' | 'policy-compile' | 'policy-daemon';

const ofDaemon: ReadonlySet<Role> = new Set(['daemon', 'policy-compile', 'policy-daemon']);

/** Starts another process of a bench; the daemon's with the flags of production. */
export function startChild(role: Role, args: readonly string[]): ChildProcess {
  const execArgv = ofDaemon.has(role) ? nodeFlags : [];
  return fork(join(import.meta.dirname, 'bench-child.js'), [role, ...args], { execArgv });
}

/** Runs a child to its end. */
export async function runChild(role: 'list', args: readonly string[]): Promise<Answer> {
  const child = startChild(role, args);
  const done = await answer(child, 'done');
  await end(child);
  return done;
}

const answerMaxMs = 180_000;

/** The next message of a kind. */
export function answer(
  child: ChildProcess,
  kind: string,
  limitMs: number = answerMaxMs,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${kind} from a child`)), limitMs);
    const settle = (run: () => void) => {
      clearTimeout(timer);
      child.off('message', read).off('exit', exit);
      run();
    };
    const read = (message: Answer) => {
      if (message.kind === kind) settle(() => resolve(message));
    };
    const exit = (code: number | null) =>
      settle(() => reject(new Error(`a child ended with ${code} before ${kind}`)));
    child.on('message', read).on('exit', exit);
  });
}

/** Ends a child, whatever it does. */
export function end(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null) return resolve();
    child.once('exit', () => resolve());
    child.kill('SIGKILL');
  });
}
