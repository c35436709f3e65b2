import type { Clock } from '../core/clock.ts';
import { familyOf, type Prefix } from '../core/ip.ts';
import type { BgpServerRow } from '../desired/rows.ts';
import { type Channel, callTimeoutMs, createChannel, tableTimeoutMs } from './channel.ts';
import { type Dialect, dialect3, dialect4, type ServerState } from './dialect.ts';
import { GobgpError, GrpcCode } from './error.ts';
import { type Candidate, decodeLookup, encodeLookup, type LookupTable } from './lookup.ts';
import { decodeOwnPaths, type OwnPath } from './own-paths.ts';
import type { GobgpVersion, PathChange, WatchEvent } from './path-codec.ts';
import { createPathDecoder } from './path-decoder.ts';
import { encodeAddPaths } from './path-encoder.ts';
import type { PeerState } from './peer-codec.ts';

/**
 * GoBGP's gRPC API over a unix socket.
 *
 * The version is found out by GetBgp: both services have it and it works before StartBgp.
 * Only OK and UNIMPLEMENTED are conclusive; everything else says nothing about the version.
 * It is asked again with every GetBgp, because gobgpd can be upgraded under a running daemon.
 */
export interface GobgpClient extends AsyncDisposable {
  readonly socket: string;
  /** Undefined until GoBGP answered once. */
  readonly version: GobgpVersion | undefined;
  getBgp(signal: AbortSignal): Promise<ServerState>;
  /** Refuses when GoBGP is started: a second StartBgp can wipe its table. */
  startBgp(server: BgpServerRow, signal: AbortSignal): Promise<void>;
  /** Also ends every `watch` of this client, because the table behind it is gone. */
  stopBgp(signal: AbortSignal): Promise<void>;
  /** Any procedure whose reply says nothing. */
  call(name: string, request: (dialect: Dialect) => Uint8Array, signal: AbortSignal): Promise<void>;
  /** Any procedure that answers with a stream; messages that decode to undefined are left out. */
  list<T>(
    name: string,
    request: (dialect: Dialect) => Uint8Array,
    decode: (dialect: Dialect) => (reply: Uint8Array) => T | undefined,
    signal: AbortSignal,
  ): Promise<readonly T[]>;
  /** Neighbours from inside ranges, too, as long as their sessions last. */
  listPeers(signal: AbortSignal): Promise<readonly PeerState[]>;
  /** The same without counts of what they were sent (`advertised` is 0): much cheaper. */
  listSessions(signal: AbortSignal): Promise<readonly PeerState[]>;
  /** At most `pathsPerMessage` in a message; an error says nothing about which path it was. */
  applyPaths(changes: readonly PathChange[], signal: AbortSignal): Promise<void>;
  /** The paths of the global table that came through the API. */
  listOwnPaths(family: 4 | 6, signal: AbortSignal): Promise<readonly OwnPath[]>;
  /**
   * The paths of a prefix and of those that contain it; best first, one prefix after the other.
   * For people: what one neighbour says includes what the import policy rejects.
   */
  lookup(prefix: Prefix, table: LookupTable, signal: AbortSignal): Promise<readonly Candidate[]>;
  /** Peers and best paths, all of them at first. Rejects when the stream ends. */
  watch(onEvent: (event: WatchEvent) => void, signal: AbortSignal): Promise<never>;
  /** Peers only. Rejects when the gobgpd process that is there now has gone. */
  hold(onEvent: (event: WatchEvent) => void, signal: AbortSignal): Promise<never>;
  /** Ends every `watch`: what they have seen is no longer true. */
  resetWatches(): void;
}

/** Paths in one AddPathStream message: 100 to 1000 are equally fast (measured). */
export const pathsPerMessage = 1_000;

