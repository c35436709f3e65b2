import { createHash } from 'node:crypto';
import { type Clock, sleep } from '../core/clock.ts';
import type { Problem } from '../core/problem.ts';
import { watchedKinds } from './kinds.ts';
import { formatError } from './kube-error.ts';
import type { KubeClient } from './request.ts';
import type { KubeLog } from './watch-kube.ts';

/**
 * Tells users of their objects' problems, as Kubernetes Events on the objects.
 *
 * Problems come as the whole set, again and again; an Event is written when a problem appears, and
 * once more when it is still there much later (the API server forgets Events after an hour). A
 * cluster full of mistakes must not become a flood: Events are counted out, the queue is bounded,
 * and what does not fit is dropped, since metrics and `kvr show errors` have everything.
 */
export interface EventWriter extends AsyncDisposable {
  /** All problems as they are now. */
  report(problems: readonly Problem[]): void;
  /** Something good that happened to an object: an Event of type Normal. */
  announce(note: Problem): void;
  /** Events that were dropped because the queue was full, or too many problems stand. */
  readonly dropped: number;
}

export interface EventWriterOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly log: KubeLog;
  readonly nodeName: string;
  /** UID of an object, `Kind/namespace/name`; '' when unknown. `kubectl describe` filters by it. */
  readonly uidOf?: (object: string) => string;
}

/** Events that wait; more are dropped. */
const queueLimit = 256;
/** Problems whose Event is remembered. Those that stand are never forgotten; beyond, none is told. */
const rememberedLimit = 4096;
/** The API server's --event-ttl is an hour. */
const repeatMs = 3_600_000;
/** Events at once, and then one every `refillMs`: as client-go's spam filter is for one object. */
const burst = 25;
const refillMs = 1000;
/** core/v1 Event validation: noteLengthLimit. */
const messageLimit = 1024;

interface Note {
  readonly problem: Problem;
  readonly type: 'Warning' | 'Normal';
}

export function createEventWriter(options: EventWriterOptions): EventWriter {
  const { clock, client, log } = options;
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  const told = createTold(clock);
  const queue: Note[] = [];
  let dropped = 0;
  let wake = () => {};

  function enqueue(note: Note): void {
    if (queue.length < queueLimit) queue.push(note);
    else dropped++;
  }

  async function run(): Promise<void> {
    let tokens = burst;
    let refilledMs = clock.monotonic();
    while (!signal.aborted) {
      const note = queue.shift();
      if (note === undefined) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        continue;
      }
      const gained = Math.floor((clock.monotonic() - refilledMs) / refillMs);
      tokens = Math.min(burst, tokens + gained);
      refilledMs += gained * refillMs;
      // Ends early only by the signal, which the loop sees next.
      if (tokens === 0) {
        await sleep(clock, refillMs, signal).catch(() => undefined);
        // The token that came meanwhile is this one.
        refilledMs += refillMs;
      } else tokens--;
      await write(note);
    }
  }

  async function write({ problem, type }: Note): Promise<void> {
    const body = { ...formatEvent(problem, options, clock.now()), type };
    const { namespace } = body.metadata;
    const path = `/api/v1/namespaces/${namespace}/events`;
    try {
      await client.request({ method: 'POST', path, body }, signal);
    } catch (error) {
      // An Event is a courtesy: it is not worth a retry, and its problem is shown elsewhere, too.
      if (!signal.aborted) log.warn({ error: formatError(error) }, 'cannot write an Event');
    }
  }

  const ended = run();
  signal.addEventListener('abort', () => wake(), { once: true });
  return {
    get dropped() {
      return dropped;
    },
    report(problems) {
      const { news, excess } = told.look(problems);
      for (const problem of news) enqueue({ problem, type: 'Warning' });
      dropped += excess;
      wake();
    },
    announce(problem) {
      enqueue({ problem, type: 'Normal' });
      wake();
    },
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('the Event writer was closed'));
      await ended;
    },
  };
}

/**
 * Which problems were told, and when. One that is gone is remembered for as long as there is room,
 * so that a problem which comes and goes is not told each time.
 */
function createTold(clock: Clock) {
  const told = new Map<string, { atMs: number; look: number }>();
  let look = 0;
  let untold = 0;

  /** Makes room for one more; false when all that are remembered stand. */
  function makeRoom(oldest: Iterator<[string, { look: number }]>): boolean {
    if (told.size < rememberedLimit) return true;
    for (let next = oldest.next(); !next.done; next = oldest.next()) {
      const [id, entry] = next.value;
      if (entry.look !== look) return told.delete(id);
    }
    return false;
  }

  return {
    /** Of all problems of now: which to tell, and how many more than before are not remembered. */
    look(problems: readonly Problem[]) {
      look++;
      const nowMs = clock.monotonic();
      const news: Problem[] = [];
      const unknown = new Map<string, Problem>();
      for (const problem of problems) {
        const id = `${problem.object}\0${problem.field}\0${problem.reason}`;
        const entry = told.get(id);
        if (entry === undefined) unknown.set(id, problem);
        else {
          entry.look = look;
          if (nowMs - entry.atMs < repeatMs) continue;
          entry.atMs = nowMs;
          news.push(problem);
        }
      }
      const before = untold;
      untold = 0;
      const oldest = told.entries();
      for (const [id, problem] of unknown) {
        if (makeRoom(oldest)) {
          told.set(id, { atMs: nowMs, look });
          news.push(problem);
        } else untold++;
      }
      return { news, excess: Math.max(0, untold - before) };
    },
  };
}

const apiVersions = new Map<string, string>(
  Object.values(watchedKinds).map(({ objectKind, apiVersion }) => [objectKind, apiVersion]),
);

/** core/v1 Event; one about no object, such as the configuration, is about our Node. */
export function formatEvent(
  problem: Problem,
  from: Pick<EventWriterOptions, 'nodeName' | 'uidOf'>,
  nowMs: number,
) {
  const parts = problem.object.split('/');
  const isObject = apiVersions.has(parts[0] ?? '');
  const kind = isObject ? (parts[0] ?? '') : 'Node';
  const name = isObject ? (parts.at(-1) ?? '') : from.nodeName;
  const namespace = isObject && parts.length === 3 ? (parts[1] ?? '') : '';
  const uid = from.uidOf?.(problem.object) ?? '';
  const at = new Date(nowMs).toISOString();
  const digest = createHash('sha256').update(`${from.nodeName} ${at} ${JSON.stringify(problem)}`);
  const suffix = digest.digest('hex').slice(0, 16);
  const timestamp = `${at.slice(0, 19)}Z`;
  const message = `${problem.field}: ${problem.reason}`;
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: `${name.slice(0, 230)}.${suffix}`, namespace: namespace || 'default' },
    involvedObject: {
      apiVersion: apiVersions.get(kind) ?? 'v1',
      kind,
      name,
      ...(namespace === '' ? {} : { namespace }),
      ...(uid === '' ? {} : { uid }),
    },
    reason: problem.event ?? 'InvalidField',
    message: message.slice(0, messageLimit),
    type: 'Warning',
    source: { component: 'kube-vpp-router', host: from.nodeName },
    reportingComponent: 'kube-vpp-router',
    reportingInstance: from.nodeName,
    firstTimestamp: timestamp,
    lastTimestamp: timestamp,
    count: 1,
  };
}
