import { bfd_state } from '../../native/vpp-api/catalogue/bfd.ts';
import type { VppConnection } from '../../native/vpp-api/client.ts';
import { type Ip, parseIp } from '../core/ip.ts';

/** `adminDown`: one of both sides was told to have no session, which says nothing of the path. */
export type BfdState = 'adminDown' | 'down' | 'init' | 'up';

/** What VPP says about the state of its BFD sessions. */
export interface BfdNews {
  /** By the neighbour's address. */
  readonly states: ReadonlyMap<Ip, BfdState>;
  /** These are all sessions: the first news of a connection. */
  readonly whole: boolean;
}

const names: Readonly<Record<number, BfdState>> = {
  [bfd_state.BFD_STATE_API_ADMIN_DOWN]: 'adminDown',
  [bfd_state.BFD_STATE_API_DOWN]: 'down',
  [bfd_state.BFD_STATE_API_INIT]: 'init',
  [bfd_state.BFD_STATE_API_UP]: 'up',
};

/**
 * Asks for events, then for the states of now, and tells both for as long as the connection
 * lives. VPP has no event for a session that is deleted.
 */
export async function followBfd(
  connection: VppConnection,
  tell: (news: BfdNews) => void,
): Promise<void> {
  if (!connection.supports('want_bfd_events')) return;
  const latest = new Map<Ip, BfdState>();
  // News wait for each other: what is asked about one must not let a later one overtake it.
  let told = Promise.resolve();
  const next = (states: readonly (readonly [Ip, BfdState])[], whole: boolean) => {
    told = told.then(async () => {
      const exact = states.map(async ([peer, s]) => [peer, await exactState(connection, peer, s)]);
      tell({ states: new Map((await Promise.all(exact)) as [Ip, BfdState][]), whole });
    });
  };
  connection.events('bfd_udp_session_event', ({ peer_addr: peer, state }) => {
    latest.set(peer, names[state] ?? 'down');
    next([[peer, names[state] ?? 'down']], false);
  });
  await connection.request('want_bfd_events', { enable_disable: true, pid: process.pid });
  const all = await connection.dump('bfd_udp_session_dump', {});
  // Events may have come after VPP wrote what the dump says.
  const states = all.map(({ peer_addr: peer, state }) => {
    return [peer, latest.get(peer) ?? names[state] ?? 'down'] as const;
  });
  next(states, true);
  await told;
}

/**
 * A neighbour that is told to have no BFD says so, and VPP's session goes down; that must not be
 * taken for a failure (RFC 5882 section 4.2). Neither event nor dump has the neighbour's state,
 * only the CLI.
 */
async function exactState(connection: VppConnection, peer: Ip, state: BfdState): Promise<BfdState> {
  if (state !== 'down') return state;
  const asked = connection.request('cli_inband', { cmd: 'show bfd sessions' });
  // Without an answer the neighbour counts as down, as VPP said.
  const answer = await asked.catch(() => undefined);
  return remoteStates(answer?.reply ?? '').get(peer) === 'AdminDown' ? 'adminDown' : 'down';
}

/** The neighbours' own states out of `show bfd sessions`: addresses, then states, local first. */
export function remoteStates(text: string): Map<Ip, string> {
  const states = new Map<Ip, string>();
  let peer: Ip | undefined;
  for (const line of text.split('\n')) {
    const addresses = /IPv[46] address\s+\S+\s+(\S+)/.exec(line);
    if (addresses !== null) peer = parseIp(addresses[1] ?? '');
    const remote = /Session state\s+\S+\s+(\S+)/.exec(line)?.[1];
    if (remote !== undefined && peer !== undefined) states.set(peer, remote);
  }
  return states;
}
