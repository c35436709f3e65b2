/** Exchanges on a stream whose message table is known: sending, matching, giving up. */
import type { Duplex } from 'node:stream';
import type { Clock } from '../../src/core/clock.ts';
import { type BatchInProgress, nextOfBatch, restOfBatch } from './batch.ts';
import { catalogue, type EventName, type MessageName } from './catalogue/index.ts';
import { codecOf, type FieldsOf, messageId } from './codec.ts';
import { VppClosedError, VppError, VppTimeoutError } from './errors.ts';
import { createDeframer } from './frame.ts';
import type { MessageTable } from './handshake.ts';
import { misnamedReplies } from './misnamed-replies.ts';
import {
  type Answer,
  type Batch,
  createInFlight,
  type Exchange,
  type InFlight,
  rejectExchange,
  resolveExchange,
} from './pending.ts';
import { createWaiting } from './waiting.ts';
import { createMessageWriter } from './writer.ts';

/** Details that one dump may have; more is a VPP that repeats itself. */
const maxDetails = 4_000_000;
/** Time for VPP to let go of us when we end the connection. */
const endTimeoutMs = 200;

type Log = (event: string, details: Readonly<Record<string, unknown>>) => void;

export interface ExchangeOptions {
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly windowRequests: number;
  readonly windowBytes: number;
  readonly maxWaiting: number;
  readonly log: Log;
}

/** One exchange to be made. */
export interface ExchangeRequest {
  readonly name: MessageName;
  readonly fields: unknown;
  /** The message that ends it. */
  readonly reply: MessageName;
  /** The messages before its end. */
  readonly details: MessageName | undefined;
  readonly signal: AbortSignal | undefined;
}

/** The exchanges of one connection. */
export interface Exchanges {
  start(request: ExchangeRequest): Promise<Answer>;
  /** Sends all requests of a batch, in order, as the window allows. */
  startBatch(batch: Batch): void;
  events<N extends EventName>(name: N, callback: (event: FieldsOf<N>) => void): () => void;
  readonly closed: Promise<VppError>;
  end(): Promise<void>;
}

export function createExchanges(
  stream: Duplex,
  table: MessageTable,
  options: ExchangeOptions,
): Exchanges {
  const { clock, log, timeoutMs } = options;
  let over: VppError | undefined;
  let ending = false;
  let resolveClosed: (reason: VppError) => void = () => undefined;
  const closed = new Promise<VppError>((resolve) => {
    resolveClosed = resolve;
  });
  const inFlight = createInFlight({
    clock,
    timeoutMs,
    expired(exchange) {
      const text = `no reply in ${timeoutMs} ms; VPP does not answer what it cannot read`;
      rejectExchange(exchange, new VppTimeoutError(exchange.name, text));
      sender.pump();
    },
  });
  const sender = createSender(stream, table, inFlight, options);
  const receiver = createReceiver(table, inFlight, log);
  const deframer = createDeframer();

  const finish = (reason: VppError): void => {
    if (over !== undefined) return;
    over = reason;
    stream.destroy();
    for (const exchange of [...inFlight.clear(), ...sender.clear()]) {
      rejectExchange(
        exchange,
        new VppClosedError(exchange.name, reason.message, { cause: reason }),
      );
    }
    resolveClosed(reason);
  };
  const closedBy = (text: string) => () =>
    finish(new VppClosedError('(stream)', ending ? 'we closed the connection' : text));

  stream.on('data', (chunk: Buffer) => {
    inFlight.progress();
    try {
      deframer.push(chunk, receiver.receive);
    } catch (cause) {
      finish(new VppError('(stream)', 'VPP sent bytes that are not a message', { cause }));
    }
    if (over === undefined) sender.pump();
  });
  stream.on('error', (cause) => {
    finish(new VppClosedError('(stream)', 'the socket broke', { cause }));
  });
  stream.on('end', closedBy('VPP closed the connection'));
  stream.on('close', closedBy('the connection is closed'));
  stream.resume();

  return {
    closed,
    events: receiver.events,
    start(request) {
      if (over !== undefined || ending) {
        const text = over?.message ?? 'the connection is being closed';
        return Promise.reject(new VppClosedError(request.name, text, { cause: over }));
      }
      return new Promise<Answer>((resolve, reject) => {
        sender.submit(createExchange(request, resolve, reject));
      });
    },
    startBatch(batch) {
      if (over === undefined && !ending) {
        sender.submitBatch(batch);
        return;
      }
      const text = over?.message ?? 'the connection is being closed';
      for (let index = 0; index < batch.length; index++)
        batch.failed(index, new VppClosedError(batch.name, text, { cause: over }));
    },
    async end() {
      if (over === undefined && !ending) {
        ending = true;
        const left = leave(sender, table);
        await withLimit(clock, endTimeoutMs, Promise.race([left, closed]));
      }
      finish(new VppClosedError('(stream)', 'we closed the connection'));
    },
  };
}

