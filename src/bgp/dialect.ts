import * as gobgp3 from '../../proto/generated/gobgp3.ts';
import * as gobgp4 from '../../proto/generated/gobgp4.ts';
import { type Ip, type Prefix, parseIp } from '../core/ip.ts';
import { peerRow } from '../desired/bgp.ts';
import type { BgpPeerRow, BgpServerRow } from '../desired/rows.ts';
import type { GobgpVersion } from './path-codec.ts';

/**
 * The two dialects of GoBGP's API behind one set of functions: rows in, bytes out, and back.
 *
 * The messages that are used here have the same fields in both; the service name and the
 * values of some enums differ (version 4 counts from one).
 */
export interface Dialect {
  readonly version: GobgpVersion;
  /** `/package.Service/`, the front of every method's path. */
  readonly service: string;
  startBgp(server: BgpServerRow): Uint8Array;
  stopBgp(): Uint8Array;
  decodeGetBgp(reply: Uint8Array): ServerState;
  /** AddPeer and UpdatePeer. */
  peer(row: BgpPeerRow): Uint8Array;
  deletePeer(address: Ip | Prefix): Uint8Array;
  listPeers(): Uint8Array;
  decodePeer(reply: Uint8Array): PeerState | undefined;
  listPaths(family: 4 | 6): Uint8Array;
  /** Peer events always; best paths, all at first, when `paths`. */
  watch(paths: boolean): Uint8Array;
}

/** GoBGP's global state; `asn` 0 means that it was not started. */
export interface ServerState {
  readonly asn: number;
  readonly routerId: string;
  readonly port: number;
  readonly listenAddresses: readonly string[];
  readonly multipath: boolean;
}

export type SessionState =
  | 'unknown'
  | 'idle'
  | 'connect'
  | 'active'
  | 'opensent'
  | 'openconfirm'
  | 'established';

/** A peer as GoBGP has it: its configuration and how it is doing. */
export interface PeerState {
  readonly row: BgpPeerRow;
  readonly session: SessionState;
  /** False when an operator disabled the peer or it exceeded a prefix limit. */
  readonly enabled: boolean;
  /** Seconds since the epoch of the last change to Established; 0 when never. */
  readonly upSince: number;
  readonly received: number;
  readonly advertised: number;
  /** True when every family's End-of-RIB has arrived (RFC 4724); needs graceful restart. */
  readonly endOfRib: boolean;
  /** Why the last session ended; '' when it did not, or GoBGP does not say (version 3). */
  readonly lastError: string;
}

/**
 * Seconds that a neighbour keeps our routes when our gobgpd dies without a NOTIFICATION: VPP
 * goes on forwarding meanwhile (RFC 4724). The field has 12 bits.
 */
export const gracefulRestartSeconds = 120;

/** Paths in a message of the initial table; only GoBGP 4 is asked to split. */
export const watchBatchPaths = 1000;

// Defaults are 120 s and 30 s; GoBGP's lower bound for a connect retry is 5 s
// (v3.10.0 and v4.8.0 pkg/server/fsm.go).
const connectRetrySeconds = 5;
const idleHoldSeconds = 5;

const sessionStates: readonly SessionState[] = [
  'unknown',
  'idle',
  'connect',
  'active',
  'opensent',
  'openconfirm',
  'established',
];

/** What GoBGP 3 speaks. */
export const dialect3: Dialect = {
  ...createShared(gobgp3),
  version: 3,
  service: '/apipb.GobgpApi/',
  stopBgp: () => gobgp3.StopBgpRequest.encode({}).finish(),
  listPaths: (family) =>
    gobgp3.ListPathRequest.encode({
      tableType: gobgp3.TableType.TABLE_TYPE_GLOBAL,
      family: unicast(family),
    }).finish(),
  watch(paths) {
    const filters = [{ type: gobgp3.FilterType.FILTER_TYPE_BEST, init: true }];
    const table = paths ? { filters } : undefined;
    return gobgp3.WatchEventRequest.encode({ peer: {}, table, batchSize: 0 }).finish();
  },
};

/** What GoBGP 4 speaks. */
export const dialect4: Dialect = {
  ...createShared(gobgp4),
  version: 4,
  service: '/api.GoBgpService/',
  // A stop is meant, so the neighbours shall not keep our routes.
  stopBgp: () => gobgp4.StopBgpRequest.encode({ allowGracefulRestart: false }).finish(),
  listPaths: (family) =>
    gobgp4.ListPathRequest.encode({
      tableType: gobgp4.TableType.TABLE_TYPE_GLOBAL,
      family: unicast(family),
      batchSize: 0,
    }).finish(),
  watch(paths) {
    const filters = [{ type: gobgp4.FilterType.FILTER_TYPE_BEST, init: true }];
    const table = paths ? { filters } : undefined;
    return gobgp4.WatchEventRequest.encode({
      peer: {},
      table,
      batchSize: watchBatchPaths,
    }).finish();
  },
};

