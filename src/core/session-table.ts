/**
 * The size of cnat's session table, and how often it is scanned, from the memory of the node.
 *
 * VPP 26.06 scans for 100 µs a tick (cnat_session_scan), so a table four times as large needs ticks
 * four times as close to be scanned in the same time. Measured with a table that is nearly empty:
 * 262,144 sessions are scanned in 2.8 s with a tick of 0.1 s and in 1.3 s with 0.05 s; 1,048,576
 * in 11.9 s with 0.1 s and in 3.1 s with 0.03 s. A session that goes to an endpoint that is gone
 * ends within one scan.
 */
export interface SessionTable {
  readonly sessionMax: number;
  /** `session-cleanup-timeout`, seconds between two ticks. */
  readonly scanTickSeconds: number;
}

/** Two entries of the hash and the flow's own state, rounded up. */
const bytesPerSession = 512;
/** Of the node's memory that sessions may take. */
const memoryShare = 1 / 64;
const sessionsMin = 1 << 18;
const sessionsMax = 1 << 22;
/** A whole scan shall take no longer; measured at 12.8 s for 2^20 sessions and ticks of 0.1 s. */
const scanSeconds = 1.5;
const measured = { sessions: 1 << 20, tickSeconds: 0.1, scanSeconds: 12.8 };
/** Closer ticks would take more than one hundredth of the thread that forwards. */
const tickMinSeconds = 0.01;

/** `memoryBytes` of the node; the table is a power of two. */
export function sessionTable(memoryBytes: number): SessionTable {
  const wanted = (memoryBytes * memoryShare) / bytesPerSession;
  const power = 2 ** Math.floor(Math.log2(Math.max(1, wanted)));
  const sessionMax = Math.min(sessionsMax, Math.max(sessionsMin, power));
  const scan = (measured.scanSeconds * sessionMax) / measured.sessions;
  const tick = (measured.tickSeconds * scanSeconds) / scan;
  const scanTickSeconds = Math.max(tickMinSeconds, Math.round(tick * 1000) / 1000);
  return { sessionMax, scanTickSeconds };
}

/** VPP's start-up file with the two values for this memory; problems name what it lacks. */
export function fillStartup(text: string, memoryBytes: number): string {
  const { sessionMax, scanTickSeconds } = sessionTable(memoryBytes);
  const values = [
    [/^(\s*session-max )\S+/m, String(sessionMax)],
    [/^(\s*session-cleanup-timeout )\S+/m, String(scanTickSeconds)],
  ] as const;
  return values.reduce((filled, [pattern, value]) => {
    if (!pattern.test(filled)) throw new Error(`the start-up file has no line ${pattern.source}`);
    return filled.replace(pattern, `$1${value}`);
  }, text);
}
