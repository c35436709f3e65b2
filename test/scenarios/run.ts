import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { familyOf } from '../../src/core/ip.ts';
import { refuseAddresses, refusePort } from '../../src/core/link-addresses.ts';
import type { Loop } from '../../src/daemon/loop.ts';
import { type Stage, stages, type Table } from '../../src/desired/table.ts';
import { tables } from '../../src/desired/tables.ts';
import type { Facts } from '../../src/model/store.ts';
import { onLinkNextHops } from '../../src/routing/next-hops.ts';
import type { VppTarget } from '../../src/vpp/target.ts';
import { uplink } from '../facts.ts';
import { startDaemon } from './daemon.ts';
import {
  answerNeighbour,
  type Flow,
  formatSides,
  frameIp,
  packetOf,
  parseFlow,
  readFrame,
  refusalOf,
  reverse,
  type Seen,
} from './packets.ts';
import { unwrap, wrapFor } from './tunnels.ts';
import type { Wire } from './wire.ts';
import { createWorld, podInterfaces } from './world.ts';

/**
 * Scenarios: the behaviour of the whole, written once, run on the embedded data plane and on VPP.
 *
 * A file is a title and sections. `-- objects --` and `-- change --` hold objects (world.ts);
 * a section named after a table holds its rows, as the table prints them; `-- packets --` holds
 * flows and what must become of them:
 *
 *     veth-a tcp 10.244.1.11:4000 > 10.96.0.10:80 => veth-b 10.244.1.11:4000 > 10.244.1.12:8080
 *     uplink tcp 198.51.100.7:4000 > 192.0.2.1:30080 => unreachable
 *
 * `refused` is what the host's stack says where nothing listens: a reset, or port unreachable.
 * Wires named after a tunnel (tunnels.ts) carry what travels inside of it to and from node n3.
 * `*` stands for any port, ` | ` separates alternatives, `dropped` is silence. For each flow
 * that is delivered the answer is sent back, and must reach the sender as if the address that
 * it asked had answered. `-- restart --` kills the data plane; `-- away --` ends the daemon, holds
 * what changes while there is none, and starts another; `-- wait 3 --` lets that many seconds pass
 * for the data plane.
 */
export const scenarioFiles: readonly string[] = readdirSync(import.meta.dirname)
  .filter((name) => name.endsWith('.txt'))
  .map((name) => join(import.meta.dirname, name))
  .toSorted();

export const wireInterfaces: readonly string[] = ['eth0', 'kvr0-vpp', ...podInterfaces];

/** Names of wires in scenarios. */
const aliases: Readonly<Record<string, string>> = { uplink: 'eth0', host: 'kvr0-vpp' };
const outsideMac = '02:00:00:00:00:ee';

export interface Scenario {
  readonly title: string;
  readonly sections: readonly { readonly name: string; readonly lines: readonly string[] }[];
}

