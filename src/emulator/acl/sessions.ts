import type { Addr } from '../address.ts';
import { TcpFlag } from '../packet/build.ts';
import { Protocol } from '../packet/headers.ts';

/** Timeouts of sessions, seconds. Source: VPP v26.06 `plugins/acl/acl.h`; settable by CLI. */
export interface AclTimeouts {
  udpIdle: number;
  tcpIdle: number;
  tcpTransient: number;
}

/** What rules look at. */
export interface Fields {
  readonly source: Addr;
  readonly target: Addr;
  readonly protocol: number;
  /** Source port, or ICMP type. */
  readonly first: number;
  /** Target port, or ICMP code. */
  readonly second: number;
  readonly tcpFlags: number;
  readonly laterFragment: boolean;
}

interface Session {
  seen: number;
  /** TCP flags seen in either direction, to tell established from transient. */
  flags: number;
  readonly protocol: number;
  readonly generation: number;
  readonly direction: 'input' | 'output';
}

/** VPP's default for `acl-plugin { max sessions }`. */
const sessionsMax = 500_000;

/** Sessions of permit+reflect rules, by a key that both directions share. */
export interface AclSessions {
  readonly size: number;
  /** Rules or bindings changed: with reclassification, older sessions are judged anew. */
  rulesChanged(): void;
  /** Whether a live session lets the packet pass; refreshes it. */
  admits(key: string, fields: Fields, direction: 'input' | 'output', reclassify: boolean): boolean;
  open(key: string, fields: Fields, direction: 'input' | 'output'): void;
}

export function createAclSessions(now: () => number, timeouts: AclTimeouts): AclSessions {
  const sessions = new Map<string, Session>();
  let generation = 1;
  return {
    get size() {
      return sessions.size;
    },
    rulesChanged() {
      generation++;
    },
    admits(key, fields, direction, reclassify) {
      const session = sessions.get(key);
      if (session === undefined) return false;
      const isIdle = now() - session.seen > lifetime(session, timeouts);
      // Only the direction that opened a session can be judged by its own rules.
      const isStale =
        reclassify && session.generation !== generation && session.direction === direction;
      if (isIdle || isStale) {
        sessions.delete(key);
        return false;
      }
      session.seen = now();
      session.flags |= fields.tcpFlags;
      return true;
    },
    open(key, fields, direction) {
      if (sessions.size >= sessionsMax) {
        // VPP recycles the oldest session; insertion order is close enough to age.
        const oldest = sessions.keys().next().value;
        if (oldest !== undefined) sessions.delete(oldest);
      }
      const { protocol, tcpFlags: flags } = fields;
      sessions.set(key, { seen: now(), flags, protocol, generation, direction });
    },
  };
}

function lifetime(session: Session, timeouts: AclTimeouts): number {
  if (session.protocol !== Protocol.tcp) return timeouts.udpIdle;
  const established = TcpFlag.syn | TcpFlag.ack;
  const open = (session.flags & established) === established;
  const closing = (session.flags & (TcpFlag.fin | TcpFlag.rst)) !== 0;
  return open && !closing ? timeouts.tcpIdle : timeouts.tcpTransient;
}
