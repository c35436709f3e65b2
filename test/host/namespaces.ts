import { execFileSync } from 'node:child_process';
import { it } from 'mocha';

/** Network namespaces for one test: unique names, removed when disposed. */
export interface TestNamespaces extends Disposable {
  /** Path of each, in the order of the names asked for. */
  readonly paths: readonly string[];
  /** Runs a shell command inside one of them and returns what it prints. */
  run(index: number, command: string): string;
}

let made = 0;

export function createNamespaces(what: string, count: number): TestNamespaces {
  const names = Array.from({ length: count }, () => `kvr-${what}-${process.pid}-${made++}`);
  const remove = () => {
    for (const name of names) execFileSync('ip', ['netns', 'del', name]);
  };
  for (const name of names) execFileSync('ip', ['netns', 'add', name]);
  return {
    paths: names.map((name) => `/run/netns/${name}`),
    run(index, command) {
      const name = names[index] ?? '';
      return execFileSync('ip', ['netns', 'exec', name, 'sh', '-ec', command], {
        encoding: 'utf8',
        stdio: 'pipe', // What it complains about is in the error, when there is one.
      });
    },
    [Symbol.dispose]: remove,
  };
}

/** Namespaces need root: without, one pending test says so instead of the given ones. */
export function asRoot(tests: () => void): void {
  if (process.getuid?.() === 0) tests();
  else it('needs root: network namespaces are made here');
}
