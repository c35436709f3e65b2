/**
 * The client of VPP's binary API.
 *
 * Requests are pipelined: many are in flight, replies find theirs by context. The window
 * bounds how many (and how many bytes), because VPP keeps what it cannot send back in a buffer
 * without limit; for the same reason we always read while we write. What does not fit in the
 * window waits here, in order. Nothing is ever sent twice: after a failure the caller reads
 * back what VPP has and starts from there.
 */
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { type Clock, realClock } from '../../src/core/clock.ts';
import type {
  DetailsOf,
  DumpName,
  EventName,
  MessageName,
  ReplyOf,
  RequestName,
  StreamName,
} from './catalogue/index.ts';
import type { FieldsOf } from './codec.ts';
import { nameCrcOf } from './codec.ts';
import { createConversation } from './conversation.ts';
import { VppClosedError, VppError, VppUnsupportedError } from './errors.ts';
import { shakeHands } from './handshake.ts';

/** Requests in flight. 1,024 reach VPP's full rate for all but the smallest: those take 2,048. */
export const defaultWindowRequests = 2048;
/** Bytes in flight, so that large messages do not fill VPP's memory. */
export const defaultWindowBytes = 8 * 1024 * 1024;
/** Requests that wait for the window; more are refused. */
export const maxWaitingRequests = 1_000_000;
/** Silence after which a request is given up. */
export const defaultRequestTimeoutMs = 5000;

export interface VppOptions {
  /** VPP's API socket. */
  readonly path?: string;
  /** A stream instead of the socket. */
  readonly stream?: Duplex;
  /** Our name in VPP's list of clients. */
  readonly name: string;
  readonly clock?: Clock;
  readonly signal?: AbortSignal;
  readonly windowRequests?: number;
  readonly windowBytes?: number;
  readonly requestTimeoutMs?: number;
  /** Messages without which there is no point in going on. */
  readonly required?: readonly MessageName[];
  /** Told about what is ignored: late replies and bytes that are not a message. */
  readonly log?: (event: string, details: Readonly<Record<string, unknown>>) => void;
}

export interface RequestOptions {
  readonly signal?: AbortSignal;
  /** Negative retvals that are results, not errors. */
  readonly allow?: readonly number[];
}

/** Many requests of one kind. */
export interface Requests<N extends RequestName> {
  readonly length: number;
  /** The fields of one; asked for when there is room to send it. May throw to fail that one. */
  fieldsOf(index: number): FieldsOf<N>;
  done(index: number, reply: FieldsOf<ReplyOf<N>>): void;
  /** VPP refused it, or there was no reply. */
  failed(index: number, error: unknown): void;
  /** Negative retvals that are results, not errors. */
  readonly allow?: readonly number[];
}

export interface VppConnection extends AsyncDisposable {
  readonly apiPath: string;
  /** What VPP says its version is; empty when it cannot say. */
  readonly version: string;
  /** Whether this VPP has the message with exactly our fields. */
  supports(name: MessageName): boolean;
  /** One request, one reply. Rejects with VppError when VPP refuses. */
  request<N extends RequestName>(
    name: N,
    fields: FieldsOf<N>,
    options?: RequestOptions,
  ): Promise<FieldsOf<ReplyOf<N>>>;
  /**
   * Many requests, in order and pipelined, without a Promise for each; resolves when each is
   * done or failed. Rejects, with nothing sent, when this VPP does not have the message.
   */
  requestAll<N extends RequestName>(name: N, requests: Requests<N>): Promise<void>;
  /** All details of a dump, or of a cursor stream up to its end. */
  dump<N extends DumpName | StreamName>(
    name: N,
    fields: FieldsOf<N>,
    options?: RequestOptions,
  ): Promise<FieldsOf<DetailsOf<N>>[]>;
  /** Calls back for every event of that name; returns what stops it. */
  events<N extends EventName>(name: N, callback: (event: FieldsOf<N>) => void): () => void;
  /** Says that VPP already has SNAT addresses, from an earlier connection (see hazards.ts). */
  assumeSnatAddresses(): void;
  /** Resolves with the reason when the connection is over. */
  readonly closed: Promise<VppError>;
}

/** Connects, shakes hands, and checks that VPP has what we need. */
export async function connectVpp(options: VppOptions): Promise<VppConnection> {
  const clock = options.clock ?? realClock;
  const timeoutMs = options.requestTimeoutMs ?? defaultRequestTimeoutMs;
  options.signal?.throwIfAborted();
  const stream = options.stream ?? (await openSocket(options.path ?? '', options.signal));
  try {
    const { name, signal } = options;
    const table = await shakeHands(stream, { name, clock, timeoutMs, signal });
    const conversation = createConversation(stream, table, {
      clock,
      timeoutMs,
      windowRequests: options.windowRequests ?? defaultWindowRequests,
      windowBytes: options.windowBytes ?? defaultWindowBytes,
      maxWaiting: maxWaitingRequests,
      log: options.log ?? (() => undefined),
    });
    const supports = (message: MessageName) => table.idOf(message) !== undefined;
    const version = supports('show_version')
      ? (await conversation.request('show_version', {})).version
      : '';
    const missing = (options.required ?? []).filter((message) => !supports(message));
    if (missing.length > 0) {
      const what = missing.map(nameCrcOf);
      throw new VppUnsupportedError('sockclnt_create', what, version);
    }
    const { request, requestAll, dump, events, assumeSnatAddresses, closed } = conversation;
    return {
      apiPath: options.path ?? '(stream)',
      version,
      supports,
      request,
      requestAll,
      dump,
      events,
      assumeSnatAddresses,
      closed,
      [Symbol.asyncDispose]: conversation[Symbol.asyncDispose],
    };
  } catch (error) {
    stream.destroy();
    throw error;
  }
}

/** An open unix socket, or a VppError with the reason. */
function openSocket(path: string, signal: AbortSignal | undefined): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path });
    const finish = (settle: () => void): void => {
      socket.off('connect', open).off('error', fail).off('close', close);
      signal?.removeEventListener('abort', abort);
      settle();
    };
    const open = (): void => finish(() => resolve(socket));
    const fail = (cause: unknown): void =>
      finish(() => reject(new VppError('connect', `cannot open ${path}`, { cause })));
    const close = (): void =>
      finish(() => reject(new VppClosedError('connect', `${path} was closed`)));
    const abort = (): void =>
      finish(() => {
        socket.destroy();
        reject(signal?.reason);
      });
    socket.on('connect', open).on('error', fail).on('close', close);
    signal?.addEventListener('abort', abort, { once: true });
  });
}
