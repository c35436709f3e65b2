import type { MessageName } from '../../native/vpp-api/catalogue/index.ts';
import { connectVpp, type VppConnection } from '../../native/vpp-api/client.ts';
import { createBackoff } from '../core/backoff.ts';
import { type Clock, sleep } from '../core/clock.ts';
import type { AnyDriver, Target } from '../reconcile/driver.ts';
import { type BfdNews, followBfd } from './bfd-states.ts';
import { addressParts, neighbourParts } from './drivers/addresses.ts';
import { bfdParts } from './drivers/bfd.ts';
import { filterListParts, filterParts } from './drivers/filters.ts';
import { interfaceParts, linkStateParts, tunnelStateParts } from './drivers/interfaces.ts';
import { natExclusionParts, natParts, translationParts } from './drivers/nat.ts';
import { natInterfaceParts } from './drivers/nat-interfaces.ts';
import { puntParts, routeParts } from './drivers/routes.ts';
import { sessionPauseParts } from './drivers/sessions.ts';
import { sourceParts } from './drivers/sources.ts';
import { tunnelParts } from './drivers/tunnels.ts';
import type { Handles } from './handles.ts';
import { openSession, type VppSession, vppDriver } from './session.ts';

/** VPP as a target: keeps a connection, and a new session after each reconnect. */
export interface VppTarget extends Target, AsyncDisposable {
  /** The connection of now; undefined while there is none. */
  readonly connection: VppConnection | undefined;
  /** VPP's numbers for our names; undefined while there is no connection. */
  readonly handles: Handles | undefined;
  /** Why there is no connection; undefined while there is one. */
  readonly lastError: unknown;
}

/** Messages without which the daemon cannot work; a VPP that lacks one is refused by name. */
export const requiredMessages: readonly MessageName[] = [
  'control_ping',
  'show_version',
  'sw_interface_dump',
  'sw_interface_tag_add_del',
  'sw_interface_set_flags',
  'sw_interface_set_mtu',
  'sw_interface_add_del_address',
  'sw_interface_set_unnumbered',
  'sw_interface_ip6_enable_disable',
  'ip_address_dump',
  'ip_unnumbered_dump',
  'ip_neighbor_add_del',
  'ip_neighbor_dump',
  'fib_source_add',
  'fib_source_dump',
  'ip_route_add_del_v2',
  'ip_route_v2_dump',
  'af_packet_create_v3',
  'af_packet_delete',
  'af_packet_dump',
  'ipip_add_tunnel',
  'ipip_del_tunnel',
  'ipip_tunnel_dump',
  'mss_clamp_enable_disable',
  'mss_clamp_get',
  'set_punt',
  'add_del_ip_punt_redirect_v2',
  'ip_punt_redirect_v2_dump',
  'feature_is_enabled',
  'feature_cnat_enable_disable',
  'feature_enable_disable',
  'create_loopback',
  'delete_loopback',
  'acl_add_replace',
  'acl_del',
  'acl_dump',
  'acl_interface_set_acl_list',
  'acl_interface_list_dump',
  'acl_stats_intf_counters_enable',
  'macip_acl_add_replace',
  'macip_acl_del',
  'macip_acl_dump',
  'macip_acl_interface_add_del',
  'macip_acl_interface_list_dump',
  'abf_policy_add_del',
  'abf_policy_dump',
  'abf_itf_attach_add_del',
  'abf_itf_attach_dump',
  'cli_inband',
  'cnat_set_snat_addresses_v2',
  'cnat_get_snat_addresses',
  'cnat_set_snat_policy',
  'cnat_snat_policy_add_del_exclude_pfx',
  'cnat_snat_policy_add_del_if',
  'cnat_translation_update',
  'cnat_translation_del',
  'cnat_translation_dump',
];

/** Opens one connection; tests give their own. */
export type Connect = (signal: AbortSignal) => Promise<VppConnection>;

export interface VppTargetOptions {
  /** Path of VPP's API socket, or a way to connect. */
  readonly connect: string | Connect;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly log?: (message: string, fields: Readonly<Record<string, unknown>>) => void;
  /** What VPP says about BFD: all sessions with each connection, before anything is written. */
  readonly onBfd?: (news: BfdNews) => void;
}

const reconnectFirstMs = 50;
const reconnectMaxMs = 2_000;

