import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { VppConnection } from '../../native/vpp-api/client.ts';
import { VppError } from '../../native/vpp-api/errors.ts';
import { errorText } from '../core/error-text.ts';
import { type DeniedPacket, readDenied } from './capture-file.ts';

/**
 * Which packets VPP's filters denied.
 *
 * The acl plugin counts what it denies and says no more. VPP can keep a copy of dropped packets:
 * its capture stays armed, which costs some 50 ns for each packet that is dropped and nothing for
 * others. While the counters of denied packets rest, nothing else happens. When they move, the
 * capture is switched off, upon which VPP writes its file, is read, and is armed again: three
 * calls of less than a millisecond.
 *
 * Bounds: `packetsMax` packets a capture; `burstMax` captures in a row and then one in
 * `pauseSeconds`, because each costs VPP some 330 bytes that it never frees (measured; VPP v26.06
 * `vnet_pcap_dispatch_trace_configure` forgets a lock and a name). So it is a sample: what is
 * denied while a capture is full is counted only. Whoever looks often gets more (`paces`), but
 * `oftenMax` captures in all, some 33 MB of VPP's memory; from then on it is as before.
 *
 * VPP has one capture. One that somebody else runs is left alone: then nothing is learned.
 */
export interface DeniedFlows extends AsyncDisposable {
  /** Takes what was denied since the last look; arms and disarms as `wanted` says. */
  look(wanted: boolean, pace?: Pace): Promise<readonly DeniedPacket[]>;
}

export interface DeniedFlowsOptions {
  /** Of now; another object after each reconnect. */
  readonly connection: () => Connection | undefined;
  /** Packets that filters denied so far (`denyCounters`); undefined while nobody knows. */
  readonly denied: () => Promise<number | undefined>;
  /** VPP's /tmp, as this process sees it. */
  readonly directory: string;
  /** Milliseconds that never step. */
  readonly monotonic: () => number;
  readonly log: (message: string, fields: object) => void;
}

/** Counters of the stats segment whose sum `denied` is. */
export const denyCounters: readonly string[] = ['in-ip4', 'in-ip6', 'out-ip4', 'out-ip6'].map(
  (node) => `/err/acl-plugin-${node}-fa/ACL deny packets`,
);

/** Packets of one capture; other drops than those of filters count, too. */
export const packetsMax = 64;
/** A whole packet of Ethernet, and the reason that VPP appends. */
const bytesMax = 2048;
/** Headers of the file and of its packets. */
const fileBytesMax = 24 + packetsMax * (16 + bytesMax);

export const burstMax = 60;
export const pauseSeconds = 30;

/** `burst` captures at once, and one more every `pauseMs`. */
export const paces = {
  /** For who looks every second. */
  seldom: { burst: burstMax, pauseMs: pauseSeconds * 1000 },
  /** For who looks ten times a second: a minute of denials, then one capture a second. */
  often: { burst: 600, pauseMs: 1000 },
} as const;
export type Pace = keyof typeof paces;
/** Captures of this process by which `often` ends. */
export const oftenMax = 100_000;

/** Until it is tried again after VPP refused. */
const retryMs = 30_000;

/** VPP's: somebody captures already. Source: VPP v26.06 `vnet/error.h`. */
const invalidValue = -7;
/** VPP's: nothing was captured. */
const noSuchEntry = -6;
const namePrefix = 'kvr-denied-';

type Connection = Pick<VppConnection, 'request'>;

interface Armed {
  readonly connection: Connection;
  readonly name: string;
  readonly denied: number;
}

