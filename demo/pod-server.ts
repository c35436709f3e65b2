import { createSocket } from 'node:dgram';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { type Answer, type Destination, lineIntervalMs, type ServedPort } from './pod-protocol.ts';

/** Who the pod is, and whom it asks before it answers. */
export interface PodIdentity {
  readonly pod: string;
  readonly node: string;
  /** Asked on every `GET /`, as a front end asks its back end. */
  readonly upstream: Destination | undefined;
}

/** Asks another server for its answer over a new connection. */
export type Ask = (to: Destination, timeoutMs: number) => Promise<Answer>;

/** Largest download that `/bytes/N` serves. */
const downloadMaxBytes = 256 * 1024 * 1024;
const upstreamTimeoutMs = 3000;

/** Serves one port; resolves when it listens on all addresses of both families. */
export function serve(port: ServedPort, identity: PodIdentity, ask: Ask): Promise<void> {
  return port.protocol === 'TCP'
    ? serveTcp(port.port, identity, ask)
    : serveUdp(port.port, identity);
}

function serveTcp(port: number, identity: PodIdentity, ask: Ask): Promise<void> {
  const server = createServer({ keepAlive: false }, (request, response) => {
    const answer: Answer = {
      pod: identity.pod,
      node: identity.node,
      client: plainAddress(request.socket.remoteAddress ?? ''),
    };
    respond(request, response, answer, identity, ask).catch((error: unknown) => {
      response.statusCode = 502;
      response.end(String(error));
    });
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, host: '::', ipv6Only: false }, resolve);
  });
}

async function respond(
  request: IncomingMessage,
  response: ServerResponse,
  answer: Answer,
  identity: PodIdentity,
  ask: Ask,
): Promise<void> {
  const url = request.url ?? '/';
  if (url === '/stream') {
    sendLines(response, request.socket, answer.pod);
    return;
  }
  const bytes = /^\/bytes\/(\d{1,9})$/.exec(url)?.[1];
  if (bytes !== undefined) {
    sendBytes(response, Math.min(Number(bytes), downloadMaxBytes));
    return;
  }
  const upstream = identity.upstream;
  const whole =
    upstream === undefined
      ? answer
      : { ...answer, upstream: await ask(upstream, upstreamTimeoutMs) };
  response.setHeader('content-type', 'application/json');
  response.end(`${JSON.stringify(whole)}\n`);
}

/** Sends the pod's name, then 1, 2, 3 … one a line, until the client goes away. */
function sendLines(response: ServerResponse, socket: Socket, pod: string): void {
  socket.setNoDelay(true);
  response.write(`${pod}\n`);
  let line = 0;
  const timer = setInterval(() => {
    line += 1;
    response.write(`${line}\n`);
  }, lineIntervalMs);
  response.on('close', () => clearInterval(timer));
}

function sendBytes(response: ServerResponse, lengthBytes: number): void {
  const chunk = Buffer.alloc(64 * 1024, 'kube-vpp-router ');
  response.setHeader('content-length', lengthBytes);
  let left = lengthBytes;
  const push = () => {
    while (left > 0) {
      const part = left < chunk.length ? chunk.subarray(0, left) : chunk;
      left -= part.length;
      if (!response.write(part)) {
        response.once('drain', push);
        return;
      }
    }
    response.end();
  };
  push();
}

function serveUdp(port: number, identity: PodIdentity): Promise<void> {
  const socket = createSocket({ type: 'udp6', ipv6Only: false });
  socket.on('message', (_message, from) => {
    const answer: Answer = {
      pod: identity.pod,
      node: identity.node,
      client: plainAddress(from.address),
    };
    socket.send(JSON.stringify(answer), from.port, from.address);
  });
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(port, '::', () => {
      // An ICMP error for an earlier answer is the client's affair, not a reason to stop serving.
      socket.on('error', () => undefined);
      resolve();
    });
  });
}

/** `::ffff:10.0.0.1` as a dual-stack socket shows it becomes `10.0.0.1`. */
function plainAddress(address: string): string {
  return address.replace(/^::ffff:/, '');
}
