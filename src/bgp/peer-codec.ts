import type * as gobgp3 from '../../proto/generated/gobgp3.ts';
import type * as gobgp4 from '../../proto/generated/gobgp4.ts';
import { type Ip, type Prefix, parseIp, parsePrefix } from '../core/ip.ts';
import { passwordDigest } from '../core/password-digest.ts';
import type { BgpPeerRow } from '../desired/rows.ts';

/**
 * Neighbours as rows, and as GoBGP's Peer and PeerGroup. What is written is complete: GoBGP 3
 * does not fill in its defaults before it compares in UpdatePeer, and would end the session for
 * each one that we leave out (v3.10.0 pkg/server/server.go).
 */
export type SessionState =
  | 'unknown'
  | 'idle'
  | 'connect'
  | 'active'
  | 'opensent'
  | 'openconfirm'
  | 'established';

/** What a row does not say. */
export interface PeerContext {
  /** Our own AS. */
  readonly localAsn: number;
  /** '' for none. */
  readonly password: string;
}

/** A peer as GoBGP has it: its configuration and how it is doing. */
export interface PeerState {
  /** The password's key is not known to GoBGP and ''. */
  readonly row: BgpPeerRow & { readonly address: Ip };
  /** Group of a neighbour that called from inside a range, else ''. */
  readonly group: string;
  readonly session: SessionState;
  /** False when an operator disabled the peer or it exceeded a prefix limit. */
  readonly enabled: boolean;
  /** True when it sent more prefixes than it may. */
  readonly overLimit: boolean;
  /** Seconds since the epoch of the last change to Established; 0 when never. */
  readonly upSince: number;
  /** Prefixes. */
  readonly received: number;
  readonly accepted: number;
  readonly advertised: number;
  /** NOTIFICATION messages since the peer was added. */
  readonly notifications: { readonly received: number; readonly sent: number };
  /** True when every family's End-of-RIB has arrived (RFC 4724); needs graceful restart. */
  readonly endOfRib: boolean;
}

/** A range of neighbours as GoBGP has it. */
export interface RangeState {
  readonly group: string;
  readonly row: BgpPeerRow & { readonly address: Prefix };
}

// The defaults are 30 s and 360 s (v3.10.0 and v4.8.0 config/default.go).
const idleHoldSeconds = 5;
const deferralSeconds = 360;

const sessionStates: readonly SessionState[] = [
  'unknown',
  'idle',
  'connect',
  'active',
  'opensent',
  'openconfirm',
  'established',
];

/** True for a range of neighbours. */
export function isRange(row: BgpPeerRow): boolean {
  return row.address.includes('/');
}

/** `first`: the number of the first value of enums. */
export function peerOf(row: BgpPeerRow, context: PeerContext, first: 0 | 1) {
  return {
    ...sessionOf(row),
    conf: {
      authPassword: context.password,
      description: row.description,
      localAsn: context.localAsn,
      neighborAddress: row.address,
      peerAsn: row.asn,
      peerGroup: '',
      type: first + (row.asn === context.localAsn ? 0 : 1),
    },
    state: undefined,
  };
}

const groupPrefix = 'kvr-';

/**
 * Names a range's peer group. GoBGP does not give back whether a group has add-path, so its
 * name says it.
 */
export function groupName(row: BgpPeerRow): string {
  const receive = row.addPathReceive ? ' receive' : '';
  const send = row.addPathSend > 0 ? ` send=${row.addPathSend}` : '';
  return `${groupPrefix}${row.address}${receive}${send}`;
}

export function peerGroupOf(row: BgpPeerRow, context: PeerContext) {
  return {
    ...sessionOf({ ...row, passive: true }),
    conf: {
      authPassword: context.password,
      description: row.description,
      peerAsn: row.asn,
      peerGroupName: groupName(row),
    },
  };
}

/** What a peer and a group of peers have in common. */
function sessionOf(row: BgpPeerRow) {
  return {
    ebgpMultihop: { enabled: row.multihopTtl > 0, multihopTtl: row.multihopTtl },
    ttlSecurity: { enabled: row.ttlMin > 0, ttlMin: row.ttlMin },
    routeReflector: {
      routeReflectorClient: row.reflectorClusterId !== undefined,
      routeReflectorClusterId: row.reflectorClusterId ?? '',
    },
    timers: {
      config: {
        connectRetry: row.connectRetrySeconds,
        holdTime: row.holdTimeSeconds,
        keepaliveInterval: row.keepaliveSeconds,
        idleHoldTimeAfterReset: idleHoldSeconds,
      },
      state: undefined,
    },
    transport: {
      localAddress: row.localAddress,
      passiveMode: row.passive,
      remotePort: row.port,
    },
    gracefulRestart: {
      enabled: row.gracefulRestartSeconds > 0,
      restartTime: row.gracefulRestartSeconds,
      deferralTime: row.gracefulRestartSeconds > 0 ? deferralSeconds : 0,
      longlivedEnabled: row.longLivedSeconds > 0,
    },
    afiSafis: row.families.map((family) => familySettings(row, family)),
  };
}

