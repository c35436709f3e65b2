import type { Duplex } from 'node:stream';
import { catalogue, type MessageName } from '../../../native/vpp-api/catalogue/index.ts';
import {
  codecOf,
  decodeHeader,
  encodeFrame,
  type FieldsOf,
  messageId,
} from '../../../native/vpp-api/codec.ts';
import { createDeframer } from '../../../native/vpp-api/frame.ts';
import { misnamedReplies } from '../../../native/vpp-api/misnamed-replies.ts';
import { WireError } from '../../../native/vpp-api/wire-error.ts';
import type { Fault } from './faults.ts';
import { fixedIds, type MessageTable } from './table.ts';
import { type Answers, type Caller, type EmulatedEvent, WouldCrashVpp } from './world.ts';

/** What one client's connection needs of the server. */
export interface ConnectionOptions {
  readonly answers: Answers;
  readonly table: MessageTable;
  /** VPP's registration index of this client: 0x8000_0000 and a number. */
  readonly clientIndex: number;
  /** Says what goes wrong with a message, for tests. */
  readonly faultFor: (name: MessageName) => Fault | undefined;
  /** The request was one that VPP does not survive. */
  readonly crashed: (error: WouldCrashVpp) => void;
  readonly log: (text: string) => void;
}

export interface Connection {
  readonly stream: Duplex;
  send<N extends EmulatedEvent>(event: N, fields: Omit<FieldsOf<N>, 'pid'>): void;
}

/** Output that waits for a slow reader, bytes; VPP has no limit, we end the connection. */
const backlogBytesMax = 256 * 1024 * 1024;

type Fields = Readonly<Record<string, unknown>>;

/**
 * Serves one client: frames in, frames out, in order.
 *
 * What cannot be decoded, or has no answer, gets no reply at all: VPP logs and goes on (facts).
 */
export function serveConnection(stream: Duplex, options: ConnectionOptions): Connection {
  const deframer = createDeframer();
  const subscriptions = new Map<EmulatedEvent, number>();
  const write = createWriter(stream);
  const send = (name: MessageName, context: number, fields: Fields) => {
    const id = options.table.idOf.get(name) ?? 0;
    const header = { id, clientIndex: options.clientIndex, context };
    write(encodeFrame(name, header, fields as never));
  };
  const callerOf = (context: number): Caller => ({
    clientIndex: options.clientIndex,
    context,
    subscribe(event, processId, enabled) {
      if (enabled) subscriptions.set(event, processId);
      else subscriptions.delete(event);
    },
  });

  const answer = (name: MessageName, bytes: Buffer) => {
    const { context } = decodeHeader(name, bytes);
    const fields = codecOf(name).decode(bytes) as Fields;
    const fault = options.faultFor(name);
    if (fault?.kind === 'silence') return;
    if (fault?.kind === 'disconnect') {
      stream.destroy();
      return;
    }
    const reply = replyOf(name);
    if (fault?.kind === 'retval' && reply !== undefined) {
      send(reply, context, emptyReply(reply, fault.retval));
      return;
    }
    respond(options.answers, name, fields, {
      caller: callerOf(context),
      send: (reply, values) => send(reply, context, values),
    });
  };

  const received = (bytes: Buffer) => {
    const id = messageId(bytes);
    if (id === fixedIds.sockclnt_create) {
      const { context } = decodeHeader('sockclnt_create', bytes);
      send('sockclnt_create_reply', context, {
        response: 0,
        index: options.clientIndex,
        message_table: options.table.entries,
      });
      return;
    }
    const name = options.table.byId.get(id);
    if (name === undefined) options.log(`no handler for msg id ${id}`);
    else answer(name, bytes);
  };

  stream.on('data', (chunk: Buffer) => {
    try {
      deframer.push(chunk, (bytes) => {
        if (stream.destroyed) return;
        try {
          received(bytes);
        } catch (error) {
          if (error instanceof WouldCrashVpp) options.crashed(error);
          else if (error instanceof WireError) options.log(`dropped: ${error.message}`);
          else throw error;
        }
      });
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      options.log(`connection closed: ${error.message}`);
      stream.destroy();
    }
  });
  // A client that goes away is no failure of ours.
  stream.on('error', (error) => options.log(`connection: ${error.message}`));

  return {
    stream,
    send(event, fields) {
      const processId = subscriptions.get(event);
      if (processId !== undefined) send(event, 0, { ...fields, pid: processId });
    },
  };
}

/** Joins the frames of one turn into one write. */
function createWriter(stream: Duplex): (frame: Buffer) => void {
  let pending: Buffer[] = [];
  const flush = () => {
    const frames = pending;
    pending = [];
    if (stream.destroyed) return;
    stream.write(frames.length === 1 ? (frames[0] as Buffer) : Buffer.concat(frames));
    if (stream.writableLength > backlogBytesMax) stream.destroy();
  };
  return (frame) => {
    if (stream.destroyed) return;
    if (pending.length === 0) queueMicrotask(flush);
    pending.push(frame);
  };
}

/** What VPP replies with, which is not always what its definitions say. */
function replyOf(name: MessageName): MessageName | undefined {
  return misnamedReplies[name] ?? (catalogue[name].reply as MessageName | undefined);
}

/** Calls the answer of a message and sends what it gives: a reply, details, or both. */
function respond(
  answers: Answers,
  name: MessageName,
  fields: Fields,
  to: { readonly caller: Caller; readonly send: (name: MessageName, fields: Fields) => void },
): void {
  const reply = replyOf(name);
  const { details } = catalogue[name] as { details?: MessageName };
  // The types of `Answers` guarantee what this call gives back; here only the name is known.
  const act = answers[name] as ((fields: Fields, caller: Caller) => unknown) | undefined;
  if (act === undefined) return;
  const result = act(fields, to.caller);
  if (details === undefined) {
    if (reply !== undefined) to.send(reply, result as Fields);
    return;
  }
  if (reply === undefined) {
    for (const one of result as Iterable<Fields>) to.send(details, one);
    return;
  }
  const both = result as { readonly details: Iterable<Fields>; readonly reply: Fields };
  for (const one of both.details) to.send(details, one);
  to.send(reply, both.reply);
}

/** A reply of zeros with a return value, as VPP's macros make it on failure. */
function emptyReply(name: MessageName, retval: number): Fields {
  const codec = codecOf(name);
  for (let size = codec.headerBytes; size < codec.headerBytes + 65_536; size++) {
    try {
      return { ...(codec.decode(Buffer.alloc(size)) as Fields), retval };
    } catch (error) {
      // The decoder says that the message is too short: try a longer one.
      if (!(error instanceof WireError)) throw error;
    }
  }
  return { retval };
}