/**
 * Takes our leave. VPP then closes the socket itself. It would also see that we closed it, but not
 * always: 26.06 takes the end of a stream for "no data yet" when the last error of its main
 * thread was EAGAIN, keeps the dead socket, and stops answering anybody once it has 16 of them.
 */
function leave(sender: ReturnType<typeof createSender>, table: MessageTable): Promise<unknown> {
  return new Promise<Answer>((resolve, reject) => {
    const request: ExchangeRequest = {
      name: 'sockclnt_delete',
      fields: { index: table.clientIndex },
      reply: 'sockclnt_delete_reply',
      details: undefined,
      signal: undefined,
    };
    sender.sendLast(createExchange(request, resolve, reject));
  }).catch(() => undefined); // whatever it was, the connection ends now
}

/** Sends in order what the window has room for; the rest waits. */
function createSender(
  stream: Duplex,
  table: MessageTable,
  inFlight: InFlight,
  options: ExchangeOptions,
) {
  const writer = createMessageWriter(stream);
  const waiting = createWaiting<Exchange | BatchInProgress>(options.maxWaiting);
  let batch: BatchInProgress | undefined;
  const idOf = (name: MessageName): number => table.idOf(name) ?? 0;
  let context = 0;

  const send = (exchange: Exchange): void => {
    context = context === 0xffffffff ? 1 : context + 1;
    const { name, fields } = exchange;
    const header = { id: idOf(name), clientIndex: table.clientIndex, context };
    try {
      exchange.bytes = writer.write(name, header, fields as FieldsOf<MessageName>);
      if (exchange.reply === 'control_ping_reply' && name !== 'control_ping') {
        // The same context: details carry it, and the reply to the ping ends them.
        writer.write('control_ping', { ...header, id: idOf('control_ping') }, {});
      }
    } catch (error) {
      rejectExchange(exchange, error);
      return;
    }
    inFlight.add(context, exchange);
  };
  const next = (): Exchange | undefined => {
    if (batch !== undefined && batch.next < batch.of.length) return nextOfBatch(batch);
    const item = waiting.shift();
    batch = item !== undefined && 'of' in item ? item : undefined;
    return item !== undefined && 'of' in item ? next() : item;
  };
  const pump = (): void => {
    while (inFlight.size < options.windowRequests) {
      if (inFlight.size > 0 && inFlight.bytes >= options.windowBytes) return;
      const exchange = next();
      if (exchange === undefined) return;
      if (!exchange.settled) send(exchange);
    }
  };
  const clear = (): Exchange[] => {
    const items = [...(batch === undefined ? [] : [batch]), ...waiting.clear()];
    batch = undefined;
    return items.flatMap((item) => ('of' in item ? restOfBatch(item) : [item]));
  };
  return {
    pump,
    clear,
    submitBatch(of: Batch): void {
      if (waiting.push({ of, next: 0 })) {
        pump();
        return;
      }
      const reason = new VppError(of.name, `more than ${options.maxWaiting} requests wait`);
      for (let index = 0; index < of.length; index++) of.failed(index, reason);
    },
    /** Sends at once, whatever waits. */
    sendLast(exchange: Exchange): void {
      send(exchange);
      writer.flush();
    },
    submit(exchange: Exchange): void {
      if (exchange.settled) return;
      if (!waiting.push(exchange)) {
        const text = `more than ${options.maxWaiting} requests wait`;
        rejectExchange(exchange, new VppError(exchange.name, text));
      }
      pump();
    },
  };
}

