/**
 * One connection after the other, for as long as somebody wants them.
 *
 * A new connection has a new message table and knows nothing of the earlier one: VPP may have
 * been restarted with other plugins, and everything that it was told may be gone.
 */
import { createBackoff } from '../../src/core/backoff.ts';
import { realClock, sleep } from '../../src/core/clock.ts';
import { connectVpp, type VppConnection, type VppOptions } from './client.ts';

/** The first delay after a failed attempt. */
export const firstReconnectMs = 100;
/** The longest delay between two attempts. */
export const maxReconnectMs = 5000;

export interface ReconnectOptions extends Omit<VppOptions, 'stream' | 'signal' | 'path'> {
  readonly path: string;
  readonly signal: AbortSignal;
  /** Told of every attempt that failed. */
  readonly failed?: (error: unknown) => void;
  readonly random?: () => number;
}

/**
 * Yields a connection, and the next one when that one is closed. Ends when the signal is
 * aborted; the last connection is closed then.
 */
export async function* vppConnections(options: ReconnectOptions): AsyncGenerator<VppConnection> {
  const { signal, clock = realClock, random = Math.random } = options;
  const backoff = createBackoff({ firstMs: firstReconnectMs, maxMs: maxReconnectMs, random });
  while (!signal.aborted) {
    let vpp: VppConnection;
    try {
      vpp = await connectVpp(options);
    } catch (error) {
      if (signal.aborted) return;
      options.failed?.(error);
      await sleep(clock, backoff.next(), signal).catch(() => undefined); // aborted: the loop ends
      continue;
    }
    try {
      const connectedAt = clock.monotonic();
      yield vpp;
      await closedOrAborted(vpp, signal);
      // A VPP that dies at once over and over is not one that came back.
      if (clock.monotonic() - connectedAt >= maxReconnectMs) backoff.reset();
    } finally {
      await vpp[Symbol.asyncDispose]();
    }
    await sleep(clock, backoff.next(), signal).catch(() => undefined); // aborted: the loop ends
  }
}

function closedOrAborted(vpp: VppConnection, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const abort = (): void => resolve();
    if (signal.aborted) return resolve();
    signal.addEventListener('abort', abort, { once: true });
    void vpp.closed.then(() => {
      signal.removeEventListener('abort', abort);
      resolve();
    });
  });
}