/** Opens the channel lazily: nothing fails here, and a lost connection heals by itself. */
export function createGobgpClient(options: {
  readonly socket: string;
  readonly clock: Clock;
}): GobgpClient {
  const { socket, clock } = options;
  const channel = createChannel(socket, clock);
  const watches = new Set<AbortController>();
  let dialect: Dialect | undefined;

  async function getBgp(signal: AbortSignal): Promise<ServerState> {
    const found = await detect(channel, dialect ?? dialect4, signal);
    dialect = found.dialect;
    return found.server;
  }

  async function speak(signal: AbortSignal): Promise<Dialect> {
    if (dialect === undefined) await getBgp(signal);
    if (dialect === undefined) throw new GobgpError('GetBgp', GrpcCode.unknown, 'no dialect');
    return dialect;
  }

  function resetWatches(): void {
    for (const watch of watches) watch.abort();
  }

  const call: GobgpClient['call'] = async (name, request, signal) => {
    const spoken = await speak(signal);
    await channel.unary(spoken, name, request(spoken), signal);
  };

  const list: GobgpClient['list'] = async (name, request, decode, signal) =>
    listAll(channel, await speak(signal), name, request, decode, signal);

  const peers = (advertised: boolean) => (signal: AbortSignal) =>
    list(
      'ListPeer',
      (d) => d.listPeers(advertised),
      (d) => d.decodePeer,
      signal,
    );

  return {
    socket,
    get version() {
      return dialect?.version;
    },
    getBgp,
    async startBgp(server, signal) {
      const state = await getBgp(signal);
      if (state.asn !== 0) {
        throw new GobgpError('StartBgp', GrpcCode.unknown, `already started as AS ${state.asn}`);
      }
      await call('StartBgp', (d) => d.startBgp(server), signal);
    },
    async stopBgp(signal) {
      await call('StopBgp', (d) => d.stopBgp(), signal);
      resetWatches();
    },
    call,
    list,
    listPeers: peers(true),
    listSessions: peers(false),
    async applyPaths(changes, signal) {
      const spoken = await speak(signal);
      await channel.write(spoken, 'AddPathStream', addPathMessages(spoken, changes), signal);
    },
    async listOwnPaths(family, signal) {
      const spoken = await speak(signal);
      const paths: OwnPath[] = [];
      const request = spoken.listPaths(family);
      await channel.read(spoken, 'ListPath', request, tableTimeoutMs, signal, (bytes) => {
        for (const path of decodeOwnPaths(bytes)) paths.push(path);
      });
      return paths;
    },
    lookup: async (...what) => lookUp(channel, await speak(what[2]), ...what),
    async watch(onEvent, signal) {
      const own = new AbortController();
      watches.add(own);
      try {
        const spoken = await speak(signal);
        await watchEvents(channel, spoken, true, onEvent, AbortSignal.any([signal, own.signal]));
      } finally {
        watches.delete(own);
      }
      throw streamEnded();
    },
    async hold(onEvent, signal) {
      await watchEvents(channel, await speak(signal), false, onEvent, signal);
      throw streamEnded();
    },
    resetWatches,
    async [Symbol.asyncDispose]() {
      resetWatches();
      channel.close();
    },
  };
}

async function listAll<T>(
  channel: Channel,
  dialect: Dialect,
  name: string,
  request: (dialect: Dialect) => Uint8Array,
  decode: (dialect: Dialect) => (reply: Uint8Array) => T | undefined,
  signal: AbortSignal,
): Promise<readonly T[]> {
  const read = decode(dialect);
  const items: T[] = [];
  await channel.read(dialect, name, request(dialect), callTimeoutMs, signal, (bytes) => {
    const item = read(bytes);
    if (item !== undefined) items.push(item);
  });
  return items;
}

async function lookUp(
  channel: Channel,
  dialect: Dialect,
  prefix: Prefix,
  table: LookupTable,
  signal: AbortSignal,
): Promise<readonly Candidate[]> {
  const found: Candidate[] = [];
  const request = encodeLookup(dialect.version, prefix, table);
  await channel.read(dialect, 'ListPath', request, callTimeoutMs, signal, (bytes) => {
    found.push(...decodeLookup(bytes, familyOf(prefix)));
  });
  return found;
}

function watchEvents(
  channel: Channel,
  dialect: Dialect,
  paths: boolean,
  onEvent: (event: WatchEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  const decoder = createPathDecoder(dialect.version);
  const request = dialect.watch(paths);
  return channel.read(dialect, 'WatchEvent', request, undefined, signal, (bytes) =>
    onEvent(decoder.watchEvent(bytes)),
  );
}

function streamEnded(): GobgpError {
  return new GobgpError('WatchEvent', GrpcCode.unavailable, 'GoBGP ended the stream');
}

/** GetBgp in the language that GoBGP speaks; tries `likely` first. */
async function detect(
  channel: Channel,
  likely: Dialect,
  signal: AbortSignal,
): Promise<{ readonly dialect: Dialect; readonly server: ServerState }> {
  let refusal: unknown;
  for (const dialect of likely === dialect3 ? [dialect3, dialect4] : [dialect4, dialect3]) {
    try {
      const reply = await channel.unary(dialect, 'GetBgp', new Uint8Array(), signal);
      return { dialect, server: dialect.decodeGetBgp(reply) };
    } catch (error) {
      if (!(error instanceof GobgpError) || error.code !== GrpcCode.unimplemented) throw error;
      refusal = error;
    }
  }
  throw refusal;
}

function* addPathMessages(dialect: Dialect, changes: readonly PathChange[]): Iterable<Uint8Array> {
  for (let from = 0; from < changes.length; from += pathsPerMessage) {
    yield encodeAddPaths(dialect.version, changes.slice(from, from + pathsPerMessage));
  }
}
