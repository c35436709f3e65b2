import { GobgpError, GrpcCode } from './error.ts';

/**
 * The part of protobuf's wire format that paths need. Classes, because these are the hot
 * loops. Source: protobuf.dev/programming-guides/encoding.
 */
export const WireType = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

/** Tag of a field: number and wire type in one varint. */
export function tagOf(field: number, wireType: number): number {
  return (field << 3) | wireType;
}

/** Reads one message; every read is checked against the bounds of the message it is in. */
export class WireReader {
  readonly bytes: Buffer;
  at = 0;
  end: number;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
    this.end = bytes.length;
  }

  /** An unsigned number; those above 2^53 lose precision (no field that is read has them). */
  varint(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 10; i++) {
      if (this.at >= this.end) throw malformed('varint');
      const byte = this.bytes[this.at++] ?? 0;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 0x80;
    }
    throw malformed('varint');
  }

  /** Enters a nested message; the result goes to `leave`. */
  enter(): number {
    const length = this.varint();
    const outerEnd = this.end;
    if (this.at + length > outerEnd) throw malformed('message');
    this.end = this.at + length;
    return outerEnd;
  }

  leave(outerEnd: number): void {
    this.at = this.end;
    this.end = outerEnd;
  }

  /** A string of ASCII characters, which all addresses and type names are. */
  ascii(): string {
    const length = this.varint();
    const start = this.at;
    if (start + length > this.end) throw malformed('string');
    this.at = start + length;
    return this.bytes.toString('latin1', start, this.at);
  }

  /** A part of the message, not a copy. */
  raw(): Buffer {
    const length = this.varint();
    const start = this.at;
    if (start + length > this.end) throw malformed('bytes');
    this.at = start + length;
    return this.bytes.subarray(start, this.at);
  }

  /** Like `ascii`, but returns `likely` itself when that is what stands there. */
  asciiLike(likely: string): string {
    const start = this.at;
    if (this.accept(likely)) return likely;
    this.at = start;
    return this.ascii();
  }

  /** Passes a string if it is `text`; else false, and the position means nothing. */
  accept(text: string): boolean {
    const length = this.varint();
    if (length !== text.length || this.at + length > this.end) return false;
    // From the end: type names differ there.
    for (let i = length - 1; i >= 0; i--) {
      if (this.bytes[this.at + i] !== text.charCodeAt(i)) return false;
    }
    this.at += length;
    return true;
  }

  skip(tag: number): void {
    switch (tag & 7) {
      case WireType.varint:
        this.varint();
        return;
      case WireType.fixed64:
        this.#advance(8);
        return;
      case WireType.bytes:
        this.#advance(this.varint());
        return;
      case WireType.fixed32:
        this.#advance(4);
        return;
      default:
        throw malformed('tag');
    }
  }

  #advance(count: number): void {
    if (this.at + count > this.end) throw malformed('field');
    this.at += count;
  }
}

/** `read` returns false for a tag that it does not want; that field is skipped. */
export function readFields(reader: WireReader, read: (tag: number) => boolean): void {
  while (reader.at < reader.end) {
    const tag = reader.varint();
    if (!read(tag)) reader.skip(tag);
  }
}

/** Reads a nested message; true, so that it can end a function for `readFields`. */
export function readNested(reader: WireReader, read: (tag: number) => boolean): true {
  const outer = reader.enter();
  readFields(reader, read);
  reader.leave(outer);
  return true;
}

/**
 * Writes a message from its end to its start. A nested message's length is known when its
 * content has been written, so nothing is measured or copied twice.
 */
export class ReverseWriter {
  #bytes = Buffer.allocUnsafe(4096);
  /** Index of the first byte written. */
  #at = 4096;

  /** Bytes written so far: the mark that `length` takes. */
  get size(): number {
    return this.#bytes.length - this.#at;
  }

  byte(value: number): void {
    this.#reserve(1);
    this.#bytes[--this.#at] = value;
  }

  varint(value: number): void {
    if (value < 0x80) {
      this.byte(value);
      return;
    }
    this.#reserve(10);
    let width = 1;
    for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) width++;
    this.#at -= width;
    let rest = value;
    for (let i = 0; i < width; i++) {
      this.#bytes[this.#at + i] = (rest % 0x80) | (i < width - 1 ? 0x80 : 0);
      rest = Math.floor(rest / 0x80);
    }
  }

  ascii(field: number, text: string): void {
    this.#reserve(text.length);
    this.#at -= text.length;
    this.#bytes.write(text, this.#at, 'latin1');
    this.varint(text.length);
    this.varint(tagOf(field, WireType.bytes));
  }

  bytes(field: number, content: Uint8Array): void {
    this.#reserve(content.length);
    this.#at -= content.length;
    this.#bytes.set(content, this.#at);
    this.varint(content.length);
    this.varint(tagOf(field, WireType.bytes));
  }

  /** Closes a nested message that began when `size` was `mark`. */
  close(field: number, mark: number): void {
    this.varint(this.size - mark);
    this.varint(tagOf(field, WireType.bytes));
  }

  /** A varint field; 0 is the default and not written. */
  number(field: number, value: number): void {
    if (value === 0) return;
    this.varint(value);
    this.varint(tagOf(field, WireType.varint));
  }

  finish(): Buffer {
    return this.#bytes.subarray(this.#at);
  }

  #reserve(count: number): void {
    if (this.#at >= count) return;
    const size = this.size;
    const grown = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, size + count));
    this.#bytes.copy(grown, grown.length - size, this.#at);
    this.#at = grown.length - size;
    this.#bytes = grown;
  }
}

function malformed(what: string): GobgpError {
  return new GobgpError('decode', GrpcCode.internal, `malformed ${what} in a message of GoBGP`);
}