function familySettings(row: BgpPeerRow, of: 4 | 6) {
  const family = { afi: of === 4 ? 1 : 2, safi: 1 };
  const { longLivedSeconds, addPathReceive, addPathSend } = row;
  return {
    config: { family, enabled: true },
    mpGracefulRestart: {
      config: { enabled: row.gracefulRestartSeconds > 0 },
      state: undefined,
    },
    state: undefined,
    prefixLimits: { family, maxPrefixes: row.maxPrefixes },
    longLivedGracefulRestart: {
      config: { enabled: longLivedSeconds > 0, restartTime: longLivedSeconds },
    },
    addPaths: { config: { receive: addPathReceive, sendMax: addPathSend } },
  };
}

type Peer = gobgp3.Peer | gobgp4.Peer;
type PeerGroup = gobgp3.PeerGroup | gobgp4.PeerGroup;

/** Undefined for a peer without an address. */
export function stateOf(peer: Peer, first: 0 | 1): PeerState | undefined {
  const { conf, state } = peer;
  // A neighbour from inside a range has no configured address.
  const address = parseIp(conf?.neighborAddress ?? '') ?? parseIp(state?.neighborAddress ?? '');
  if (address === undefined) return undefined;
  const sum = (field: 'received' | 'accepted' | 'advertised') =>
    peer.afiSafis.reduce((total, entry) => total + (entry.state?.[field] ?? 0), 0);
  return {
    row: {
      ...readSession(peer),
      address,
      asn: conf?.peerAsn ?? 0,
      password: readPassword(conf?.authPassword ?? ''),
      description: conf?.description ?? '',
    },
    group: conf?.peerGroup ?? '',
    session: sessionStates[state?.sessionState ?? 0] ?? 'unknown',
    enabled: state?.adminState === first,
    overLimit: state?.adminState === first + 2,
    upSince: peer.timers?.state?.uptime?.seconds ?? 0,
    received: sum('received'),
    accepted: sum('accepted'),
    advertised: sum('advertised'),
    notifications: {
      received: state?.messages?.received?.notification ?? 0,
      sent: state?.messages?.sent?.notification ?? 0,
    },
    endOfRib:
      peer.afiSafis.length > 0 &&
      peer.afiSafis.every((entry) => entry.mpGracefulRestart?.state?.endOfRibReceived === true),
  };
}

/** Undefined for a group that is none of ours. */
export function rangeOf(group: PeerGroup): RangeState | undefined {
  const { conf } = group;
  const name = conf?.peerGroupName ?? '';
  const [prefix = '', ...words] = name.slice(groupPrefix.length).split(' ');
  const address = parsePrefix(prefix);
  if (!name.startsWith(groupPrefix) || address === undefined) return undefined;
  const send = words.find((word) => word.startsWith('send='));
  return {
    group: name,
    row: {
      ...readSession(group),
      address,
      asn: conf?.peerAsn ?? 0,
      password: readPassword(conf?.authPassword ?? ''),
      addPathReceive: words.includes('receive'),
      addPathSend: Number(send?.slice('send='.length) ?? 0),
      description: conf?.description ?? '',
    },
  };
}

function readPassword(password: string): BgpPeerRow['password'] {
  return password === '' ? undefined : { key: '', digest: passwordDigest(password) };
}

type Named = 'address' | 'asn' | 'password' | 'description';

function readSession(from: Peer | PeerGroup): Omit<BgpPeerRow, Named> {
  const { timers, transport, ebgpMultihop, ttlSecurity, routeReflector, gracefulRestart } = from;
  const [one] = from.afiSafis;
  const longLived = one?.longLivedGracefulRestart?.config;
  return {
    port: transport?.remotePort ?? 0,
    localAddress: parseIp(transport?.localAddress ?? '') ?? ('' as Ip),
    families: readFamilies(from),
    holdTimeSeconds: timers?.config?.holdTime ?? 0,
    keepaliveSeconds: timers?.config?.keepaliveInterval ?? 0,
    connectRetrySeconds: timers?.config?.connectRetry ?? 0,
    passive: transport?.passiveMode ?? false,
    multihopTtl: ebgpMultihop?.enabled === true ? ebgpMultihop.multihopTtl : 0,
    ttlMin: ttlSecurity?.enabled === true ? ttlSecurity.ttlMin : 0,
    reflectorClusterId:
      routeReflector?.routeReflectorClient === true
        ? routeReflector.routeReflectorClusterId
        : undefined,
    gracefulRestartSeconds: gracefulRestart?.enabled === true ? gracefulRestart.restartTime : 0,
    longLivedSeconds: longLived?.enabled === true ? longLived.restartTime : 0,
    maxPrefixes: one?.prefixLimits?.maxPrefixes ?? 0,
    addPathReceive: one?.addPaths?.config?.receive ?? false,
    addPathSend: one?.addPaths?.config?.sendMax ?? 0,
  };
}

function readFamilies(from: Peer | PeerGroup): readonly (4 | 6)[] {
  const families = from.afiSafis.flatMap((entry) => {
    const { afi, safi } = entry.config?.family ?? { afi: 0, safi: 0 };
    return safi !== 1 ? [] : afi === 1 ? [4 as const] : afi === 2 ? [6 as const] : [];
  });
  return families.toSorted((a, b) => a - b);
}
