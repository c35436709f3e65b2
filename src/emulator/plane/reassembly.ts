import type { Family } from '../address.ts';
import { allocatePacket } from '../packet/build.ts';
import { Protocol, writeIp4Checksum } from '../packet/headers.ts';

/** Packets being put together at most; VPP's default is 1024 a family. */
const reassembliesMax = 1024;

/** Largest packet that is put together. */
const packetBytesMax = 65_535;

/** Age at which an incomplete packet is given up, seconds (VPP's default is 0.2). */
const timeoutSeconds = 0.2;

interface Part {
  readonly from: number;
  readonly bytes: Buffer;
}

interface Pending {
  readonly since: number;
  readonly parts: Part[];
  /** Payload length, known when the last fragment has come. */
  total: number | undefined;
}

/** Full virtual reassembly of IPv4 and IPv6 fragments (RFC 815, RFC 8200 section 4.5). */
export interface Reassembly {
  /** The whole packet when this was the missing fragment. */
  add(l3: Buffer, family: Family): Buffer | undefined;
}

export function createReassembly(now: () => number): Reassembly {
  const pending = new Map<string, Pending>();
  return {
    add(l3, family) {
      const fragment = family === 4 ? readFragment4(l3) : readFragment6(l3);
      if (fragment === undefined) return undefined;
      const time = now();
      for (const [key, one] of pending) {
        if (time - one.since <= timeoutSeconds) break;
        pending.delete(key);
      }
      let one = pending.get(fragment.key);
      if (one === undefined) {
        if (pending.size >= reassembliesMax) return undefined;
        one = { since: time, parts: [], total: undefined };
        pending.set(fragment.key, one);
      }
      one.parts.push({ from: fragment.from, bytes: Buffer.from(fragment.bytes) });
      if (!fragment.more) one.total = fragment.from + fragment.bytes.length;
      const payload = assemble(one);
      if (payload === undefined) return undefined;
      pending.delete(fragment.key);
      return family === 4 ? whole4(l3, payload) : whole6(l3, fragment.protocol, payload);
    },
  };
}

interface Fragment {
  readonly key: string;
  readonly from: number;
  readonly more: boolean;
  readonly protocol: number;
  readonly bytes: Buffer;
}

function readFragment4(l3: Buffer): Fragment | undefined {
  const header = ((l3[0] ?? 0) & 15) * 4;
  const flags = l3.readUInt16BE(6);
  const from = (flags & 0x1fff) * 8;
  const bytes = l3.subarray(header);
  if (from + bytes.length + header > packetBytesMax) return undefined;
  const key = l3.toString('latin1', 12, 20) + l3.toString('latin1', 4, 6) + (l3[9] ?? 0);
  return { key, from, more: (flags & 0x2000) !== 0, protocol: l3[9] ?? 0, bytes };
}

function readFragment6(l3: Buffer): Fragment | undefined {
  if (l3[6] !== Protocol.fragment || l3.length < 48) return undefined;
  const field = l3.readUInt16BE(42);
  const from = field & 0xfff8;
  const bytes = l3.subarray(48);
  if (from + bytes.length > packetBytesMax) return undefined;
  const key = l3.toString('latin1', 8, 40) + l3.toString('latin1', 44, 48);
  return { key, from, more: (field & 1) !== 0, protocol: l3[40] ?? 0, bytes };
}

/** The payload when nothing is missing. Overlaps: the fragment that came first stays. */
function assemble(one: Pending): Buffer | undefined {
  if (one.total === undefined || one.total > packetBytesMax) return undefined;
  const parts = one.parts.toSorted((a, b) => a.from - b.from);
  let end = 0;
  for (const part of parts) {
    if (part.from > end) return undefined;
    end = Math.max(end, part.from + part.bytes.length);
  }
  if (end < one.total) return undefined;
  const payload = Buffer.alloc(one.total);
  for (const part of one.parts.toReversed())
    payload.set(part.bytes.subarray(0, Math.max(0, one.total - part.from)), part.from);
  return payload;
}

function whole4(l3: Buffer, payload: Buffer): Buffer {
  const whole = allocatePacket(20 + payload.length);
  l3.copy(whole, 0, 0, 20);
  whole[0] = 0x45;
  whole.set(payload, 20);
  whole.writeUInt16BE(whole.length, 2);
  whole.writeUInt16BE(0, 6);
  writeIp4Checksum(whole);
  return whole;
}

function whole6(l3: Buffer, protocol: number, payload: Buffer): Buffer {
  const whole = allocatePacket(40 + payload.length);
  l3.copy(whole, 0, 0, 40);
  whole.set(payload, 40);
  whole.writeUInt16BE(payload.length, 4);
  whole[6] = protocol;
  return whole;
}
