import { request } from 'node:http';
import { type Clock, realClock } from '../core/clock.ts';

/** The daemon cannot be asked, or refuses to answer. `exitCode` is what `kvr` ends with. */
export class AskError extends Error {
  override readonly name = 'AskError';
  readonly exitCode: number;

  constructor(message: string, exitCode: number, options?: ErrorOptions) {
    super(message, options);
    this.exitCode = exitCode;
  }
}

export const exitCodes = {
  ok: 0,
  /** `status`: the node is not ready. */
  notReady: 1,
  /** `lint`: entries are left out. `lint --diff`: something would change. */
  changes: 1,
  /** Wrong arguments; `lint`: the file cannot be used. */
  usage: 2,
  /** No daemon behind the socket. */
  unreachable: 3,
  /** The daemon answered with an error. */
  refused: 4,
} as const;

/** 10,000 services with 100 endpoints each are about 30 MB. */
const bodyMaxBytes = 256 << 20;
const answerMaxMs = 30_000;

/** What is asked: `GET path`, or `POST path` with a text. */
export interface Question {
  readonly path: string;
  readonly text?: string;
}

/** Asks over the daemon's control socket; the JSON of the answer. */
export async function ask(
  socketPath: string,
  question: string | Question,
  clock: Clock = realClock,
): Promise<unknown> {
  const asked = typeof question === 'string' ? { path: question } : question;
  const { status, body } = await exchange(socketPath, asked, clock);
  const value = parseJson(body);
  if (status === 200 && value !== undefined) return value;
  throw new AskError(errorText(value) ?? `the daemon answered ${status}`, exitCodes.refused);
}

function exchange(
  socketPath: string,
  { path, text }: Question,
  clock: Clock,
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const fail = (cause: Error) => {
      deadline.cancel();
      reject(new AskError(explain(socketPath, cause), exitCodes.unreachable, { cause }));
    };
    const method = text === undefined ? 'GET' : 'POST';
    const message = request({ socketPath, path, method, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > bodyMaxBytes) {
          message.destroy(new Error(`the answer is larger than ${bodyMaxBytes} bytes`));
        } else chunks.push(chunk);
      });
      response.once('error', fail);
      response.once('end', () => {
        deadline.cancel();
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() });
      });
    });
    const deadline = clock.after(answerMaxMs, () =>
      message.destroy(new Error(`no answer within ${answerMaxMs / 1000} s`)),
    );
    message.once('error', fail);
    message.end(text);
  });
}

/** What is wrong, and what to look at. */
function explain(socketPath: string, cause: Error): string {
  switch ('code' in cause ? cause.code : undefined) {
    case 'ENOENT':
      return `no daemon: ${socketPath} does not exist. Is it running on this node, and is \`control.socket\` in its configuration another path (then say --socket PATH)?`;
    case 'ECONNREFUSED':
      return `no daemon: nobody listens on ${socketPath}. It was there and ended; its log says why.`;
    case 'EACCES':
      return `not allowed to open ${socketPath}: only the daemon's user and root may (mode 0600).`;
    default:
      return `cannot ask the daemon on ${socketPath}: ${cause.message}`;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Not JSON: whoever listens there is not our daemon; the caller says so with the status.
    return undefined;
  }
}

function errorText(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || !('error' in value)) return undefined;
  return String(value.error);
}
