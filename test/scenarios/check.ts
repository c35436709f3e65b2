import assert from 'node:assert/strict';
import { familyOf } from '../../src/core/ip.ts';
import { refuseAddresses, refusePort } from '../../src/core/link-addresses.ts';
import { uplink } from '../facts.ts';
import {
  answerNeighbour,
  type Flow,
  formatSides,
  frameIp,
  type Moment,
  packetOf,
  parseFlow,
  readFrame,
  refusalOf,
  reverse,
  type Seen,
} from './packets.ts';
import { isOfStray, packetsOfStray, parseStray, type Stray } from './strays.ts';
import { unwrap, wrapFor } from './tunnels.ts';
import type { Wire } from './wire.ts';

/** Names of wires in scenarios. */
const aliases: Readonly<Record<string, string>> = { uplink: 'eth0', host: 'kvr0-vpp' };
const outsideMac = '02:00:00:00:00:ee';

/** Something that came out of a wire. */
export interface Arrived {
  readonly wire: string;
  readonly seen: Seen;
}

/** Tries again: the first packet to a neighbour that is not known yet is lost by design. */
const attemptsMax = 3;

/** What a line of packets says: what is sent where, and what may become of it. */
export function readLine(line: string) {
  const [sent = '', expected = ''] = line.split(' => ');
  const [from = '', ...words] = sent.split(' ');
  const isOpen = words.at(-1) === 'again';
  const moment: Moment = isOpen ? 'again' : 'first';
  const text = (isOpen ? words.slice(0, -1) : words).join(' ');
  return { from, text, moment, expected, wanted: expected.split(' | ') };
}

/** Sends what a line of `-- packets --` says and looks at what becomes of it. */
export async function checkPacket(wire: Wire, line: string): Promise<void> {
  const { from, text, moment, expected, wanted } = readLine(line);
  const stray = parseStray(text);
  if (stray !== undefined) return checkStray(wire, line, stray);
  const flow = parseFlow(text);
  let arrived: Arrived[] = [];
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    arrived = await exchange(wire, from, packetOf(flow, moment));
    if (arrived.length > 0 || ['dropped', 'ignored'].includes(expected)) break;
  }
  const [first] = arrived;
  if (expected === 'ignored') return;
  if (expected === 'refused') return checkRefusal(wire, { line, from, flow }, first);
  const outcome = first === undefined ? 'dropped' : describe(first, from);
  assert.ok(
    wanted.some((pattern) => matches(outcome, pattern)),
    `${line}\n  but: ${outcome}`,
  );
  if (first?.seen.kind !== 'flow') return;
  assert.ok(first.seen.checksumRight, `${line}\n  but the checksum is wrong`);
  const answer = moment === 'first' ? 'answer' : moment;
  await checkAnswer(
    wire,
    { line, from, flow },
    { wire: first.wire, flow: first.seen.flow, answer },
  );
}

async function checkStray(wire: Wire, line: string, stray: Stray): Promise<void> {
  const { from, wanted } = readLine(line);
  const packets = packetsOfStray(stray, outsideMac);
  const arrived = await exchange(wire, from, packets, (seen) => isOfStray(stray, seen));
  const outcomes = arrived.map((one) => describe(one, from));
  const both = arrived.length === 2 && outcomes[0]?.endsWith(' first fragment');
  const outcome = both ? `${arrived[0]?.wire} fragments` : outcomes.join(', ') || 'dropped';
  assert.ok(wanted.includes(outcome), `${line}\n  but: ${outcome}`);
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
  got: { readonly wire: string; readonly flow: Flow; readonly answer: Moment },
): Promise<void> {
  let answers: Arrived[] = [];
  for (let attempt = 0; attempt < attemptsMax && answers.length === 0; attempt++)
    answers = await exchange(wire, got.wire, packetOf(reverse(got.flow), got.answer));
  const [answer] = answers;
  const outcome = answer === undefined ? 'dropped' : describe(answer, got.wire);
  const wanted = `${asked.from} ${formatSides(reverse(asked.flow))}`;
  assert.equal(outcome, wanted, `${asked.line}\n  the answer`);
  if (answer?.seen.kind === 'flow') assert.ok(answer.seen.checksumRight, 'checksum of the answer');
}

export function describe({ wire, seen }: Arrived, from: string): string {
  if (seen.kind === 'flow') return `${wire} ${formatSides(seen.flow)}`;
  return seen.kind === 'error' && wire === from ? 'unreachable' : `${wire} ${seen.kind}`;
}

export function matches(outcome: string, pattern: string): boolean {
  const escaped = pattern.replaceAll(/[.[\]()+?^$]/g, '\\$&').replaceAll('*', '\\d+');
  return new RegExp(`^${escaped}$`).test(outcome);
}

/** Sends packets and gives what came out, answering requests for link addresses. */
export async function exchange(
  wire: Wire,
  from: string,
  l3: Buffer | readonly Buffer[],
  counts: (seen: Seen) => boolean = ({ kind }) => kind !== 'other' && kind !== 'message',
): Promise<Arrived[]> {
  const arrived: Arrived[] = [];
  receive(wire, (one) => {
    if (counts(one.seen)) arrived.push(one);
  });
  for (const packet of Buffer.isBuffer(l3) ? [l3] : l3) send(wire, from, packet);
  await wire.settle();
  return arrived;
}

/** Calls back for everything that comes out, and answers requests for link addresses. */
export function receive(wire: Wire, callback: (arrived: Arrived) => void): void {
  wire.received = (hostInterface, frame) => {
    const answer = hostInterface === 'eth0' ? answerNeighbour(frame, outsideMac) : undefined;
    if (answer !== undefined) return wire.inject(hostInterface, answer);
    const inside = hostInterface === 'eth0' ? unwrap(frame) : undefined;
    const seen = readFrame(inside?.frame ?? frame);
    const name = Object.entries(aliases).find(([, real]) => real === hostInterface)?.[0];
    callback({ wire: inside?.wire ?? name ?? hostInterface, seen });
  };
}

export function send(wire: Wire, from: string, l3: Buffer): void {
  const outer = wrapFor(from, l3);
  if (outer === undefined)
    wire.inject(aliases[from] ?? from, frameIp(l3, vppMac(from), outsideMac));
  else wire.inject('eth0', frameIp(outer, uplink.mac, outsideMac));
}

function vppMac(wireName: string): string {
  if (wireName === 'uplink') return uplink.mac;
  return wireName === 'host' ? uplink.hostLink.vppMac : '02:00:00:00:01:02';
}
