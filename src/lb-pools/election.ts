import { type Clock, sleep } from '../core/clock.ts';

/**
 * At most one leader, by a Lease (coordination.k8s.io/v1), as client-go's leaderelection does it:
 * who holds the Lease renews it; who does not, watches whether it changes, and takes it when it
 * has not for its whole duration. Clocks of two machines are never compared: each measures with
 * its own since when it saw the last change.
 */
export interface Lease {
  readonly holder: string;
  readonly durationSeconds: number;
  readonly transitions: number;
  readonly acquiredAt: string;
  readonly renewedAt: string;
  readonly resourceVersion: string;
}

/** Where the Lease is kept. Both writes fail when somebody else wrote in between. */
export interface LeaseStore {
  read(signal: AbortSignal): Promise<Lease | undefined>;
  create(lease: Omit<Lease, 'resourceVersion'>, signal: AbortSignal): Promise<void>;
  update(lease: Lease, signal: AbortSignal): Promise<void>;
}

/** client-go's defaults of kube-controller-manager. */
const leaseSeconds = 15;
const renewDeadlineMs = 10_000;
const retryMs = 2_000;

export interface ElectionOptions {
  readonly store: LeaseStore;
  readonly identity: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Works as the leader until its signal aborts. */
  readonly lead: (signal: AbortSignal) => Promise<void>;
  readonly onError: (error: unknown) => void;
}

/** Runs until the signal aborts; then the Lease is given back, so that the next need not wait. */
export async function runElection(options: ElectionOptions): Promise<void> {
  const { clock, signal, identity } = options;
  let seen: { readonly version: string; readonly atMs: number } | undefined;
  while (!signal.aborted) {
    // Of a thousand nodes one leads: the others ask only when the Lease could have run out.
    let pauseMs = retryMs;
    try {
      const lease = await options.store.read(signal);
      if (lease !== undefined && lease.resourceVersion !== seen?.version)
        seen = { version: lease.resourceVersion, atMs: clock.monotonic() };
      const expired =
        lease === undefined ||
        lease.holder === '' ||
        lease.holder === identity ||
        clock.monotonic() - (seen?.atMs ?? 0) >= lease.durationSeconds * 1000;
      if (expired) await lead(options, lease);
      else pauseMs = (seen?.atMs ?? 0) + lease.durationSeconds * 1000 - clock.monotonic();
    } catch (error) {
      if (!signal.aborted) options.onError(error);
    }
    // Ends early by the signal only, which the loop sees next.
    await sleep(clock, Math.max(retryMs, pauseMs), signal).catch(() => undefined);
  }
}

/** Takes the Lease, works and renews it; returns when it is lost or the signal aborts. */
async function lead(options: ElectionOptions, before: Lease | undefined): Promise<void> {
  const { clock, signal } = options;
  await writeLease(options, before, signal);
  const stop = new AbortController();
  const leading = options.lead(AbortSignal.any([signal, stop.signal])).catch((error) => {
    if (!stop.signal.aborted && !signal.aborted) options.onError(error);
    stop.abort(error);
  });
  let renewedMs = clock.monotonic();
  while (!signal.aborted && !stop.signal.aborted) {
    await sleep(clock, retryMs, AbortSignal.any([signal, stop.signal])).catch(() => undefined);
    if (signal.aborted || stop.signal.aborted) break;
    try {
      const lease = await options.store.read(signal);
      if (lease?.holder !== options.identity) throw new Error('the Lease has another holder');
      await writeLease(options, lease, signal);
      renewedMs = clock.monotonic();
    } catch (error) {
      if (!signal.aborted) options.onError(error);
      // Before the Lease can run out for others, whose clocks started later.
      if (clock.monotonic() - renewedMs >= renewDeadlineMs || isLost(error)) stop.abort(error);
    }
  }
  stop.abort(new Error('no longer the leader'));
  await leading;
  if (signal.aborted) await giveBack(options);
}

function isLost(error: unknown): boolean {
  return error instanceof Error && error.message === 'the Lease has another holder';
}

async function writeLease(
  { store, identity, clock }: ElectionOptions,
  before: Lease | undefined,
  signal: AbortSignal,
): Promise<void> {
  // MicroTime has six digits.
  const now = new Date(clock.now()).toISOString().replace('Z', '000Z');
  const mine = before?.holder === identity;
  const next = {
    holder: identity,
    durationSeconds: leaseSeconds,
    transitions: (before?.transitions ?? 0) + (before === undefined || mine ? 0 : 1),
    acquiredAt: mine ? (before?.acquiredAt ?? now) : now,
    renewedAt: now,
  };
  if (before === undefined) await store.create(next, signal);
  else await store.update({ ...next, resourceVersion: before.resourceVersion }, signal);
}

const giveBackMs = 2_000;

async function giveBack({ store, identity }: ElectionOptions): Promise<void> {
  const limit = AbortSignal.timeout(giveBackMs);
  try {
    const lease = await store.read(limit);
    if (lease?.holder === identity) await store.update({ ...lease, holder: '' }, limit);
  } catch {
    // The next leader waits for the Lease to run out, and that is all.
  }
}