export function createDeniedFlows(options: DeniedFlowsOptions): DeniedFlows {
  const captures = createBudget(options.monotonic);
  let armed: Armed | undefined;
  let refusedMs: number | undefined;
  let complaint = '';

  const complain = (message: string, error: unknown) => {
    refusedMs = options.monotonic();
    const said = `${message}: ${errorText(error)}`;
    if (said !== complaint) options.log(message, { error: errorText(error) });
    complaint = said;
  };
  const arm = async (connection: Connection) => {
    const rests = refusedMs !== undefined && options.monotonic() - refusedMs < retryMs;
    if (rests) return;
    const denied = await options.denied();
    if (denied === undefined) return;
    const name = `${namePrefix}${randomBytes(8).toString('hex')}`;
    try {
      await startCapture(connection, name, options.directory);
      armed = { connection, name, denied };
      refusedMs = undefined;
      complaint = '';
    } catch (error) {
      complain('denied packets are not known: VPP captures nothing for us', error);
    }
  };
  /** Ends the capture and reads it. */
  const take = async ({ connection, name }: Armed): Promise<readonly DeniedPacket[]> => {
    armed = undefined;
    try {
      const path = join(options.directory, name);
      return (await stopCapture(connection, name)) ? readDenied(await takeFile(path)) : [];
    } catch (error) {
      complain("denied packets are not known: VPP's capture cannot be read", error);
      return [];
    }
  };

  return {
    async look(wanted, pace = 'seldom') {
      const connection = options.connection();
      if (armed !== undefined && armed.connection !== connection) armed = undefined;
      if (connection === undefined) return [];
      if (armed === undefined) {
        if (wanted) await arm(connection);
        return [];
      }
      if (wanted) {
        const denied = await options.denied();
        if (denied === undefined || denied === armed.denied || !captures.take(pace)) return [];
      }
      const packets = await take(armed);
      if (wanted) await arm(connection);
      return packets;
    },
    async [Symbol.asyncDispose]() {
      if (armed !== undefined && armed.connection === options.connection()) await take(armed);
    },
  };
}

function createBudget(monotonic: () => number) {
  let left: number = burstMax;
  let filledMs = monotonic();
  let taken = 0;
  let paceBefore: Pace = 'seldom';
  return {
    take(wanted: Pace): boolean {
      const pace = taken < oftenMax ? wanted : 'seldom';
      const { burst, pauseMs } = paces[pace];
      const now = monotonic();
      const more = Math.floor((now - filledMs) / pauseMs);
      // Who begins to look often has its whole burst; `oftenMax` bounds what that may cost.
      if (pace !== paceBefore) left = pace === 'often' ? burst : Math.min(burst, left);
      paceBefore = pace;
      left = Math.min(burst, left + more);
      filledMs = left === burst ? now : filledMs + more * pauseMs;
      if (left === 0) return false;
      left--;
      taken++;
      return true;
    },
  };
}

async function startCapture(connection: Connection, name: string, directory: string) {
  const on = () =>
    connection.request('pcap_trace_on', {
      capture_rx: false,
      capture_tx: false,
      capture_drop: true,
      filter: false,
      preallocate_data: false,
      free_data: false,
      max_packets: packetsMax,
      max_bytes_per_packet: bytesMax,
      // 0: of every interface. A reason cannot be named: that of filters has spaces.
      sw_if_index: 0,
      error: '',
      filename: name,
    });
  try {
    await on();
  } catch (error) {
    if (!(error instanceof VppError) || error.retval !== invalidValue) throw error;
    const running = await runningCapture(connection);
    if (!running.startsWith(namePrefix)) throw error;
    // A daemon before this one was killed: its capture runs, and its file is nobody's.
    if (await stopCapture(connection, running))
      await unlink(join(directory, running)).catch(() => undefined);
    await on();
  }
}

/** False when there was nothing to write, or the capture that runs is not this one. */
async function stopCapture(connection: Connection, name: string): Promise<boolean> {
  if ((await runningCapture(connection)) !== name) return false;
  try {
    await connection.request('pcap_trace_off', {});
    return true;
  } catch (error) {
    if (error instanceof VppError && error.retval === noSuchEntry) return false;
    throw error;
  }
}

/** File name of the capture that runs; '' when none does. There is no message that tells. */
async function runningCapture(connection: Connection): Promise<string> {
  const { reply } = await connection.request('cli_inband', { cmd: 'pcap trace status' });
  return /capture to file \S*\/(\S+)/.exec(reply)?.[1] ?? '';
}

/** Reads and removes; a link is not followed, for /tmp may be everybody's. */
async function takeFile(path: string): Promise<Buffer> {
  await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  const buffer = Buffer.alloc(fileBytesMax);
  const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
  await unlink(path);
  return buffer.subarray(0, bytesRead);
}
