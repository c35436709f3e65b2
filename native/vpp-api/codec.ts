/**
 * Messages to bytes and back, in both directions: a client encodes requests and decodes what
 * VPP sends, a server does the opposite.
 *
 * Each message is compiled at its first use into straight-line code (`new Function`), which
 * is 5 to 15 times faster than walking the nodes for every message.
 */
import { type Catalogue, catalogue, type MessageName } from './catalogue/index.ts';
import { decoderSource } from './compile-decode.ts';
import { encoderSource } from './compile-encode.ts';
import { frameHeaderBytes, writeFrameHeader } from './frame.ts';
import { runtime } from './runtime.ts';
import type { Fields, Header, Message, Values } from './schema.ts';
import { WireError } from './wire-error.ts';

/** The fields of a message, without its header and counts. */
export type FieldsOf<N extends MessageName> = Values<Catalogue[N]['fields']>;

/** Numbers before the fields. Those that the message's header does not have are ignored. */
export interface MessageHeader {
  readonly id: number;
  readonly clientIndex: number;
  readonly context: number;
}

/** The compiled form of one message. */
export interface MessageCodec<N extends MessageName = MessageName> {
  readonly name: N;
  readonly crc: number;
  /** The name in VPP's message table: `name_crc`. */
  readonly nameCrc: string;
  readonly header: Header;
  /** Bytes of message id and header. */
  readonly headerBytes: number;
  /** Bytes of the whole message. */
  size(fields: FieldsOf<N>): number;
  /** Writes the message at `at`, where there must be room for `size`; returns the end. */
  encode(out: Buffer, at: number, header: MessageHeader, fields: FieldsOf<N>): number;
  /** Reads the fields of the message that is `bytes`; bytes after the last field are ignored. */
  decode(bytes: Buffer): FieldsOf<N>;
}

const headerFields: Record<Header, readonly ('clientIndex' | 'context')[]> = {
  'client+context': ['clientIndex', 'context'],
  context: ['context'],
  client: ['clientIndex'],
  none: [],
};

const compiled = new Map<MessageName, MessageCodec>();

/** The compiled form of a message of the catalogue. */
export function codecOf<N extends MessageName>(name: N): MessageCodec<N> {
  let codec = compiled.get(name);
  if (codec === undefined) {
    codec = compileMessage(name, catalogue[name]);
    compiled.set(name, codec);
  }
  return codec as unknown as MessageCodec<N>;
}

/** The name of a message in VPP's table, such as `control_ping_51077d14`. */
export function nameCrcOf(name: MessageName): string {
  return `${name}_${catalogue[name].crc.toString(16).padStart(8, '0')}`;
}

/** One message in its frame, ready for the socket. */
export function encodeFrame<N extends MessageName>(
  name: N,
  header: MessageHeader,
  fields: FieldsOf<N>,
): Buffer {
  const codec = codecOf(name);
  const size = codec.size(fields);
  const out = Buffer.allocUnsafe(frameHeaderBytes + size);
  writeFrameHeader(out, 0, size);
  codec.encode(out, frameHeaderBytes, header, fields);
  return out;
}

/** The message id that every message begins with. */
export function messageId(bytes: Buffer): number {
  if (bytes.length < 2) throw new WireError('a message has at least the two bytes of its id');
  return bytes.readUInt16BE(0);
}

/** The header of a message whose name is known by its id. */
export function decodeHeader(name: MessageName, bytes: Buffer): MessageHeader {
  const { header } = catalogue[name];
  const parts = headerFields[header];
  if (bytes.length < 2 + 4 * parts.length) throw new WireError(`${name} ends inside its header`);
  const values = { id: bytes.readUInt16BE(0), clientIndex: 0, context: 0 };
  for (const [i, part] of parts.entries()) values[part] = bytes.readUInt32BE(2 + 4 * i);
  return values;
}

type Encode = (out: Buffer, at: number, fields: unknown) => number;
type Size = (fields: unknown) => number;
type Decode = (bytes: Buffer, at: number, end: number) => unknown;

/** Compiles any fields: the catalogue's messages, and what tests make up. */
export function compileFields(fields: Fields): { encode: Encode; size: Size; decode: Decode } {
  const { encode, size } = encoderSource(fields);
  const source = `"use strict"; const { ${Object.keys(runtime).join(', ')} } = runtime;
return {
  encode(b, o, v) { ${encode} },
  size(v) { ${size} },
  decode(b, o, end) { ${decoderSource(fields)} },
};`;
  return new Function('runtime', source)(runtime);
}

function compileMessage(name: MessageName, message: Message): MessageCodec {
  const { encode, size, decode } = compileFields(message.fields);
  const parts = headerFields[message.header];
  const headerBytes = 2 + 4 * parts.length;
  return {
    name,
    crc: message.crc,
    nameCrc: nameCrcOf(name),
    header: message.header,
    headerBytes,
    size: (fields) => inMessage(name, () => headerBytes + size(fields)),
    encode(out, at, header, fields) {
      out[at] = header.id >>> 8;
      out[at + 1] = header.id;
      for (let i = 0; i < parts.length; i++) {
        const part = parts[i];
        if (part !== undefined) out.writeUInt32BE(header[part], at + 2 + 4 * i);
      }
      return inMessage(name, () => encode(out, at + headerBytes, fields));
    },
    decode: (bytes) =>
      inMessage(name, () => decode(bytes, headerBytes, bytes.length)) as FieldsOf<MessageName>,
  };
}

function inMessage<T>(name: MessageName, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof WireError) throw new WireError(`${name}: ${error.message}`);
    throw error;
  }
}