type Shared = Omit<Dialect, 'version' | 'service' | 'stopBgp' | 'listPaths' | 'watch'>;

/** What is the same in both, but for the numbers of AdminState. */
function createShared(messages: typeof gobgp3 | typeof gobgp4): Shared {
  const enabled: number = messages.AdminState.ADMIN_STATE_UP;
  return {
    startBgp: (server) => messages.StartBgpRequest.encode({ global: globalOf(server) }).finish(),
    decodeGetBgp(reply) {
      const global = messages.GetBgpResponse.decode(reply).global;
      return {
        asn: global?.asn ?? 0,
        routerId: global?.routerId ?? '',
        port: global?.listenPort ?? 0,
        listenAddresses: global?.listenAddresses ?? [],
        multipath: global?.useMultiplePaths ?? false,
      };
    },
    peer: (row) => messages.PeerRequest.encode({ peer: peerOf(row) }).finish(),
    deletePeer: (address) => messages.DeletePeerRequest.encode({ address }).finish(),
    listPeers: () =>
      messages.ListPeerRequest.encode({ address: '', enableAdvertised: true }).finish(),
    decodePeer(reply) {
      const peer = messages.ListPeerResponse.decode(reply).peer;
      return peer === undefined ? undefined : stateOf(peer, enabled);
    },
  };
}

function unicast(family: 4 | 6): gobgp3.Family {
  return { afi: family === 4 ? 1 : 2, safi: 1 };
}

function globalOf(server: BgpServerRow): gobgp3.Global {
  return {
    asn: server.asn,
    routerId: server.routerId,
    listenPort: server.port,
    listenAddresses: [...server.listenAddresses],
    useMultiplePaths: true,
  };
}

function peerOf(row: BgpPeerRow) {
  return {
    conf: { description: row.description, neighborAddress: row.address, peerAsn: row.asn },
    state: undefined,
    timers: {
      config: {
        connectRetry: connectRetrySeconds,
        holdTime: row.holdTimeSeconds,
        keepaliveInterval: Math.floor(row.holdTimeSeconds / 3), // RFC 4271 section 10
        idleHoldTimeAfterReset: idleHoldSeconds,
      },
      state: undefined,
    },
    transport: {
      localAddress: row.localAddress,
      passiveMode: row.passive,
      remotePort: row.port,
    },
    gracefulRestart: { enabled: true, restartTime: gracefulRestartSeconds },
    afiSafis: row.families.map((family) => ({
      config: { family: unicast(family), enabled: true },
      mpGracefulRestart: { config: { enabled: true }, state: undefined },
      state: undefined,
    })),
  };
}

function stateOf(peer: gobgp3.Peer | gobgp4.Peer, enabled: number): PeerState | undefined {
  const address = parseIp(peer.conf?.neighborAddress ?? '');
  if (address === undefined) return undefined;
  const families = peer.afiSafis.flatMap((entry) => {
    const { afi, safi } = entry.config?.family ?? { afi: 0, safi: 0 };
    return safi !== 1 ? [] : afi === 1 ? [4 as const] : afi === 2 ? [6 as const] : [];
  });
  const sum = (field: 'received' | 'advertised') =>
    peer.afiSafis.reduce((total, entry) => total + (entry.state?.[field] ?? 0), 0);
  return {
    row: peerRow({
      address,
      asn: peer.conf?.peerAsn ?? 0,
      port: peer.transport?.remotePort ?? 0,
      localAddress: parseIp(peer.transport?.localAddress ?? '') ?? ('' as Ip),
      families: families.toSorted((a, b) => a - b),
      holdTimeSeconds: peer.timers?.config?.holdTime ?? 0,
      passive: peer.transport?.passiveMode ?? false,
      description: peer.conf?.description ?? '',
    }),
    session: sessionStates[peer.state?.sessionState ?? 0] ?? 'unknown',
    enabled: peer.state?.adminState === enabled,
    upSince: peer.timers?.state?.uptime?.seconds ?? 0,
    received: sum('received'),
    advertised: sum('advertised'),
    endOfRib:
      peer.afiSafis.length > 0 &&
      peer.afiSafis.every((entry) => entry.mpGracefulRestart?.state?.endOfRibReceived === true),
    lastError:
      peer.state !== undefined && 'disconnectMessage' in peer.state
        ? peer.state.disconnectMessage
        : '',
  };
}
