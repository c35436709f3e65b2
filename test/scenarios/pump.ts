import assert from 'node:assert/strict';
import { type Arrived, describe, matches, readLine, receive, send } from './check.ts';
import { type Flow, packetOf, parseFlow } from './packets.ts';
import type { Wire } from './wire.ts';

/** Packets that are sent all the time while something changes. */
export interface Pump {
  /** Sends no more, and looks at what became of all of them. */
  finish(): Promise<void>;
}

/** Connections that one line may open. */
const sentMax = 20_000;

/** Between two packets of a line on VPP; the embedded plane is asked at every turn. */
const pauseMs = 2;

/**
 * Each line opens one connection after another, from source ports that count up, or sends one
 * packet of its open connection after another. What is `dropped` must never arrive; of all others
 * each must arrive. Nobody answers.
 */
export function startPump(wire: Wire, lines: readonly string[]): Pump {
  if (lines.length === 0) return { finish: () => Promise.resolve() };
  const streams = lines.map((line) => createStream(line));
  receive(wire, (arrived) => {
    for (const stream of streams) stream.arrived(arrived);
  });
  let timer: NodeJS.Timeout | NodeJS.Immediate;
  const next = () => {
    for (const stream of streams) stream.send(wire);
    timer = wire.kind === 'embedded' ? setImmediate(next) : setTimeout(next, pauseMs);
  };
  next();
  return {
    async finish() {
      if (wire.kind === 'embedded') clearImmediate(timer as NodeJS.Immediate);
      else clearTimeout(timer as NodeJS.Timeout);
      await wire.settle();
      for (const stream of streams) stream.check();
    },
  };
}

function createStream(line: string) {
  const { from, text, moment, expected, wanted } = readLine(line);
  const flow = parseFlow(text);
  const first = flow.source.port;
  let sent = 0;
  let count = 0;
  const wrong = new Set<string>();

  /** The flow as the line writes it, or undefined when it is none of ours. */
  function original(one: Flow): Flow | undefined {
    const { source } = one;
    const isOurs =
      one.protocol === flow.protocol &&
      source.ip === flow.source.ip &&
      (moment === 'again' ? source.port === first : source.port - first < sentMax);
    return isOurs && source.port >= first
      ? { ...one, source: { ...source, port: first } }
      : undefined;
  }

  return {
    send(wire: Wire): void {
      if (sent >= sentMax) return;
      const port = moment === 'again' ? first : first + sent;
      sent++;
      send(wire, from, packetOf({ ...flow, source: { ...flow.source, port } }, moment));
    },
    arrived({ wire, seen }: Arrived): void {
      const ours = seen.kind === 'flow' ? original(seen.flow) : undefined;
      if (ours === undefined || seen.kind !== 'flow') return;
      count++;
      const outcome = describe({ wire, seen: { ...seen, flow: ours } }, from);
      if (!wanted.some((pattern) => matches(outcome, pattern))) wrong.add(outcome);
    },
    check(): void {
      assert.deepEqual([...wrong], [], `meanwhile: ${line}`);
      assert.equal(count, expected === 'dropped' ? 0 : sent, `meanwhile, of ${sent}: ${line}`);
    },
  };
}
