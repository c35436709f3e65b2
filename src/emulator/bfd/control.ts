/** BFD control packets without authentication. Source: RFC 5880 section 4.1. */
export const BfdState = { adminDown: 0, down: 1, init: 2, up: 3 } as const;
export type BfdState = (typeof BfdState)[keyof typeof BfdState];

/** Names as VPP's CLI writes them, by number. */
export const bfdStateNames = ['AdminDown', 'Down', 'Init', 'Up'] as const;

/** RFC 5880 section 4.1; the others have no meaning here. */
export const Diagnostic = { none: 0, timeExpired: 1, neighbourSaidDown: 3, adminDown: 7 } as const;

export interface BfdControl {
  readonly state: BfdState;
  readonly diagnostic: number;
  readonly poll: boolean;
  readonly final: boolean;
  readonly demand: boolean;
  readonly multiplier: number;
  readonly mine: number;
  readonly yours: number;
  /** Microseconds. */
  readonly minTxUs: number;
  readonly minRxUs: number;
}

const controlBytes = 24;
const Flag = {
  poll: 0x20,
  final: 0x10,
  authenticated: 0x04,
  demand: 0x02,
  multipoint: 0x01,
} as const;

export function encodeControl(control: BfdControl): Buffer {
  const bytes = Buffer.alloc(controlBytes);
  bytes[0] = (1 << 5) | control.diagnostic;
  const flags =
    (control.poll ? Flag.poll : 0) |
    (control.final ? Flag.final : 0) |
    (control.demand ? Flag.demand : 0);
  bytes[1] = (control.state << 6) | flags;
  bytes[2] = control.multiplier;
  bytes[3] = controlBytes;
  bytes.writeUInt32BE(control.mine, 4);
  bytes.writeUInt32BE(control.yours, 8);
  bytes.writeUInt32BE(control.minTxUs, 12);
  bytes.writeUInt32BE(control.minRxUs, 16);
  return bytes;
}

/** Undefined for what must be discarded unread (RFC 5880 section 6.8.6, up to the session). */
export function decodeControl(bytes: Buffer): BfdControl | undefined {
  if (bytes.length < controlBytes) return undefined;
  const [first = 0, second = 0, multiplier = 0, length = 0] = bytes;
  const control: BfdControl = {
    state: (second >> 6) as BfdState,
    diagnostic: first & 0x1f,
    poll: (second & Flag.poll) !== 0,
    final: (second & Flag.final) !== 0,
    demand: (second & Flag.demand) !== 0,
    multiplier,
    mine: bytes.readUInt32BE(4),
    yours: bytes.readUInt32BE(8),
    minTxUs: bytes.readUInt32BE(12),
    minRxUs: bytes.readUInt32BE(16),
  };
  const wellFormed =
    first >> 5 === 1 &&
    length >= controlBytes &&
    length <= bytes.length &&
    multiplier > 0 &&
    control.mine !== 0 &&
    // Our sessions have no authentication, so nobody else's packet may have it.
    (second & (Flag.multipoint | Flag.authenticated)) === 0 &&
    (control.yours !== 0 || control.state <= BfdState.down);
  return wellFormed ? control : undefined;
}
