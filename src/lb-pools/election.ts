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
/** One request: a server that is silent must not cost the whole time in which to renew. */
const requestMs = 4_000;

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
      const lease = await limited(options, signal, (limit) => options.store.read(limit));
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
  const stop = new AbortController();
  const until = AbortSignal.any([signal, stop.signal]);
  const deadline = createDeadline(clock, stop);
  try {
    await renew(options, before, deadline, until);
    const leading = options.lead(until).catch((error) => {
      if (!until.aborted) options.onError(error);
      stop.abort(error);
    });
    while (!until.aborted) {
      await sleep(clock, retryMs, until).catch(() => undefined);
      if (!until.aborted) await renewAgain(options, deadline, stop, until);
    }
    await leading;
  } finally {
    deadline.cancel();
    stop.abort(new Error('no longer the leader'));
  }
  if (signal.aborted) await giveBack(options);
}

/** Ends the leading by itself: a request that hangs must not keep it alive. */
function createDeadline(clock: Clock, stop: AbortController) {
  const end = () => stop.abort(new Error(`the Lease was not renewed for ${renewDeadlineMs} ms`));
  let timer = clock.after(renewDeadlineMs, end);
  return {
    cancel: () => timer.cancel(),
    /** Others may count from when the request was sent, not from when its answer came. */
    renewed(sentMs: number) {
      timer.cancel();
      timer = clock.after(Math.max(0, sentMs + renewDeadlineMs - clock.monotonic()), end);
    },
  };
}

class LeaseLostError extends Error {
  override readonly name = 'LeaseLostError';
}

async function renewAgain(
  options: ElectionOptions,
  deadline: ReturnType<typeof createDeadline>,
  stop: AbortController,
  until: AbortSignal,
): Promise<void> {
  try {
    const lease = await limited(options, until, (limit) => options.store.read(limit));
    if (lease?.holder !== options.identity)
      throw new LeaseLostError('the Lease has another holder');
    await renew(options, lease, deadline, until);
  } catch (error) {
    if (!options.signal.aborted) options.onError(error);
    if (error instanceof LeaseLostError) stop.abort(error);
  }
}

async function renew(
  options: ElectionOptions,
  before: Lease | undefined,
  deadline: ReturnType<typeof createDeadline>,
  until: AbortSignal,
): Promise<void> {
  const sentMs = options.clock.monotonic();
  await limited(options, until, (limit) => writeLease(options, before, limit));
  // An answer that came when leading was over renews nothing.
  if (!until.aborted) deadline.renewed(sentMs);
}

/** One request with a deadline of its own, which does not depend on the store to keep it. */
async function limited<T>(
  { clock }: ElectionOptions,
  signal: AbortSignal,
  start: (limit: AbortSignal) => Promise<T>,
): Promise<T> {
  const limit = new AbortController();
  const abort = () => limit.abort(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  const late = () => limit.abort(new Error(`no answer within ${requestMs} ms`));
  const timer = clock.after(requestMs, late);
  try {
    return await Promise.race([start(limit.signal), rejection(limit.signal)]);
  } finally {
    timer.cancel();
    signal.removeEventListener('abort', abort);
  }
}

function rejection(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
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

async function giveBack(options: ElectionOptions): Promise<void> {
  const { store, identity } = options;
  const { signal } = new AbortController();
  try {
    await limited(options, signal, async (limit) => {
      const lease = await store.read(limit);
      if (lease?.holder === identity) await store.update({ ...lease, holder: '' }, limit);
    });
  } catch {
    // The next leader waits for the Lease to run out, and that is all.
  }
}
