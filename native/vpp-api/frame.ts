/**
 * Frames of VPP's stream socket: 16 bytes of header, then the message.
 *
 *     u64 queue (0, ignored) | u32 length of the message, big endian | u32 gc mark (0, ignored)
 *
 * (`msgbuf_t` in vlibapi/api_common.h.) Nothing here reads or writes: bytes in, messages out.
 */
import { WireError } from './wire-error.ts';

/** Bytes before each message. */
export const frameHeaderBytes = 16;

/** No message of ours comes near this; a longer one is a broken or hostile stream. */
export const defaultMaxMessageBytes = 64 * 1024 * 1024;

/** Writes the header of a message of `length` bytes. */
export function writeFrameHeader(out: Uint8Array, at: number, length: number): void {
  for (let i = at; i < at + frameHeaderBytes; i++) out[i] = 0;
  out[at + 8] = length >>> 24;
  out[at + 9] = length >>> 16;
  out[at + 10] = length >>> 8;
  out[at + 11] = length;
}

/** Finds the messages in a stream of chunks. */
export interface Deframer {
  /**
   * Calls back with every message that `chunk` completes. A message is only valid during the
   * call: it may be a part of the chunk. Throws WireError when a header announces too much.
   */
  push(chunk: Buffer, message: (bytes: Buffer) => void): void;
  /** Bytes held back for a message that is not complete. */
  readonly held: number;
}

export function createDeframer(maxMessageBytes = defaultMaxMessageBytes): Deframer {
  // Chunks of an incomplete frame, joined once when the last one arrives: a long message
  // in 4 KB reads must not be copied again for each of them.
  let parts: Buffer[] = [];
  let held = 0;
  let needed = frameHeaderBytes;

  const take = (bytes: Buffer, message: (bytes: Buffer) => void): void => {
    let at = 0;
    for (;;) {
      needed = frameHeaderBytes;
      if (bytes.length - at < needed) break;
      needed += messageLength(bytes, at, maxMessageBytes);
      if (bytes.length - at < needed) break;
      message(bytes.subarray(at + frameHeaderBytes, at + needed));
      at += needed;
    }
    held = bytes.length - at;
    parts = held === 0 ? [] : [bytes.subarray(at)];
  };

  return {
    push(chunk, message) {
      if (held === 0) {
        take(chunk, message);
        return;
      }
      parts.push(chunk);
      held += chunk.length;
      if (held >= needed) take(Buffer.concat(parts, held), message);
    },
    get held() {
      return held;
    },
  };
}

function messageLength(bytes: Buffer, at: number, maxMessageBytes: number): number {
  const length = bytes.readUInt32BE(at + 8);
  if (length < 2) throw new WireError(`a frame of ${length} bytes has no message id`);
  if (length > maxMessageBytes) {
    throw new WireError(
      `a frame of ${length} bytes is longer than the limit of ${maxMessageBytes}`,
    );
  }
  return length;
}
