import type { Clock } from '../../core/clock.ts';
import { type BfdControl, BfdState, Diagnostic } from './control.ts';

/** What a session is told; intervals in microseconds. */
export interface BfdParameters {
  readonly minTxUs: number;
  readonly minRxUs: number;
  readonly multiplier: number;
}

export interface BfdSession {
  readonly discriminator: number;
  readonly state: BfdState;
  readonly remoteState: BfdState;
  readonly parameters: BfdParameters;
  receive(control: BfdControl): void;
  change(parameters: BfdParameters): void;
  /** Ends the session without removing it, or begins it again. */
  setAdminUp(up: boolean): void;
  /** No timer is left. */
  close(): void;
}

export interface BfdSessionOptions {
  readonly clock: Clock;
  readonly discriminator: number;
  readonly parameters: BfdParameters;
  /** From 0 to 1. */
  readonly random: () => number;
  readonly send: (control: BfdControl) => void;
  readonly changed: () => void;
}

/** While a session is not up it says no more than this often, microseconds (section 6.8.3). */
const slowUs = 1_000_000;

interface Remote {
  state: BfdState;
  discriminator: number;
  minTxUs: number;
  minRxUs: number;
  multiplier: number;
  demand: boolean;
}

/** What is not known of the neighbour yet, or not any more (section 6.8.1). */
const unknown: Omit<Remote, 'state'> = {
  discriminator: 0,
  minTxUs: 0,
  minRxUs: 1,
  multiplier: 1,
  demand: false,
};

/** One side of a session. */
interface Side {
  readonly options: BfdSessionOptions;
  readonly remote: Remote;
  state: BfdState;
  diagnostic: number;
  told: BfdParameters;
  /** What the neighbour knows of: changed intervals wait for the end of a poll. */
  inForce: BfdParameters;
  isPolling: boolean;
  /** Monotonic. */
  heardMs: number;
  sentMs: number;
  nextMs: number;
  timer: { cancel(): void } | undefined;
}

/**
 * One side of a BFD session in asynchronous mode (RFC 5880 section 6.8), with VPP's liberties:
 * it always names the intervals that it was told, and goes at their pace from Init on. No echo,
 * no authentication, no demand mode of its own.
 */
export function createBfdSession(options: BfdSessionOptions): BfdSession {
  const { clock, discriminator, parameters } = options;
  const nowMs = clock.monotonic();
  const side: Side = {
    options,
    remote: { state: BfdState.down, ...unknown },
    state: BfdState.down,
    diagnostic: Diagnostic.none,
    told: parameters,
    inForce: parameters,
    isPolling: false,
    heardMs: 0,
    sentMs: nowMs,
    nextMs: nowMs,
    timer: undefined,
  };
  arm(side);
  return {
    discriminator,
    get state() {
      return side.state;
    },
    get remoteState() {
      return side.remote.state;
    },
    get parameters() {
      return side.told;
    },
    receive: (control) => receive(side, control),
    change: (next) => change(side, next),
    setAdminUp(up) {
      if (up === (side.state !== BfdState.adminDown)) return;
      if (up) enter(side, BfdState.down, Diagnostic.none);
      else enter(side, BfdState.adminDown, Diagnostic.adminDown);
      arm(side);
    },
    close: () => side.timer?.cancel(),
  };
}

function receive(side: Side, control: BfdControl): void {
  const { clock, discriminator } = side.options;
  if (control.yours !== 0 && control.yours !== discriminator) return;
  const { state, mine, minTxUs, minRxUs, multiplier, demand } = control;
  const heard: Remote = { state, discriminator: mine, minTxUs, minRxUs, multiplier, demand };
  Object.assign(side.remote, heard);
  side.heardMs = clock.monotonic();
  if (control.final && side.isPolling) {
    side.isPolling = false;
    side.inForce = side.told;
  }
  planNext(side);
  if (side.state !== BfdState.adminDown) {
    const next = following(side.state, state);
    if (next !== undefined) enter(side, next.state, next.diagnostic);
    if (control.poll) say(side, { final: true });
  }
  arm(side);
}

