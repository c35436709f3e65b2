import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../bgp/gobgpd.ts';

/** A daemon with a control socket and everything else of it in a folder that goes with it. */
export interface DaemonProcess extends AsyncDisposable {
  /** Starts it, and resolves when its control socket accepts. */
  start(): Promise<void>;
  readonly running: boolean;
  /** SIGKILL, and waits for its end. */
  kill(): Promise<void>;
}

export function makeFolder(what: string): string {
  return mkdtempSync(join(tmpdir(), `kvr-${what}-`));
}

export function daemonProcess(options: {
  /** Program and arguments. */
  readonly command: () => readonly string[];
  readonly folder: string;
  readonly controlSocket: string;
  /** What it writes when it does not like its start. */
  readonly logFile: string;
}): DaemonProcess {
  const { folder, controlSocket, logFile } = options;
  let child: ChildProcess | undefined;

  async function kill(): Promise<void> {
    const running = child;
    child = undefined;
    if (running === undefined || running.exitCode !== null || running.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => running.once('exit', () => resolve()));
    running.kill('SIGKILL');
    await ended;
  }

  async function start(): Promise<void> {
    rmSync(controlSocket, { force: true }); // the killed one left it
    const [program = '', ...args] = options.command();
    const started = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    child = started;
    let said = '';
    for (const stream of [started.stdout, started.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        said = `${said}${text}`.slice(-4000);
      });
    }
    let failure: Error | undefined;
    started.once('error', (error) => {
      failure = error;
    });
    await until(`${program} answers`, () => {
      if (failure !== undefined) throw failure;
      if (started.exitCode !== null) throw new Error(`${args.join(' ')}: ${said}${log(logFile)}`);
      return accepts(controlSocket);
    });
  }

  return {
    get running() {
      return child !== undefined;
    },
    start,
    kill,
    async [Symbol.asyncDispose]() {
      await kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function log(file: string): string {
  try {
    return readFileSync(file, 'utf8').slice(-4000);
  } catch {
    return ''; // it did not come that far
  }
}

function accepts(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = createConnection(socket);
    connection.once('error', () => resolve(false));
    connection.once('connect', () => {
      connection.destroy();
      resolve(true);
    });
  });
}

/**
 * A conversation over a unix socket. `ask` sends a text and resolves with everything that came
 * until `isEnd` says of its last characters that the answer is complete.
 */
export interface Conversation extends Disposable {
  ask(text: string, isEnd: (answer: string) => boolean): Promise<string>;
}

/** No line that ends an answer is longer. */
const tailLength = 512;

export async function converse(socket: string): Promise<Conversation> {
  const connection = createConnection(socket);
  await new Promise<void>((resolve, reject) => {
    connection.once('connect', resolve);
    connection.once('error', reject);
  });
  let parts: string[] = [];
  let tail = '';
  let onData = () => {};
  let onEnd = (_error: Error) => {};
  // Answers are ASCII; latin1 keeps one character per byte.
  connection.setEncoding('latin1');
  connection.on('data', (part: string) => {
    parts.push(part);
    tail = `${tail}${part}`.slice(-tailLength);
    onData();
  });
  connection.on('error', (error) => onEnd(error));
  connection.on('close', () => onEnd(new Error(`${socket} closed`)));
  return {
    ask: (text, isEnd) =>
      new Promise((resolve, reject) => {
        onEnd = reject;
        if (connection.destroyed) reject(new Error(`${socket} is closed`));
        onData = () => {
          if (!isEnd(tail)) return;
          const answer = parts.join('');
          parts = [];
          tail = '';
          resolve(answer);
        };
        if (text === '')
          onData(); // a greeting, which may be here already
        else connection.write(text, 'latin1');
      }),
    [Symbol.dispose]: () => connection.destroy(),
  };
}
