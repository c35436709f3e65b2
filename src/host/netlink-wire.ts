/**
 * rtnetlink's bytes: messages, attributes and errors. Pure.
 *
 * Message: u32 length | u16 type | u16 flags | u32 sequence | u32 port | payload, padded to 4.
 * Attribute: u16 length | u16 type | value, padded to 4; the lengths include the header.
 * Source: Linux include/uapi/linux/netlink.h. Numbers are in the host's byte order; Node's
 * Linux builds that we support (x64, arm64) are little-endian.
 */
export const headerBytes = 16;
const attributeHeaderBytes = 4;
/** NLA_F_NESTED and NLA_F_NET_BYTEORDER are flags in the type, not part of it. */
const attributeTypeMask = 0x3fff;
const nestedFlag = 0x8000;

/** nlmsghdr.nlmsg_flags. */
export const messageFlags = {
  request: 0x1,
  multi: 0x2,
  ack: 0x4,
  dumpInterrupted: 0x10,
  replace: 0x100,
  exclusive: 0x200,
  create: 0x400,
  dump: 0x300,
  capped: 0x100,
  ackTlvs: 0x200,
} as const;

/** Message types that belong to netlink itself. */
export const controlType = { noop: 1, error: 2, done: 3, overrun: 4 } as const;

export interface NetlinkMessage {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly payload: Buffer;
}

export type Attribute = readonly [type: number, value: Uint8Array | readonly Attribute[]];

/** `value` as a u16, u32 or text attribute's bytes. */
export function u8(value: number): Buffer {
  return Buffer.of(value);
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}

/** Text with the terminating zero that the kernel wants. */
export function text(value: string): Buffer {
  return Buffer.from(`${value}\0`);
}

/** `aa:bb:cc:dd:ee:ff` as six bytes. */
export function macBytes(mac: string): Buffer {
  if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(mac)) throw new TypeError(`not a MAC: ${mac}`);
  return Buffer.from(mac.replaceAll(':', ''), 'hex');
}

export function formatMac(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}

export function encodeMessage(message: NetlinkMessage): Buffer {
  const bytes = Buffer.alloc(headerBytes + align(message.payload.length));
  bytes.writeUInt32LE(headerBytes + message.payload.length, 0);
  bytes.writeUInt16LE(message.type, 4);
  bytes.writeUInt16LE(message.flags, 6);
  bytes.writeUInt32LE(message.sequence, 8);
  message.payload.copy(bytes, headerBytes);
  return bytes;
}

/** The messages of one datagram; a damaged rest is dropped. */
export function parseMessages(bytes: Buffer): NetlinkMessage[] {
  const messages: NetlinkMessage[] = [];
  let at = 0;
  while (at + headerBytes <= bytes.length) {
    const length = bytes.readUInt32LE(at);
    if (length < headerBytes || at + length > bytes.length) break;
    messages.push({
      type: bytes.readUInt16LE(at + 4),
      flags: bytes.readUInt16LE(at + 6),
      sequence: bytes.readUInt32LE(at + 8),
      payload: bytes.subarray(at + headerBytes, at + length),
    });
    at += align(length);
  }
  return messages;
}

export function encodeAttributes(attributes: readonly Attribute[]): Buffer {
  return Buffer.concat(
    attributes.map(([type, value]) => {
      const nested = !(value instanceof Uint8Array);
      const content = nested ? encodeAttributes(value) : value;
      const bytes = Buffer.alloc(attributeHeaderBytes + align(content.length));
      bytes.writeUInt16LE(attributeHeaderBytes + content.length, 0);
      bytes.writeUInt16LE(nested ? type | nestedFlag : type, 2);
      bytes.set(content, attributeHeaderBytes);
      return bytes;
    }),
  );
}

/** Attributes by type, the last one of a type wins; a damaged rest is dropped. */
export function parseAttributes(bytes: Buffer): Map<number, Buffer> {
  const attributes = new Map<number, Buffer>();
  let at = 0;
  while (at + attributeHeaderBytes <= bytes.length) {
    const length = bytes.readUInt16LE(at);
    if (length < attributeHeaderBytes || at + length > bytes.length) break;
    const type = bytes.readUInt16LE(at + 2) & attributeTypeMask;
    attributes.set(type, bytes.subarray(at + attributeHeaderBytes, at + length));
    at += align(length);
  }
  return attributes;
}

/** Text of an attribute without its terminating zero. */
export function attributeText(bytes: Buffer | undefined): string {
  if (bytes === undefined) return '';
  const end = bytes.indexOf(0);
  return bytes.toString('utf8', 0, end < 0 ? bytes.length : end);
}

/** Errno (0 for an acknowledgement) and the kernel's words of an NLMSG_ERROR. */
export function parseErrorMessage(message: NetlinkMessage): { errno: number; detail: string } {
  const { payload, flags } = message;
  if (payload.length < 4) return { errno: 71, detail: 'short error message' }; // EPROTO
  const errno = -payload.readInt32LE(0);
  if ((flags & messageFlags.ackTlvs) === 0 || payload.length < 4 + headerBytes) {
    return { errno, detail: '' };
  }
  // The request follows, only its header when NLM_F_CAPPED, then the NLMSGERR_ATTR_*.
  const capped = (flags & messageFlags.capped) !== 0;
  const requestBytes = capped ? headerBytes : payload.readUInt32LE(4);
  const attributes = parseAttributes(payload.subarray(4 + align(requestBytes)));
  return { errno, detail: attributeText(attributes.get(1)) }; // NLMSGERR_ATTR_MSG
}

function align(length: number): number {
  return (length + 3) & ~3;
}
