/**
 * The first exchange on a new stream: who we are, and VPP's table of messages.
 *
 * `sockclnt_create` has the fixed id 15 and its reply 16; every other id is found by name and
 * CRC in the table of the reply, and may differ after each start of VPP.
 */
import type { Duplex } from 'node:stream';
import type { Clock } from '../../src/core/clock.ts';
import { type MessageName, messageNames } from './catalogue/index.ts';
import { codecOf, decodeHeader, encodeFrame, messageId, nameCrcOf } from './codec.ts';
import { VppClosedError, VppError, VppTimeoutError } from './errors.ts';
import { createDeframer } from './frame.ts';

/** The fixed id of `sockclnt_create` (memclnt.api is the first module in every VPP). */
export const sockclntCreateId = 15;
/** The fixed id of `sockclnt_create_reply`. */
export const sockclntCreateReplyId = 16;

/** The ids of one VPP's messages. */
export interface MessageTable {
  /** What VPP calls us in every request. */
  readonly clientIndex: number;
  idOf(name: MessageName): number | undefined;
  nameOf(id: number): MessageName | undefined;
}

/** Finds our messages among the `name_crc` of a VPP. */
export function createMessageTable(
  clientIndex: number,
  entries: readonly { readonly index: number; readonly name: string }[],
): MessageTable {
  const theirs = new Map(entries.map((entry) => [entry.name, entry.index]));
  const ids = new Map<MessageName, number>();
  const names: (MessageName | undefined)[] = [];
  for (const name of messageNames) {
    const id = theirs.get(nameCrcOf(name));
    if (id === undefined) continue;
    ids.set(name, id);
    names[id] = name;
  }
  return { clientIndex, idOf: (name) => ids.get(name), nameOf: (id) => names[id] };
}

/** Introduces us as `name`; resolves with the table. The stream is left without listeners. */
export function shakeHands(
  stream: Duplex,
  options: {
    readonly name: string;
    readonly clock: Clock;
    readonly timeoutMs: number;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<MessageTable> {
  const request = 'sockclnt_create';
  return new Promise((resolve, reject) => {
    const deframer = createDeframer();
    const finish = (settle: () => void): void => {
      timer.cancel();
      stream.off('data', read).off('error', fail).off('close', close);
      options.signal?.removeEventListener('abort', abort);
      stream.pause();
      settle();
    };
    const fail = (cause: unknown): void =>
      finish(() => reject(new VppError(request, 'the handshake failed', { cause })));
    const close = (): void =>
      finish(() => reject(new VppClosedError(request, 'VPP closed the connection')));
    const abort = (): void => finish(() => reject(options.signal?.reason));
    const timer = options.clock.after(options.timeoutMs, () => {
      const text = `no answer in ${options.timeoutMs} ms`;
      finish(() => reject(new VppTimeoutError(request, text)));
    });
    const read = (chunk: Buffer): void => {
      try {
        deframer.push(chunk, (bytes) => {
          const table = readTable(bytes);
          finish(() => resolve(table));
        });
      } catch (error) {
        fail(error);
      }
    };
    stream.on('data', read).on('error', fail).on('close', close);
    options.signal?.addEventListener('abort', abort, { once: true });
    const header = { id: sockclntCreateId, clientIndex: 0, context: 1 };
    stream.write(encodeFrame(request, header, { name: options.name }));
  });
}

function readTable(bytes: Buffer): MessageTable {
  const name = 'sockclnt_create_reply';
  const id = messageId(bytes);
  if (id !== sockclntCreateReplyId) {
    throw new VppError('sockclnt_create', `answered with message ${id}`);
  }
  decodeHeader(name, bytes);
  const { response, index, message_table } = codecOf(name).decode(bytes);
  if (response < 0) throw new VppError('sockclnt_create', 'refused', { retval: response });
  return createMessageTable(index, message_table);
}