export function readScenario(path: string): Scenario {
  const [first = '', ...rest] = readFileSync(path, 'utf8').split('\n');
  const sections: { name: string; lines: string[] }[] = [];
  for (const line of rest) {
    const header = /^-- (\w+(?: \d+)?) --$/.exec(line);
    if (header !== null) sections.push({ name: header[1] ?? '', lines: [] });
    else if (line.trim() !== '' && !line.startsWith('#')) sections.at(-1)?.lines.push(line.trim());
  }
  return { title: first.replace(/^# /, ''), sections };
}

/** Runs one scenario on a data plane that holds nothing yet. */
export async function runScenario(scenario: Scenario, wire: Wire): Promise<void> {
  const world = createWorld();
  let written: object | undefined;
  const start = () => {
    const started = startDaemon(wire, world.store, {
      onRound: (round) => {
        if (round.connected.has('vpp')) written = started.vpp.session;
      },
    });
    return started;
  };
  let daemon = start();
  const settled = async (also?: () => boolean) => {
    await inForce(daemon.loop, world.store.revision, also);
    await probe(wire, world.store.facts);
  };
  try {
    for (const { name, lines } of scenario.sections) {
      if (name === 'objects' || name === 'change') {
        for (const line of lines) world.apply(line);
        await settled();
      } else if (name === 'restart') {
        await restart(wire, daemon.vpp);
        await settled(() => written === daemon.vpp.session);
      } else if (name === 'away') {
        await daemon[Symbol.asyncDispose]();
        for (const line of lines) world.apply(line);
        world.renew();
        daemon = start();
        await settled();
      } else if (name.startsWith('wait')) await wire.wait(Number(name.slice(4)));
      else if (name === 'packets') for (const line of lines) await checkPacket(wire, line);
      else assert.deepEqual(rowsOf(daemon.loop, name), lines.toSorted(), `rows of ${name}`);
    }
    assert.deepEqual([...daemon.loop.reconciler.failures()], [], 'no row failed');
  } finally {
    await daemon[Symbol.asyncDispose]();
  }
}

const inForceMaxMs = 10_000;

async function inForce(loop: Loop, revision: number, also = () => true): Promise<void> {
  const whole = () => [...loop.reconciler.failures()].length === 0 && also();
  await loop.whenApplied(revision, AbortSignal.timeout(inForceMaxMs), whole);
}

async function restart(wire: Wire, vpp: VppTarget): Promise<void> {
  const before = vpp.session;
  await wire.restart();
  while (vpp.session === undefined || vpp.session === before) await vpp.sessionChanged();
}

/** What the daemon does after such a change (src/daemon/probing.ts). */
async function probe(wire: Wire, facts: Facts): Promise<void> {
  for (const target of onLinkNextHops(facts)) {
    const source = uplink.addresses.find(({ ip }) => familyOf(ip) === familyOf(target))?.ip;
    if (source === undefined) continue;
    const flow: Flow = {
      protocol: 'udp',
      source: { ip: source, port: 40_000 },
      target: { ip: target, port: 9 },
    };
    await exchange(wire, 'host', packetOf(flow, false));
  }
}

function rowsOf(loop: Loop, name: string): string[] {
  const stage = stages.find((one) => one === name) as Stage;
  assert.ok(stage !== undefined, `${name} is a table`);
  const table: Table<unknown> = tables[stage];
  return [...loop.reconciler.appliedKeys(stage)]
    .map((key) => table.format(loop.reconciler.applied(stage, key)))
    .toSorted();
}

interface Arrived {
  readonly wire: string;
  readonly seen: Seen;
}

/** Tries again: the first packet to a neighbour that is not known yet is lost by design. */
const attemptsMax = 3;

/** Sends what a line of `-- packets --` says and looks at what becomes of it. */
export async function checkPacket(wire: Wire, line: string): Promise<void> {
  const [sent = '', expected = ''] = line.split(' => ');
  const [from = '', ...words] = sent.split(' ');
  const flow = parseFlow(words.join(' '));
  const wanted = expected.split(' | ');
  let arrived: Arrived[] = [];
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    arrived = await exchange(wire, from, packetOf(flow, false));
    if (arrived.length > 0 || expected === 'dropped') break;
  }
  const [first] = arrived;
  if (expected === 'refused') return checkRefusal(wire, { line, from, flow }, first);
  const outcome = first === undefined ? 'dropped' : describe(first, from);
  assert.ok(
    wanted.some((pattern) => matches(outcome, pattern)),
    `${line}\n  but: ${outcome}`,
  );
  if (first?.seen.kind !== 'flow') return;
  assert.ok(first.seen.checksumRight, `${line}\n  but the checksum is wrong`);
  await checkAnswer(wire, { line, from, flow }, { wire: first.wire, flow: first.seen.flow });
}

/** Plays the host's stack, where nothing listens on the port that refuses. */
async function checkRefusal(
  wire: Wire,
  asked: { readonly line: string; readonly from: string; readonly flow: Flow },
  arrived: Arrived | undefined,
): Promise<void> {
  const outcome = arrived === undefined ? 'dropped' : describe(arrived, asked.from);
  const { seen } = arrived ?? {};
  assert.ok(seen?.kind === 'flow' && arrived?.wire === 'host', `${asked.line}\n  but: ${outcome}`);
  const { target } = seen.flow;
  assert.equal(target.ip, refuseAddresses[familyOf(target.ip)], asked.line);
  assert.equal(target.port, refusePort, asked.line);
  let answer: Arrived | undefined;
  for (let attempt = 0; attempt < attemptsMax && answer === undefined; attempt++)
    [answer] = await exchange(wire, 'host', refusalOf(seen.flow, seen.packet));
  const got = answer === undefined ? 'dropped' : describe(answer, asked.from);
  const reset = `${asked.from} ${formatSides(reverse(asked.flow))}`;
  assert.equal(
    got,
    asked.flow.protocol === 'tcp' ? reset : 'unreachable',
    `${asked.line}, refused`,
  );
}

/** The answer reaches the sender, from the address that it asked. */
async function checkAnswer(
  wire: Wire,
  asked: { readonly line: string; readonly from: string; readonly flow: Flow },
  got: { readonly wire: string; readonly flow: Flow },
): Promise<void> {
  let answers: Arrived[] = [];
  for (let attempt = 0; attempt < attemptsMax && answers.length === 0; attempt++)
    answers = await exchange(wire, got.wire, packetOf(reverse(got.flow), true));
  const [answer] = answers;
  const outcome = answer === undefined ? 'dropped' : describe(answer, got.wire);
  const wanted = `${asked.from} ${formatSides(reverse(asked.flow))}`;
  assert.equal(outcome, wanted, `${asked.line}\n  the answer`);
  if (answer?.seen.kind === 'flow') assert.ok(answer.seen.checksumRight, 'checksum of the answer');
}

function describe({ wire, seen }: Arrived, from: string): string {
  if (seen.kind === 'flow') return `${wire} ${formatSides(seen.flow)}`;
  return seen.kind === 'error' && wire === from ? 'unreachable' : `${wire} ${seen.kind}`;
}

function matches(outcome: string, pattern: string): boolean {
  const escaped = pattern.replaceAll(/[.[\]()+?^$]/g, '\\$&').replaceAll('*', '\\d+');
  return new RegExp(`^${escaped}$`).test(outcome);
}

/** Sends one packet and gives what came out, answering requests for link addresses. */
async function exchange(wire: Wire, from: string, l3: Buffer): Promise<Arrived[]> {
  const arrived: Arrived[] = [];
  wire.received = (hostInterface, frame) => {
    const answer = hostInterface === 'eth0' ? answerNeighbour(frame, outsideMac) : undefined;
    if (answer !== undefined) return wire.inject(hostInterface, answer);
    const inside = hostInterface === 'eth0' ? unwrap(frame) : undefined;
    const seen = readFrame(inside?.frame ?? frame);
    if (inside !== undefined) {
      if (seen.kind !== 'other') arrived.push({ wire: inside.wire, seen });
      return;
    }
    const name = Object.entries(aliases).find(([, real]) => real === hostInterface)?.[0];
    if (seen.kind !== 'other') arrived.push({ wire: name ?? hostInterface, seen });
  };
  const outer = wrapFor(from, l3);
  if (outer === undefined)
    wire.inject(aliases[from] ?? from, frameIp(l3, vppMac(from), outsideMac));
  else wire.inject('eth0', frameIp(outer, uplink.mac, outsideMac));
  await wire.settle();
  return arrived;
}

function vppMac(wireName: string): string {
  if (wireName === 'uplink') return uplink.mac;
  return wireName === 'host' ? uplink.hostLink.vppMac : '02:00:00:00:01:02';
}