interface State {
  session: VppSession | undefined;
  /** What identifies the session to the reconciler: a new object makes it dump again. */
  identity: object | undefined;
  lastError: unknown;
  wake: () => void;
  changed: Promise<void>;
}

/** Connects in the background and goes on until the signal aborts. */
export function createVppTarget(options: VppTargetOptions): VppTarget {
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  const state: State = {
    session: undefined,
    identity: undefined,
    lastError: new Error('not connected yet'),
    wake: () => {},
    changed: Promise.resolve(),
  };
  renewChanged(state);
  const running = keepConnected(options, state, signal);
  const current = () => {
    if (state.session === undefined)
      throw new Error('VPP is not connected', { cause: state.lastError });
    return state.session;
  };
  return {
    name: 'vpp',
    drivers: allDrivers(current),
    get session() {
      return state.identity;
    },
    get connection() {
      return state.session?.connection;
    },
    get handles() {
      return state.session?.handles;
    },
    get lastError() {
      return state.lastError;
    },
    sessionChanged: () => state.changed,
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('the VPP target is closed'));
      await running;
    },
  };
}

function allDrivers(current: () => VppSession): AnyDriver[] {
  // In the order in which they are dumped: interfaces first, for they fill the handles.
  return [
    vppDriver('interfaces', current, interfaceParts),
    vppDriver('tunnels', current, tunnelParts),
    vppDriver('addresses', current, addressParts),
    vppDriver('neighbours', current, neighbourParts),
    vppDriver('punts', current, puntParts),
    vppDriver('nat', current, natParts),
    vppDriver('natExclusions', current, natExclusionParts),
    vppDriver('filters', current, filterParts),
    vppDriver('filterLists', current, filterListParts),
    vppDriver('sources', current, sourceParts),
    vppDriver('natInterfaces', current, natInterfaceParts),
    vppDriver('tunnelStates', current, tunnelStateParts),
    vppDriver('routes', current, routeParts),
    vppDriver('sessionPauses', current, sessionPauseParts),
    vppDriver('translations', current, translationParts),
    vppDriver('linkStates', current, linkStateParts),
    vppDriver('bfdSessions', current, bfdParts),
  ];
}

function renewChanged(state: State): void {
  const wake = state.wake;
  state.changed = new Promise((resolve) => {
    state.wake = resolve;
  });
  wake();
}

function setSession(state: State, session: VppSession | undefined, error?: unknown): void {
  state.session = session;
  state.identity = session === undefined ? undefined : {};
  state.lastError = error;
  renewChanged(state);
}

async function keepConnected(
  options: VppTargetOptions,
  state: State,
  signal: AbortSignal,
): Promise<void> {
  const backoff = createBackoff({ firstMs: reconnectFirstMs, maxMs: reconnectMaxMs });
  while (!signal.aborted) {
    try {
      await using connection = await connectOnce(options, signal);
      const session = await openSession(connection, () => {
        if (state.session !== session) return;
        state.identity = {};
        renewChanged(state);
      });
      if (options.onBfd !== undefined) await followBfd(connection, options.onBfd);
      backoff.reset();
      setSession(state, session);
      options.log?.('connected to VPP', {});
      const reason = await Promise.race([connection.closed, aborted(signal)]);
      setSession(state, undefined, reason);
      options.log?.('lost VPP', { reason: String(reason) });
    } catch (error) {
      if (signal.aborted) break;
      if (String(error) !== String(state.lastError))
        options.log?.('cannot connect to VPP', { error: String(error) });
      setSession(state, undefined, error);
    }
    // An abort during the pause is the wish to end, not an error.
    await sleep(options.clock, backoff.next(), signal).catch(() => {});
  }
  setSession(state, undefined, signal.reason);
}

function connectOnce(options: VppTargetOptions, signal: AbortSignal): Promise<VppConnection> {
  if (typeof options.connect !== 'string') return options.connect(signal);
  return connectVpp({
    path: options.connect,
    name: 'kube-vpp-router',
    clock: options.clock,
    signal,
    required: requiredMessages,
  });
}

/** Resolves with the reason when the signal aborts. */
function aborted(signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(signal.reason);
    signal.addEventListener('abort', () => resolve(signal.reason), { once: true });
  });
}
