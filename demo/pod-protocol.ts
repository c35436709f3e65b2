/**
 * What the demo and the process inside a pod say to each other, over Node's IPC channel.
 *
 * The process is server and client in one: it answers on every container port of its pod, and
 * it sends traffic from inside the pod's network namespace when the demo asks. The outside
 * client is the same program with no ports. So every packet of a check is made and received by
 * ordinary kernel sockets.
 */

/** A port to serve. */
export interface ServedPort {
  readonly protocol: 'TCP' | 'UDP';
  readonly port: number;
}

/** What a server answers: who it is and whom it sees. */
export interface Answer {
  readonly pod: string;
  readonly node: string;
  /** Source address of the connection or datagram as the server saw it. */
  readonly client: string;
  /** The answer of the upstream that the server asked, when it has one. */
  readonly upstream?: Answer;
}

export interface Destination {
  readonly protocol: 'TCP' | 'UDP';
  readonly address: string;
  readonly port: number;
}

/** Many requests, each over a new connection or from a new UDP socket. */
export interface Volley {
  readonly answers: readonly Answer[];
  /** One text per request that got no answer. */
  readonly failures: readonly string[];
  /** Milliseconds from the first byte sent (TCP: from connect) to the whole answer. */
  readonly latenciesMs: readonly number[];
}

/** A connection on which the server sends one line every `lineIntervalMs`. */
export interface StreamState {
  readonly lines: number;
  /** Longest time between two lines; counts from the last line to now as well. */
  readonly longestGapMs: number;
  /** Since the last line, or since it ended. */
  readonly silentMs: number;
  /** Lines that came out of order or twice: always 0 on a healthy TCP connection. */
  readonly disordered: number;
  /** Why it ended; empty while it runs. */
  readonly ended: string;
  /** The server's pod. */
  readonly pod: string;
}

/** A background load: one new connection every `intervalMs`. */
export interface LoadState {
  readonly sent: number;
  readonly answeredBy: Readonly<Record<string, number>>;
  readonly failures: readonly string[];
}

/** Datagrams to addresses at which somebody may be or not, again and again. */
export interface HammerState {
  readonly sent: number;
  /** How many answers came from each address. */
  readonly answeredBy: Readonly<Record<string, number>>;
}

/** Requests by name, with what they take and give. */
export interface PodRequests {
  volley: {
    in: { to: Destination; count: number; concurrency: number; timeoutMs: number };
    out: Volley;
  };
  download: {
    in: { to: Destination; lengthBytes: number; timeoutMs: number };
    out: { milliseconds: number };
  };
  startStream: { in: { to: Destination; timeoutMs: number }; out: { stream: number } };
  readStream: { in: { stream: number; stop: boolean }; out: StreamState };
  startLoad: {
    in: { to: Destination; intervalMs: number; timeoutMs: number };
    out: { load: number };
  };
  readLoad: { in: { load: number; stop: boolean }; out: LoadState };
  startHammer: {
    in: { addresses: readonly string[]; port: number; intervalMs: number };
    out: { hammer: number };
  };
  readHammer: { in: { hammer: number; stop: boolean }; out: HammerState };
}

export type PodRequestName = keyof PodRequests;

/** Demo to pod. */
export interface PodCall<Name extends PodRequestName = PodRequestName> {
  readonly id: number;
  readonly name: Name;
  readonly input: PodRequests[Name]['in'];
}

/** Pod to demo: `ready` once all ports listen, then one reply per call. */
export type PodMessage =
  | { readonly kind: 'ready' }
  | { readonly kind: 'reply'; readonly id: number; readonly output: unknown }
  | { readonly kind: 'error'; readonly id: number; readonly reason: string };

/** Time between two lines of `/stream`. */
export const lineIntervalMs = 10;