/** Gives each message to the exchange of its context, or to those who listen for events. */
function createReceiver(table: MessageTable, inFlight: InFlight, log: Log) {
  const listeners = new Map<EventName, Set<(event: never) => void>>();

  const tell = (name: EventName, bytes: Buffer): void => {
    const callbacks = listeners.get(name);
    if (callbacks === undefined) return;
    const event = codecOf(name).decode(bytes);
    for (const callback of callbacks) callback(event as never);
  };
  const answer = (name: MessageName, bytes: Buffer): void => {
    // Replies begin with id and context; a few have the client's index in between.
    const at = catalogue[name].header === 'client+context' ? 6 : 2;
    if (bytes.length < at + 4) {
      log('message ignored', { name });
      return;
    }
    const context = bytes.readUInt32BE(at);
    const exchange = inFlight.get(context);
    if (exchange === undefined) {
      log('late reply', { name, context });
      return;
    }
    try {
      if (name === exchange.details) {
        const { items = [] } = exchange;
        if (items.length >= maxDetails) throw new VppError(name, 'too many details');
        if (!exchange.settled) items.push(codecOf(name).decode(bytes));
      } else if (name === exchange.reply || name === misnamedReplies[exchange.name]) {
        inFlight.finish(context, exchange);
        resolveExchange(exchange, codecOf(name).decode(bytes));
      } else log('unexpected reply', { name, to: exchange.name });
    } catch (cause) {
      rejectExchange(exchange, new VppError(exchange.name, `cannot read ${name}`, { cause }));
    }
  };
  return {
    receive(bytes: Buffer): void {
      const name = table.nameOf(messageId(bytes));
      if (name === undefined) log('message ignored', { id: messageId(bytes) });
      else if (catalogue[name].header === 'client') tell(name as EventName, bytes);
      else answer(name, bytes);
    },
    events<N extends EventName>(name: N, callback: (event: FieldsOf<N>) => void): () => void {
      const callbacks = listeners.get(name) ?? new Set();
      listeners.set(name, callbacks.add(callback));
      return () => callbacks.delete(callback);
    },
  };
}

function createExchange(
  request: ExchangeRequest,
  resolve: (answer: Answer) => void,
  reject: (reason: unknown) => void,
): Exchange {
  const { signal, details } = request;
  const exchange: Exchange = {
    name: request.name,
    fields: request.fields,
    reply: request.reply,
    details,
    items: details === undefined ? undefined : [],
    bytes: 0,
    order: 0,
    sentAt: 0,
    settled: false,
    resolve,
    reject,
    batch: undefined,
    index: 0,
    unlisten: undefined,
  };
  if (signal !== undefined) listen(exchange, signal);
  return exchange;
}

function listen(exchange: Exchange, signal: AbortSignal): void {
  const abort = (): void => rejectExchange(exchange, signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  exchange.unlisten = () => signal.removeEventListener('abort', abort);
  if (signal.aborted) abort();
}

/** Resolves with the promise, or when the time is over. */
function withLimit(clock: Clock, limitMs: number, promise: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const timer = clock.after(limitMs, resolve);
    void promise.then(() => {
      timer.cancel();
      resolve();
    });
  });
}
