import { type Addr, type Family, ipFromAddr } from '../address.ts';
import { TcpFlag } from '../packet/build.ts';
import { Protocol } from '../packet/headers.ts';

/** Timeouts of sessions, seconds. Source: VPP v26.06 `plugins/acl/acl.h`; settable by CLI. */
export interface AclTimeouts {
  udpIdle: number;
  tcpIdle: number;
  tcpTransient: number;
}

/** What rules and sessions look at. Source: VPP v26.06 `acl/public_inlines.h`, `acl_fill_5tuple`. */
export interface Fields {
  readonly family: Family;
  readonly source: Addr;
  readonly target: Addr;
  readonly protocol: number;
  /** Source port of TCP and UDP, type of ICMP; 0 for every other protocol, SCTP among them. */
  readonly first: number;
  /** Target port of TCP and UDP, code of ICMP; 0 for every other protocol. */
  readonly second: number;
  readonly tcpFlags: number;
  readonly laterFragment: boolean;
  /** False for a later fragment, and for a packet without a byte behind its header. */
  readonly hasTransport: boolean;
}

export type Direction = 'input' | 'output';

interface Session {
  seen: number;
  /** TCP flags seen in each direction, to tell established from transient. */
  readonly flags: { input: number; output: number };
  readonly protocol: number;
  readonly openedBy: Direction;
  /** Of the lists of the direction that opened it. */
  readonly epoch: number;
  /** One for each direction in which its packets pass. */
  readonly keys: readonly string[];
}

/** VPP's default for `acl-plugin { connection count max }`; one less than that are held. */
const tableEntries = 500_000;

/** A packet on an interface. */
export interface Passage {
  readonly interface: number;
  readonly direction: Direction;
  readonly fields: Fields;
}

/**
 * Sessions of permit+reflect rules. They belong to one interface, and one of them lets packets
 * pass that have its addresses and ports, or the same swapped in the other direction. ICMP has a
 * way back for requests only, and messages of any other type are sessions of their own: errors
 * about a session's packets belong to none. Source: VPP v26.06 `acl/session_inlines.h`.
 */
export interface AclSessions {
  readonly size: number;
  /** Entries of the table, of which one stays free. */
  tableEntries: number;
  /** The lists of an interface changed: sessions that they opened are judged anew. */
  listsChanged(interfaceIndex: number, direction: Direction): void;
  /** Whether a live session lets the packet pass; refreshes it. */
  admits(passage: Passage): boolean;
  /**
   * False when the table is full: the packet is dropped. Then the oldest connection of TCP that is
   * not established makes room for the next one, and no other session does.
   */
  open(passage: Passage): boolean;
  removeInterface(interfaceIndex: number): void;
}

export function createAclSessions(now: () => number, timeouts: AclTimeouts): AclSessions {
  const byKey = new Map<string, Session>();
  const all = new Set<Session>();
  const epochs = new Map<string, number>();
  const epochOf = (index: number, direction: Direction) => epochs.get(`${index} ${direction}`) ?? 0;
  const remove = (session: Session) => {
    all.delete(session);
    for (const key of session.keys) if (byKey.get(key) === session) byKey.delete(key);
  };
  const sessions: AclSessions = {
    tableEntries,
    get size() {
      return all.size;
    },
    listsChanged(index, direction) {
      epochs.set(`${index} ${direction}`, epochOf(index, direction) + 1);
    },
    admits({ interface: index, direction, fields }) {
      const session = byKey.get(keyOf(index, direction, fields));
      if (session === undefined) return false;
      const isIdle = now() - session.seen > lifetime(session, timeouts);
      // Only packets in the direction that opened a session are judged by its lists anew.
      const isStale = session.openedBy === direction && session.epoch !== epochOf(index, direction);
      if (isIdle || isStale) {
        remove(session);
        return false;
      }
      session.seen = now();
      session.flags[direction] |= fields.tcpFlags;
      return true;
    },
    open({ interface: index, direction, fields }) {
      if (all.size + 1 >= sessions.tableEntries) {
        for (const session of all)
          if (session.protocol === Protocol.tcp && !isEstablished(session)) {
            remove(session);
            break;
          }
        return false;
      }
      const back = wayBack(fields);
      const other = direction === 'input' ? 'output' : 'input';
      const keys = [keyOf(index, direction, fields)];
      if (back !== undefined) keys.push(keyOf(index, other, back));
      const session: Session = {
        seen: now(),
        flags: { input: 0, output: 0, [direction]: fields.tcpFlags },
        protocol: fields.protocol,
        openedBy: direction,
        epoch: epochOf(index, direction),
        keys,
      };
      all.add(session);
      for (const key of keys) byKey.set(key, session);
      return true;
    },
    removeInterface(index) {
      for (const session of [...all])
        if (session.keys[0]?.startsWith(`${index} `) === true) remove(session);
    },
  };
  return sessions;
}

function keyOf(index: number, direction: Direction, fields: Fields): string {
  const { source, target, protocol, first, second } = fields;
  // VPP keeps apart what has no ports because of its protocol and what has none to show.
  const ported = protocol === Protocol.tcp || protocol === Protocol.udp;
  const slow = fields.hasTransport && !ported ? 'portless' : '';
  const ends = `${ipFromAddr(source)} ${ipFromAddr(target)}`;
  return `${index} ${direction} ${protocol} ${ends} ${first} ${second} ${slow}`;
}

/** Types of ICMP that are answered, and by which. */
const answers: { readonly [F in Family]: ReadonlyMap<number, number> } = {
  4: new Map([
    [8, 0],
    [13, 14],
    [15, 16],
    [17, 18],
  ]),
  6: new Map([
    [128, 129],
    [139, 140],
  ]),
};

/** What comes back; undefined for ICMP that is not answered. */
function wayBack(fields: Fields): Fields | undefined {
  const { family, source, target, protocol, first, second } = fields;
  const isIcmp = protocol === (family === 4 ? Protocol.icmp : Protocol.icmp6);
  const turned = { ...fields, source: target, target: source };
  if (!isIcmp || !fields.hasTransport) return { ...turned, first: second, second: first };
  const answer = answers[family].get(first);
  return answer === undefined ? undefined : { ...turned, first: answer };
}

function lifetime(session: Session, timeouts: AclTimeouts): number {
  if (session.protocol !== Protocol.tcp) return timeouts.udpIdle;
  return isEstablished(session) ? timeouts.tcpIdle : timeouts.tcpTransient;
}

/** SYN and ACK were seen in both directions, and nothing of an end. */
function isEstablished({ flags: { input, output } }: Session): boolean {
  const looked = TcpFlag.syn | TcpFlag.ack | TcpFlag.fin | TcpFlag.rst;
  const established = TcpFlag.syn | TcpFlag.ack;
  return (input & looked) === established && (output & looked) === established;
}
