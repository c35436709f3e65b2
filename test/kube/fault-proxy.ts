import { once } from 'node:events';
import { createServer, request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { AddressInfo } from 'node:net';

/**
 * An HTTP proxy that misbehaves on command: it stands between a reflector and a real server, so
 * that the same faults can be made with any server.
 */
export interface FaultProxy extends AsyncDisposable {
  readonly url: string;
  /** Paths with queries, in order of arrival. */
  readonly requests: readonly string[];
  /** Resolves with the next request whose path and query match. */
  nextRequest(pattern: RegExp): Promise<string>;
  /** Cuts every connection. */
  cut(): void;
  /** Open connections stay open and silent for ever; new ones work. */
  freeze(): void;
  /** Changes the path and query of later requests. */
  rewrite: (path: string) => string;
}

/** `target`: http or https, with a bearer token when the server wants one. */
export async function createFaultProxy(target: {
  readonly url: string;
  readonly token?: string;
}): Promise<FaultProxy> {
  const requests: string[] = [];
  const waiting = new Set<{ pattern: RegExp; resolve: (path: string) => void }>();
  const upstreams = new Set<{ destroy(): void; answer?: IncomingMessage }>();
  let rewrite = (path: string) => path;

  const server = createServer((inbound, response) => {
    const path = rewrite(inbound.url ?? '/');
    requests.push(path);
    for (const waiter of waiting) {
      if (!waiter.pattern.test(path)) continue;
      waiting.delete(waiter);
      waiter.resolve(path);
    }
    const url = new URL(path, target.url);
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
    const headers = {
      ...inbound.headers,
      ...(target.token === undefined ? {} : { authorization: `Bearer ${target.token}` }),
    };
    const options = { method: inbound.method, headers, rejectUnauthorized: false };
    const outbound = send(url, options, (answer) => {
      upstream.answer = answer;
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      response.flushHeaders();
      answer.pipe(response);
    });
    const upstream: { destroy(): void; answer?: IncomingMessage } = {
      destroy: () => outbound.destroy(),
    };
    upstreams.add(upstream);
    response.once('close', () => {
      upstreams.delete(upstream);
      outbound.destroy();
    });
    outbound.once('error', () => response.destroy());
    inbound.pipe(outbound);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    nextRequest: (pattern) =>
      new Promise((resolve) => {
        waiting.add({ pattern, resolve });
      }),
    cut: () => server.closeAllConnections(),
    freeze() {
      for (const { answer } of upstreams) {
        answer?.unpipe();
        answer?.resume();
      }
    },
    get rewrite() {
      return rewrite;
    },
    set rewrite(value) {
      rewrite = value;
    },
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
