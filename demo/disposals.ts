/** What was built, to be taken down in reverse. Node 20 has no AsyncDisposableStack. */
export interface Disposals {
  use<T extends AsyncDisposable>(value: T): T;
  defer(release: () => Promise<void>): void;
  /** Releases all, even when one fails; then throws the first failure. */
  dispose(): Promise<void>;
}

export function createDisposals(): Disposals {
  const releases: (() => Promise<void>)[] = [];
  return {
    use(value) {
      releases.push(async () => value[Symbol.asyncDispose]());
      return value;
    },
    defer(release) {
      releases.push(release);
    },
    async dispose() {
      const failures: unknown[] = [];
      for (let release = releases.pop(); release !== undefined; release = releases.pop()) {
        try {
          await release();
        } catch (error) {
          failures.push(error);
        }
      }
      if (failures.length > 0) throw failures[0];
    },
  };
}
