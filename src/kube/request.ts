import {
  type ClientRequest,
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
} from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Clock } from '../core/clock.ts';
import type { KubeAccess, KubeCredentials } from './access.ts';
import { isObject, type Json, textOf } from './json.ts';
import { KubeError } from './kube-error.ts';

/** HTTP to one API server, over connections that are kept and checked by TCP keepalive. */
export interface KubeClient extends AsyncDisposable {
  /** Resolves with the head of a successful answer; the body is the caller's to read. */
  open(call: KubeCall, signal: AbortSignal): Promise<IncomingMessage>;
  /** A whole JSON answer. */
  request(call: KubeCall, signal: AbortSignal): Promise<Json>;
}

export interface KubeCall {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** With its query. */
  readonly path: string;
  readonly body?: Json;
  /** Default: JSON; of a PATCH the kind of patch, default a merge patch. */
  readonly contentType?: string;
}

/** Without a byte for this long, an answer that is not a watch has failed. */
const silenceMs = 30_000;

/** Bytes of one whole answer: 500 objects of half the size that etcd allows. */
const answerLimitBytes = 384 * 1024 * 1024;

/** Bytes of an error answer that are read. */
const refusalLimitBytes = 64 * 1024;

/** First keepalive probe on an idle connection; the kernel's tcp_keepalive_intvl applies then. */
const keepAliveMs = 15_000;

export function createKubeClient(access: KubeAccess, clock: Clock): KubeClient {
  const agents = {
    plain: new HttpAgent({ keepAlive: true, keepAliveMsecs: keepAliveMs }),
    secure: new HttpsAgent({ keepAlive: true, keepAliveMsecs: keepAliveMs }),
  };

  async function open(call: KubeCall, signal: AbortSignal): Promise<IncomingMessage> {
    const credentials = await access.credentials(signal);
    const attempt = () =>
      withDeadline(clock, silenceMs, signal, (limit) =>
        send(access, agents, call, credentials, limit),
      );
    const response = await attempt().catch((error: unknown) => {
      // The server closed an idle connection just as we took it: nothing was done yet.
      if (error instanceof StaleConnectionError) return attempt();
      throw error;
    });
    const status = response.statusCode ?? 0;
    if (status >= 200 && status < 300) return response;
    if (status === 401) access.refresh();
    throw new KubeError(await readRefusal(response, call, clock, signal), { status });
  }

  return {
    open,
    async request(call, signal) {
      const response = await open(call, signal);
      const text = await readBody(response, answerLimitBytes, clock, signal);
      try {
        return text === '' ? undefined : (JSON.parse(text) as Json);
      } catch (cause) {
        throw new KubeError(`${call.method} ${call.path}: the answer is not JSON`, { cause });
      }
    },
    async [Symbol.asyncDispose]() {
      agents.plain.destroy();
      agents.secure.destroy();
    },
  };
}

/** A kept connection that the server had already closed. */
class StaleConnectionError extends Error {
  override readonly name = 'StaleConnectionError';
}

function send(
  access: KubeAccess,
  agents: { readonly plain: HttpAgent; readonly secure: HttpsAgent },
  call: KubeCall,
  credentials: KubeCredentials,
  limit: AbortSignal,
): Promise<IncomingMessage> {
  const { server } = access;
  const body = call.body === undefined ? undefined : Buffer.from(JSON.stringify(call.body));
  const { method } = call;
  const fallback = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
  const headers = {
    accept: 'application/json',
    'user-agent': 'kube-vpp-router',
    ...(credentials.authorization === '' ? {} : { authorization: credentials.authorization }),
    ...(body === undefined
      ? {}
      : { 'content-type': call.contentType ?? fallback, 'content-length': body.length }),
  };
  return new Promise((resolve, reject) => {
    let request: ClientRequest;
    if (server.kind === 'unix') {
      const where = { socketPath: server.path, agent: agents.plain };
      request = httpRequest({ ...where, method, headers, path: call.path });
    } else {
      const { host, port } = server;
      const where = { host, port, method, headers, path: server.basePath + call.path };
      request = server.secure
        ? httpsRequest({ ...where, ...credentials.tls, agent: agents.secure })
        : httpRequest({ ...where, agent: agents.plain });
    }
    const giveUp = () => request.destroy(limit.reason as Error);
    if (limit.aborted) giveUp();
    limit.addEventListener('abort', giveUp, { once: true });
    request.on('socket', (socket) => socket.setKeepAlive(true, keepAliveMs));
    request.once('response', (response) => {
      limit.removeEventListener('abort', giveUp);
      resolve(response);
    });
    request.once('error', (cause) => {
      const isStale =
        request.reusedSocket && (cause as NodeJS.ErrnoException).code === 'ECONNRESET';
      if (isStale) reject(new StaleConnectionError('the connection was stale', { cause }));
      else reject(new KubeError(`${method} ${call.path} failed`, { cause }));
    });
    request.end(body);
  });
}

/** The text of an answer. Fails after silence or beyond `limitBytes`. */
async function readBody(
  response: IncomingMessage,
  limitBytes: number,
  clock: Clock,
  signal: AbortSignal,
): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  const fail = (text: string) => response.destroy(new KubeError(text));
  let timer = clock.after(silenceMs, () => fail(`no data for ${silenceMs} ms`));
  const abort = () => fail('the request was given up');
  signal.addEventListener('abort', abort, { once: true });
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      timer.cancel();
      timer = clock.after(silenceMs, () => fail(`no data for ${silenceMs} ms`));
      length += chunk.length;
      if (length > limitBytes) throw new KubeError(`the answer exceeds ${limitBytes} bytes`);
      chunks.push(chunk);
    }
  } finally {
    timer.cancel();
    signal.removeEventListener('abort', abort);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** What the server says about a refusal: the message of its Status object, or its text. */
async function readRefusal(
  response: IncomingMessage,
  call: KubeCall,
  clock: Clock,
  signal: AbortSignal,
): Promise<string> {
  const head = `${call.method} ${call.path}: ${response.statusCode} ${response.statusMessage}`;
  try {
    const text = await readBody(response, refusalLimitBytes, clock, signal);
    const parsed: Json = text.startsWith('{') ? JSON.parse(text) : undefined;
    const message = isObject(parsed) ? textOf(parsed.message) : text.slice(0, 200);
    return message === '' ? head : `${head}: ${message}`;
  } catch {
    // The status alone says enough; how its explanation broke does not matter.
    return head;
  }
}

/** Runs `start` with a signal that aborts after `ms`, or when `signal` does. */
async function withDeadline<T>(
  clock: Clock,
  ms: number,
  signal: AbortSignal,
  start: (limit: AbortSignal) => Promise<T>,
): Promise<T> {
  const limit = new AbortController();
  const timer = clock.after(ms, () => limit.abort(new KubeError(`no answer within ${ms} ms`)));
  const abort = () => limit.abort(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await start(limit.signal);
  } finally {
    timer.cancel();
    signal.removeEventListener('abort', abort);
  }
}
