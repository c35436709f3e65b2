/**
 * The requests in flight, and when they are given up.
 *
 * VPP answers in order, and gives no answer at all to a message that it cannot read. So a
 * request that a later one has overtaken is lost, and fails when its own time is over. One
 * that was not overtaken may only wait behind others (large ACLs take VPP 10 ms each): it
 * fails when VPP has been silent for that long.
 */
import type { Clock, Timer } from '../../src/core/clock.ts';
import type { MessageName } from './catalogue/index.ts';

/** One exchange with VPP. */
export interface Exchange {
  readonly name: MessageName;
  readonly fields: unknown;
  /** The message that ends it. */
  readonly reply: MessageName;
  /** The messages before its end, collected in `items`. */
  readonly details: MessageName | undefined;
  readonly items: unknown[] | undefined;
  /** Bytes it took on the wire. */
  bytes: number;
  /** Its place in the order of sending. */
  order: number;
  /** On the monotonic clock. */
  sentAt: number;
  /** Settled early, by its caller's signal: its reply is still waited for, and dropped. */
  settled: boolean;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (reason: unknown) => void;
  /** What it is one of, and its place there; then `resolve` and `reject` are not called. */
  readonly batch: Batch | undefined;
  readonly index: number;
  /** Stops listening to the caller's signal. */
  unlisten: (() => void) | undefined;
}

/**
 * Many requests of one kind as one thing. An exchange of it exists only while it is in flight,
 * and there is no Promise for each: a hundred thousand of those are what the garbage collector
 * spends its time on.
 */
export interface Batch {
  readonly name: MessageName;
  readonly reply: MessageName;
  readonly length: number;
  /** The fields of one request; may throw, which fails that request. */
  fieldsOf(index: number): unknown;
  answered(index: number, reply: unknown): void;
  failed(index: number, reason: unknown): void;
}

/** What ended an exchange, and the details before it. */
export interface Answer {
  readonly reply: unknown;
  readonly items: readonly unknown[];
}

// Functions of the module and not of each exchange: there are hundreds of thousands of those.

/** Settles an exchange with its answer, unless it is settled. */
export function resolveExchange(exchange: Exchange, reply: unknown): void {
  if (exchange.settled) return;
  exchange.settled = true;
  exchange.unlisten?.();
  if (exchange.batch !== undefined) exchange.batch.answered(exchange.index, reply);
  else exchange.resolve({ reply, items: exchange.items ?? [] });
}

/** Settles an exchange with a failure, unless it is settled. */
export function rejectExchange(exchange: Exchange, reason: unknown): void {
  if (exchange.settled) return;
  exchange.settled = true;
  exchange.unlisten?.();
  if (exchange.batch !== undefined) exchange.batch.failed(exchange.index, reason);
  else exchange.reject(reason);
}

/** Exchanges in flight, by context, in the order in which they were sent. */
export interface InFlight {
  readonly size: number;
  readonly bytes: number;
  add(context: number, exchange: Exchange): void;
  get(context: number): Exchange | undefined;
  /** Its end was received. */
  finish(context: number, exchange: Exchange): void;
  /** Something was received. */
  progress(): void;
  /** Empties it; returns what was there. */
  clear(): Exchange[];
}

export function createInFlight(options: {
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly expired: (exchange: Exchange) => void;
}): InFlight {
  const { clock, timeoutMs } = options;
  const exchanges = new Map<number, Exchange>();
  let bytes = 0;
  let sent = 0;
  let answered = 0; // the place in the order of the last one that was answered
  let lastProgress = 0;
  let timer: Timer | undefined;

  const remove = (context: number, exchange: Exchange): void => {
    if (exchanges.delete(context)) bytes -= exchange.bytes;
  };

  const watch = (): void => {
    timer = undefined;
    const now = clock.monotonic();
    let next = Number.POSITIVE_INFINITY;
    for (const [context, exchange] of exchanges) {
      const overtaken = exchange.order < answered;
      const since = overtaken ? exchange.sentAt : Math.max(exchange.sentAt, lastProgress);
      if (since + timeoutMs > now) {
        next = Math.min(next, since + timeoutMs);
        continue;
      }
      remove(context, exchange);
      options.expired(exchange);
    }
    if (exchanges.size > 0) timer ??= clock.after(Math.min(next - now, timeoutMs), watch);
  };

  return {
    get size() {
      return exchanges.size;
    },
    get bytes() {
      return bytes;
    },
    add(context, exchange) {
      exchange.sentAt = clock.monotonic();
      exchange.order = ++sent;
      exchanges.set(context, exchange);
      bytes += exchange.bytes;
      timer ??= clock.after(timeoutMs, watch);
    },
    get: (context) => exchanges.get(context),
    finish(context, exchange) {
      answered = Math.max(answered, exchange.order);
      remove(context, exchange);
    },
    progress() {
      lastProgress = clock.monotonic();
    },
    clear() {
      timer?.cancel();
      timer = undefined;
      const all = [...exchanges.values()];
      exchanges.clear();
      bytes = 0;
      return all;
    },
  };
}