/** Section 6.8.6, the state machine: what becomes of our state when we hear the neighbour's. */
export function following(
  own: BfdState,
  theirs: BfdState,
): { readonly state: BfdState; readonly diagnostic: number } | undefined {
  const { adminDown, down, init, up } = BfdState;
  if (own === adminDown) return undefined;
  if (theirs === adminDown)
    return own === down ? undefined : { state: down, diagnostic: Diagnostic.neighbourSaidDown };
  if (own === down && theirs === down) return { state: init, diagnostic: Diagnostic.none };
  const isHeard = theirs === init || (own === init && theirs === up);
  if (own !== up && isHeard) return { state: up, diagnostic: Diagnostic.none };
  if (own === up && theirs === down)
    return { state: down, diagnostic: Diagnostic.neighbourSaidDown };
  return undefined;
}

function change(side: Side, parameters: BfdParameters): void {
  const { minTxUs, minRxUs } = side.told;
  const isNew = parameters.minTxUs !== minTxUs || parameters.minRxUs !== minRxUs;
  side.told = parameters;
  if (isConversing(side)) side.isPolling ||= isNew;
  else side.inForce = parameters;
  arm(side);
}

function isConversing({ state }: Side): boolean {
  return state === BfdState.init || state === BfdState.up;
}

function enter(side: Side, state: BfdState, diagnostic: number): void {
  side.diagnostic = diagnostic;
  if (state === side.state) return;
  side.state = state;
  planNext(side);
  side.options.changed();
}

/** Section 6.8.7: three quarters of the interval or more, at random. */
function planNext(side: Side): void {
  const { told, inForce, remote, options } = side;
  const ownUs = isConversing(side) ? inForce.minTxUs : Math.max(slowUs, inForce.minTxUs);
  const span = told.multiplier === 1 ? 0.15 : 0.25;
  const intervalMs = Math.max(ownUs, remote.minRxUs) / 1000;
  side.nextMs = side.sentMs + intervalMs * (0.75 + span * options.random());
}

/** When the neighbour is given up (section 6.8.4). */
function detectMs(side: Side): number {
  const { remote, inForce, heardMs } = side;
  if (!isConversing(side)) return Number.POSITIVE_INFINITY;
  return heardMs + (remote.multiplier * Math.max(inForce.minRxUs, remote.minTxUs)) / 1000;
}

/** Whether packets are sent again and again (section 6.8.7). */
function mayRepeat({ isPolling, state, remote }: Side): boolean {
  const isQuiet = remote.demand && state === BfdState.up && remote.state === BfdState.up;
  return isPolling || (remote.minRxUs > 0 && !isQuiet);
}

function arm(side: Side): void {
  const { clock } = side.options;
  side.timer?.cancel();
  const atMs = Math.min(detectMs(side), mayRepeat(side) ? side.nextMs : Number.POSITIVE_INFINITY);
  if (atMs === Number.POSITIVE_INFINITY) return;
  side.timer = clock.after(Math.max(0, atMs - clock.monotonic()), () => wake(side));
}

function wake(side: Side): void {
  const nowMs = side.options.clock.monotonic();
  if (nowMs >= detectMs(side)) {
    Object.assign(side.remote, unknown);
    enter(side, BfdState.down, Diagnostic.timeExpired);
  }
  if (nowMs >= side.nextMs && mayRepeat(side)) say(side, { poll: side.isPolling });
  arm(side);
}

function say(side: Side, flags: { readonly poll?: boolean; readonly final?: boolean }): void {
  const { clock, discriminator, send } = side.options;
  side.sentMs = clock.monotonic();
  planNext(side);
  send({
    state: side.state,
    diagnostic: side.diagnostic,
    poll: flags.poll ?? false,
    final: flags.final ?? false,
    demand: false,
    multiplier: side.told.multiplier,
    mine: discriminator,
    yours: side.remote.discriminator,
    minTxUs: side.told.minTxUs,
    minRxUs: side.told.minRxUs,
  });
}
