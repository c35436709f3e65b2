/**
 * Collects messages into chunks of 64 KB and writes them once per turn of the event loop.
 *
 * A write per message costs a system call each; a chunk that is full goes out at once. The
 * stream keeps a chunk until it is flushed, so every write gets a fresh one.
 */
import type { Duplex } from 'node:stream';
import type { MessageName } from './catalogue/index.ts';
import { codecOf, type FieldsOf, type MessageHeader } from './codec.ts';
import { frameHeaderBytes, writeFrameHeader } from './frame.ts';

const chunkBytes = 64 * 1024;

/** Writes messages to a stream. */
export interface MessageWriter {
  /** Queues one message; returns its bytes on the wire. Throws WireError when a value does not fit. */
  write<N extends MessageName>(name: N, header: MessageHeader, fields: FieldsOf<N>): number;
  /** Hands everything that is queued to the stream. */
  flush(): void;
}

export function createMessageWriter(stream: Duplex): MessageWriter {
  let chunk = Buffer.allocUnsafeSlow(chunkBytes);
  let start = 0;
  let end = 0;
  let scheduled = false;

  const send = (bytes: Buffer): void => {
    if (!stream.writableEnded && !stream.destroyed) stream.write(bytes);
  };
  const flush = (): void => {
    if (end > start) send(chunk.subarray(start, end));
    start = end;
  };

  return {
    flush,
    write(name, header, fields) {
      const codec = codecOf(name);
      const size = codec.size(fields);
      const total = frameHeaderBytes + size;
      if (end + total > chunk.length) {
        flush();
        chunk = Buffer.allocUnsafeSlow(Math.max(chunkBytes, total));
        start = 0;
        end = 0;
      }
      writeFrameHeader(chunk, end, size);
      codec.encode(chunk, end + frameHeaderBytes, header, fields);
      end += total;
      if (!scheduled) {
        scheduled = true;
        setImmediate(() => {
          scheduled = false;
          flush();
        });
      }
      return total;
    },
  };
}
