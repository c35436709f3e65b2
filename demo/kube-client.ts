import { type IncomingMessage, request } from 'node:http';
import { createInterface } from 'node:readline';

/** The API server answered a request with an error. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly status: number;

  constructor(method: string, path: string, status: number, text: string) {
    super(`${method} ${path}: HTTP ${status} ${text.slice(0, 500)}`);
    this.status = status;
  }
}

const requestTimeoutMs = 10_000;

/** What `kubectl` would send, and no more: the demo uses the API as any client does. */
export interface KubeClient {
  get<T>(path: string): Promise<T>;
  post(path: string, body: object): Promise<void>;
  /** A merge patch (RFC 7396). */
  patch(path: string, body: object): Promise<void>;
  /** `graceSeconds` 0 removes at once; absent leaves it to the server. */
  delete(path: string, graceSeconds?: number): Promise<void>;
  /** Calls back for every watch event; ends with the signal or the connection. */
  watch(path: string, onEvent: () => void, signal: AbortSignal): Promise<void>;
}

export function createKubeClient(server: string): KubeClient {
  const send = async (method: string, path: string, body?: object, type = 'application/json') => {
    const response = await open(
      server,
      method,
      path,
      body,
      type,
      AbortSignal.timeout(requestTimeoutMs),
    );
    const text = await readText(response);
    const status = response.statusCode ?? 0;
    if (status < 200 || status > 299) throw new ApiError(method, path, status, text);
    return text;
  };
  return {
    async get<T>(path: string) {
      return JSON.parse(await send('GET', path)) as T;
    },
    async post(path, body) {
      await send('POST', path, body);
    },
    async patch(path, body) {
      await send('PATCH', path, body, 'application/merge-patch+json');
    },
    async delete(path, graceSeconds) {
      const options =
        graceSeconds === undefined
          ? undefined
          : { kind: 'DeleteOptions', apiVersion: 'v1', gracePeriodSeconds: graceSeconds };
      await send('DELETE', path, options);
    },
    async watch(path, onEvent, signal) {
      const response = await open(server, 'GET', `${path}?watch=1`, undefined, '', signal);
      for await (const _line of createInterface({ input: response })) onEvent();
    },
  };
}

function open(
  server: string,
  method: string,
  path: string,
  body: object | undefined,
  type: string,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const headers =
      text === undefined ? {} : { 'content-type': type, 'content-length': Buffer.byteLength(text) };
    const out = request(new URL(path, server), { method, headers, signal }, resolve);
    out.on('error', reject);
    out.end(text);
  });
}

async function readText(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
