import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { familyOf } from '../../src/core/ip.ts';
import type { Loop } from '../../src/daemon/loop.ts';
import { type Stage, stages, type Table } from '../../src/desired/table.ts';
import { tables } from '../../src/desired/tables.ts';
import type { Facts } from '../../src/model/store.ts';
import { onLinkNextHops } from '../../src/routing/next-hops.ts';
import type { VppTarget } from '../../src/vpp/target.ts';
import { uplink } from '../facts.ts';
import { checkPacket, exchange } from './check.ts';
import { startDaemon } from './daemon.ts';
import { type Flow, packetOf } from './packets.ts';
import { startPump } from './pump.ts';
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
 * it asked had answered. `again` behind a flow sends a packet of the open connection instead of
 * its first; what becomes of a packet that is `ignored` does not matter, and nobody answers it.
 * Other packets than flows: strays.ts.
 *
 * `-- policies --` holds manifests, `-- unreadable --` such of which a part cannot be read. Sections
 * of objects and policies that follow each other are one change. `-- meanwhile --` holds packets
 * that are sent all the time while things change or restart, from there on.
 *
 * `-- restart --` kills the data plane; `-- away --` ends the daemon, holds what changes while there
 * is none, and starts another; `-- wait 3 --` lets that many seconds pass for the data plane.
 */
export const scenarioFiles: readonly string[] = readdirSync(import.meta.dirname, {
  recursive: true,
  encoding: 'utf8',
})
  .filter((name) => name.endsWith('.txt'))
  .map((name) => join(import.meta.dirname, name))
  .toSorted();

/** `policy/np-01` of `…/policy/np-01.txt`. */
export function nameOf(path: string): string {
  return relative(import.meta.dirname, path).replace(/\.txt$/, '');
}

export const wireInterfaces: readonly string[] = ['eth0', 'kvr0-vpp', ...podInterfaces];

export interface Scenario {
  readonly title: string;
  readonly sections: readonly { readonly name: string; readonly lines: readonly string[] }[];
}

export function readScenario(path: string): Scenario {
  const [first = '', ...rest] = readFileSync(path, 'utf8').split('\n');
  const sections: { name: string; lines: string[] }[] = [];
  for (const line of rest) {
    const header = /^-- (\w+(?: \d+)?) --$/.exec(line);
    const section = sections.at(-1);
    if (header !== null) sections.push({ name: header[1] ?? '', lines: [] });
    else if (line.trim() === '' || line.startsWith('#')) continue;
    else section?.lines.push(manifestSections.includes(section.name) ? line : line.trim());
  }
  return { title: first.replace(/^# /, ''), sections };
}

const manifestSections: readonly string[] = ['policies', 'unreadable'];
const objectSections: readonly string[] = ['objects', 'change', ...manifestSections];

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
  let meanwhile: readonly string[] = [];
  /** Until what `change` began is in force. */
  const settled = async (change: () => void | Promise<void>, also?: () => boolean) => {
    const pump = startPump(wire, meanwhile);
    await change();
    await inForce(daemon.loop, world.store.revision, also);
    await pump.finish();
    await probe(wire, world.store.facts);
  };
  const applyAll = (sections: Scenario['sections']) => {
    for (const { name, lines } of sections)
      if (manifestSections.includes(name))
        world.applyPolicies(lines.join('\n'), name === 'policies');
      else for (const line of lines) world.apply(line);
  };
  let together: Scenario['sections'] = [];
  try {
    for (const [i, { name, lines }] of scenario.sections.entries()) {
      if (objectSections.includes(name)) {
        together = [...together, { name, lines }];
        if (objectSections.includes(scenario.sections[i + 1]?.name ?? '')) continue;
        const sections = together;
        together = [];
        await settled(() => applyAll(sections));
      } else if (name === 'restart') {
        await settled(
          () => restart(wire, daemon.vpp),
          () => written === daemon.vpp.session,
        );
      } else if (name === 'away') {
        await settled(async () => {
          await daemon[Symbol.asyncDispose]();
          for (const line of lines) world.apply(line);
          world.renew();
          daemon = start();
        });
      } else if (name === 'meanwhile') meanwhile = lines;
      else if (name.startsWith('wait')) await wire.wait(Number(name.slice(4)));
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
    await exchange(wire, 'host', packetOf(flow, 'first'));
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
