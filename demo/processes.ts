import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { realClock, sleep } from '../src/core/clock.ts';

/** A command that the demo ran to its end answered with an error. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
}

const commandTimeoutMs = 20_000;
const commandOutputMaxBytes = 16 * 1024 * 1024;
/** Time that a process has to end after SIGTERM. */
const termMs = 3000;
const logTailBytes = 3000;

/** Runs a program to its end and gives its standard output. `input` goes to its standard input. */
export function run(
  program: string,
  args: readonly string[],
  options: { readonly input?: string; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      program,
      args,
      {
        timeout: commandTimeoutMs,
        maxBuffer: commandOutputMaxBytes,
        env: options.env ?? process.env,
      },
      (error, stdout, stderr) => {
        if (error === null) return resolve(stdout);
        const said = `${stderr.trim()} ${stdout.trim()}`.trim();
        reject(
          new CommandError(`${program} ${args.join(' ')}: ${said || error.message}`, {
            cause: error,
          }),
        );
      },
    );
    // A program that ends without reading its input is judged by its exit code, not by EPIPE.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(options.input ?? '');
  });
}

/** A program that runs beside the demo. */
export interface Running {
  readonly name: string;
  readonly pid: number;
  readonly child: ChildProcess;
  readonly log: string;
  /** Resolves when it has ended, with how. */
  readonly ended: Promise<string>;
  isRunning(): boolean;
  /** Sends a signal and waits until it has ended. */
  kill(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>;
}

export interface StartOptions {
  /** Network namespace to run in. */
  readonly netns?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Opens Node's IPC channel. */
  readonly ipc?: boolean;
}

export interface Processes extends AsyncDisposable {
  start(name: string, command: readonly string[], options?: StartOptions): Running;
}

/**
 * Starts programs and ends every one of them, by its pid, when disposed. Should the demo itself
 * be killed, the kernel ends them (PR_SET_PDEATHSIG through `setpriv`).
 */
export function createProcesses(logDirectory: string): Processes {
  const all = new Set<Running>();
  return {
    start(name, command, options = {}) {
      const running = startProcess(join(logDirectory, `${name}.log`), name, command, options);
      all.add(running);
      void running.ended.then(() => all.delete(running));
      return running;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([...all].map((running) => running.kill('SIGTERM')));
    },
  };
}

function startProcess(
  log: string,
  name: string,
  command: readonly string[],
  options: StartOptions,
): Running {
  const enter = options.netns === undefined ? [] : ['ip', 'netns', 'exec', options.netns];
  const fd = openSync(log, 'a');
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...enter, ...command], {
    stdio: options.ipc === true ? ['ignore', fd, fd, 'ipc'] : ['ignore', fd, fd],
    env: { ...process.env, ...options.env },
    // A terminal's Ctrl-C goes to the demo alone, which then ends everything in order.
    detached: true,
  });
  closeSync(fd);
  let running = true;
  const ended = new Promise<string>((resolve) => {
    const end = (how: string) => {
      running = false;
      resolve(how);
    };
    child.once('error', (error) => end(error.message));
    child.once('exit', (code, signal) => end(signal ?? `exit code ${code}`));
  });
  return {
    name,
    pid: child.pid ?? 0,
    child,
    log,
    ended,
    isRunning: () => running,
    async kill(signal) {
      if (!running) return;
      child.kill(signal);
      const late = realClock.after(termMs, () => child.kill('SIGKILL'));
      await ended;
      late.cancel();
    },
  };
}

/** The last lines of a log, for an error message. */
export async function logTail(running: Running): Promise<string> {
  const text = await readFile(running.log, 'utf8');
  return text.length <= logTailBytes ? text : `…${text.slice(-logTailBytes)}`;
}

/** A condition did not come true in its time. */
export class DeadlineError extends Error {
  override readonly name = 'DeadlineError';
}

const pollMs = 20;

/**
 * Polls until `probe` gives something other than undefined. A probe that throws has not come
 * true yet; its last error explains a missed deadline.
 */
export async function until<T>(
  what: string,
  deadlineMs: number,
  signal: AbortSignal,
  probe: () => Promise<T | undefined> | T | undefined,
): Promise<T> {
  const end = realClock.monotonic() + deadlineMs;
  let cause: unknown;
  for (;;) {
    try {
      const value = await probe();
      if (value !== undefined) return value;
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    if (realClock.monotonic() >= end) {
      const why = cause instanceof Error ? ` (${cause.message})` : '';
      throw new DeadlineError(`not within ${deadlineMs / 1000} s: ${what}${why}`, { cause });
    }
    await sleep(realClock, pollMs, signal);
  }
}
