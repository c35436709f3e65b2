import {
  Client,
  type ClientReadableStream,
  credentials,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js';
import type { Clock } from '../core/clock.ts';
import type { Dialect } from './dialect.ts';
import { GobgpError } from './error.ts';

/** Deadline of a call that answers at once. */
export const callTimeoutMs = 5_000;
/** Deadline of a call that moves a whole table: 100,000 routes take 1.3 s (facts of v3.10). */
export const tableTimeoutMs = 60_000;
const channelOptions = {
  // One message carries the whole table on GoBGP 3: 31 MB for 100,000 routes.
  'grpc.max_receive_message_length': -1,
  // The defaults are 1 s to 120 s; a restarted sidecar must be found within a second.
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1_000,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.enable_http_proxy': 0,
};

/** Raw calls of all four shapes that are needed: bytes in, bytes out. */
export interface Channel {
  unary(d: Dialect, name: string, request: Uint8Array, signal: AbortSignal): Promise<Buffer>;
  /** Resolves at the end of the stream. */
  read(
    d: Dialect,
    name: string,
    request: Uint8Array,
    timeoutMs: number | undefined,
    signal: AbortSignal,
    onMessage: (bytes: Buffer) => void,
  ): Promise<void>;
  write(
    d: Dialect,
    name: string,
    requests: Iterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<void>;
  close(): void;
}

const toBuffer = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const same = (bytes: Buffer): Buffer => bytes;

/** A channel that connects when it is first used and reconnects by itself. */
export function createChannel(socket: string, clock: Clock): Channel {
  const client = new Client(`unix:${socket}`, credentials.createInsecure(), channelOptions);
  const deadline = (timeoutMs: number) => ({ deadline: clock.now() + timeoutMs });

  return {
    unary(d, name, request, signal) {
      return new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason);
        const call = client.makeUnaryRequest<Uint8Array, Buffer>(
          d.service + name,
          toBuffer,
          same,
          request,
          new Metadata(),
          deadline(callTimeoutMs),
          (error, reply) => {
            signal.removeEventListener('abort', abort);
            if (error !== null) reject(gobgpError(name, error));
            else resolve(reply ?? Buffer.alloc(0));
          },
        );
        const abort = () => call.cancel();
        signal.addEventListener('abort', abort, { once: true });
      });
    },
    read(d, name, request, timeoutMs, signal, onMessage) {
      const call = client.makeServerStreamRequest<Uint8Array, Buffer>(
        d.service + name,
        toBuffer,
        same,
        request,
        new Metadata(),
        timeoutMs === undefined ? {} : deadline(timeoutMs),
      );
      return readToEnd(name, call, signal, onMessage);
    },
    write(d, name, requests, signal) {
      return new Promise((resolve, reject) => {
        const call = client.makeClientStreamRequest<Uint8Array, Buffer>(
          d.service + name,
          toBuffer,
          same,
          new Metadata(),
          deadline(tableTimeoutMs),
          (error) => {
            signal.removeEventListener('abort', abort);
            if (error !== null) reject(gobgpError(name, error));
            else resolve();
          },
        );
        const abort = () => call.cancel();
        signal.addEventListener('abort', abort, { once: true });
        if (signal.aborted) abort();
        const messages = requests[Symbol.iterator]();
        // One message is under way at a time: the window of HTTP/2 sets the pace.
        const writeNext = () => {
          const next = messages.next();
          if (next.done === true) call.end();
          else call.write(next.value, writeNext);
        };
        writeNext();
      });
    },
    close: () => client.close(),
  };
}

function readToEnd(
  name: string,
  call: ClientReadableStream<Buffer>,
  signal: AbortSignal,
  onMessage: (bytes: Buffer) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => call.cancel();
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
    const settle = (finish: () => void) => {
      signal.removeEventListener('abort', abort);
      finish();
    };
    call.on('data', (bytes: Buffer) => {
      try {
        onMessage(bytes);
      } catch (error) {
        call.cancel();
        settle(() => reject(error));
      }
    });
    call.on('error', (error: ServiceError) => settle(() => reject(gobgpError(name, error))));
    call.on('end', () => settle(resolve));
  });
}

function gobgpError(call: string, cause: ServiceError): GobgpError {
  return new GobgpError(call, cause.code, cause.details, { cause });
}
