import { type FSWatcher, watch } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type Clock, realClock, type Timer } from '../core/clock.ts';
import type { Problem } from '../core/problem.ts';
import type { Config } from '../model/config.ts';
import type { Store } from '../model/store.ts';
import { configMaxBytes, fileProblem, type ParsedConfig, parseConfig, wrong } from './parse.ts';
import { keepRunning } from './restart.ts';

/**
 * The configuration file as a source of facts.
 *
 * A ConfigMap volume never changes the file: kubelet writes a new directory and renames the
 * symlink `..data` over the old one. So the directory is watched, not the file. inotify may miss
 * (an overlay, a full queue), therefore the file is also read at a slow pace. Only the bytes
 * decide: equal text is no change.
 *
 * A bad file keeps the last good configuration and says which field and why. Fields that need a
 * restart keep the value that is in force; that too is said.
 */
export interface ConfigSource extends AsyncDisposable {
  /** Reads the file now; resolves when what it says is in the store. */
  reload(): Promise<void>;
}

/** Editors and kubelet write in several steps: they get this long to finish. */
const settleMs = 100;
/** How late a change may be noticed when no file event arrives. */
const pollMs = 10_000;

/** Reads the configuration file. A missing file is a problem, not an exception. */
export async function loadConfig(
  path: string,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<ParsedConfig> {
  const text = await readBounded(path);
  return typeof text === 'string' ? parseConfig(text, env) : wrong([text]);
}

/** Commits `running`, then every later version of the file, as the fact `config`. */
export function watchConfig(options: {
  readonly path: string;
  /** What `loadConfig` gave at start. */
  readonly running: Config;
  readonly store: Store;
  readonly signal: AbortSignal;
  /** All problems of the file as it is now; empty when it is good again. */
  readonly onProblems: (problems: readonly Problem[]) => void;
  /** For what is no planner's business, such as the level of the log. */
  readonly onChange?: (config: Config) => void;
  readonly clock?: Clock;
  readonly env?: Readonly<Record<string, string | undefined>>;
}): ConfigSource {
  const clock = options.clock ?? realClock;
  const env = options.env ?? process.env;
  let running = options.running;
  let lastText: string | undefined;
  let lastFault = '';
  let reading: Promise<void> = Promise.resolve();
  let settle: Timer | undefined;
  let poll: Timer | undefined;

  function take(text: string): void {
    lastText = text;
    const next = parseConfig(text, env);
    if (!next.ok) {
      options.onProblems(next.problems);
      return;
    }
    const kept = keepRunning(running, next.value);
    running = kept.config;
    options.store.commit('config', [['config', running]]);
    options.onChange?.(running);
    options.onProblems([...next.problems, ...kept.problems]);
  }

  async function read(): Promise<void> {
    const text = await readBounded(options.path);
    if (options.signal.aborted) return;
    if (typeof text !== 'string') {
      // A file that is away while it is replaced is told once, not at every look.
      if (text.reason !== lastFault) options.onProblems([text]);
      lastFault = text.reason;
      lastText = undefined;
      return;
    }
    lastFault = '';
    if (text !== lastText) take(text);
  }

  function reload(): Promise<void> {
    reading = reading.then(read);
    return reading;
  }

  function look(): void {
    settle?.cancel();
    settle = undefined;
    poll?.cancel();
    if (options.signal.aborted) return;
    void reload();
    poll = clock.after(pollMs, look);
  }

  const watcher = watchDirectory(dirname(options.path), () => {
    if (!options.signal.aborted) settle ??= clock.after(settleMs, look);
  });
  const stop = () => {
    watcher?.close();
    settle?.cancel();
    poll?.cancel();
  };
  options.signal.addEventListener('abort', stop, { once: true });
  options.store.replace('config', new Map([['config', running]]));
  poll = clock.after(pollMs, look);
  return {
    reload,
    async [Symbol.asyncDispose]() {
      stop();
      options.signal.removeEventListener('abort', stop);
      await reading;
    },
  };
}

/** Undefined where the directory cannot be watched (no inotify instances left): then polling alone works. */
function watchDirectory(path: string, onChange: () => void): FSWatcher | undefined {
  try {
    const watcher = watch(path, { persistent: false }, onChange);
    watcher.on('error', () => watcher.close());
    return watcher;
  } catch {
    // Polling covers it, only more slowly.
    return undefined;
  }
}

/** The text, or why it cannot be read. Never reads more than a ConfigMap can hold. */
async function readBounded(path: string): Promise<string | Problem> {
  try {
    await using file = await open(path);
    const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(configMaxBytes + 1) });
    return buffer.toString('utf8', 0, bytesRead);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return fileProblem(`cannot read ${path}: ${why}`);
  }
}
