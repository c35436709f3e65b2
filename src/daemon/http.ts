import { mkdirSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { dirname } from 'node:path';

/**
 * The daemon's three small HTTP servers (health, metrics, control) are one mechanism: a function
 * from a path to an answer. GET, and POST where a server says which paths take a text; everything
 * is bounded.
 */
export interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Undefined: no such path. */
export type Route = (url: URL, signal: AbortSignal) => Promise<Answer | undefined>;

/** POST: `take` answers to a text of at most `maxBytes` bytes of UTF-8; undefined: no such path. */
export interface Posts {
  readonly maxBytes: number;
  take(url: URL, text: string, signal: AbortSignal): Promise<Answer | undefined>;
}

export type Listen =
  | { readonly kind: 'tcp'; readonly address: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

export interface HttpServer extends AsyncDisposable {
  /** The port of a TCP listener (the kernel's choice when 0 was asked), otherwise 0. */
  readonly port: number;
}

const connectionsMax = 64;
const urlMaxBytes = 2048;
const headerMaxBytes = 8192;
/** From the first byte to the end of the request's headers. */
const requestMaxMs = 5_000;
const idleMs = 30_000;

export function json(status: number, value: unknown): Answer {
  return { status, type: 'application/json', body: `${JSON.stringify(value)}\n` };
}

/** An error of the control API: `{"error": …}`. */
export function refusal(status: number, error: string): Answer {
  return json(status, { error });
}

/** Listens until the signal aborts or the result is disposed. */
export async function serveHttp(
  listen: Listen,
  route: Route,
  signal: AbortSignal,
  posts?: Posts,
): Promise<HttpServer> {
  const server = createServer(
    { maxHeaderSize: headerMaxBytes, requestTimeout: requestMaxMs, headersTimeout: requestMaxMs },
    (request, response) => {
      void respond(request, response, { route, posts }, signal);
    },
  );
  server.maxConnections = connectionsMax;
  server.keepAliveTimeout = idleMs;
  await start(server, listen);
  const stop = () => {
    server.close();
    server.closeAllConnections();
  };
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  const address = server.address();
  return {
    port: isInet(address) ? address.port : 0,
    async [Symbol.asyncDispose]() {
      signal.removeEventListener('abort', stop);
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
}

function isInet(address: AddressInfo | string | null): address is AddressInfo {
  return typeof address === 'object' && address !== null;
}

interface Served {
  readonly route: Route;
  readonly posts: Posts | undefined;
}

async function respond(
  request: IncomingMessage,
  response: ServerResponse,
  served: Served,
  signal: AbortSignal,
): Promise<void> {
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  const answer = await answerTo(request, served, AbortSignal.any([signal, gone.signal]));
  response.writeHead(answer.status, {
    'content-type': answer.type,
    'content-length': Buffer.byteLength(answer.body),
    'cache-control': 'no-store',
    ...answer.headers,
  });
  response.end(request.method === 'HEAD' ? undefined : answer.body);
}

async function answerTo(
  request: IncomingMessage,
  { route, posts }: Served,
  signal: AbortSignal,
): Promise<Answer> {
  const target = request.url ?? '/';
  const taken = request.method === 'POST' ? posts : undefined;
  if (taken === undefined && request.method !== 'GET' && request.method !== 'HEAD')
    return refusal(405, posts === undefined ? 'only GET' : 'only GET and POST');
  if (target.length > urlMaxBytes) return refusal(414, `URL longer than ${urlMaxBytes} bytes`);
  if (!URL.canParse(target, 'http://localhost')) return refusal(400, 'unreadable URL');
  try {
    const url = new URL(target, 'http://localhost');
    const answer =
      taken === undefined ? await route(url, signal) : await take(request, taken, url, signal);
    return answer ?? refusal(404, `no such path: ${url.pathname}`);
  } catch (error) {
    // The server is the last to see it: the asker gets the reason, the daemon goes on.
    return refusal(500, error instanceof Error ? error.message : String(error));
  }
}

/** The whole text is bounded in size here and in time by the server's `requestTimeout`. */
async function take(
  request: IncomingMessage,
  posts: Posts,
  url: URL,
  signal: AbortSignal,
): Promise<Answer | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes <= posts.maxBytes) chunks.push(chunk);
    // Whoever sends a little too much is told so; leaving early ends the connection.
    if (bytes > posts.maxBytes * 4) break;
  }
  if (bytes > posts.maxBytes) return refusal(413, `more than ${posts.maxBytes} bytes`);
  return posts.take(url, Buffer.concat(chunks).toString(), signal);
}

async function start(server: Server, listen: Listen): Promise<void> {
  const where = listen.kind === 'unix' ? listen.path : `${listen.address} port ${listen.port}`;
  if (listen.kind === 'unix') await clearStaleSocket(listen.path);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.once('listening', resolve);
      if (listen.kind === 'tcp') server.listen(listen.port, listen.address);
      else listenPrivately(server, listen.path);
    });
  } catch (cause) {
    throw new Error(`cannot listen on ${where}`, { cause });
  }
}

/**
 * The socket is born with mode 0600: a chmod afterwards would leave a moment in which anybody
 * may connect. `listen` on a path binds before it returns, so the umask is changed for this
 * synchronous call only.
 */
function listenPrivately(server: Server, path: string): void {
  const before = process.umask(0o177);
  try {
    server.listen(path);
  } finally {
    process.umask(before);
  }
}

/** Removes what a killed daemon left behind; refuses to take the place of a living one. */
async function clearStaleSocket(path: string): Promise<void> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  if (await isAnswered(path)) throw new Error(`${path} is in use: is another daemon running?`);
  rmSync(path, { force: true });
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
