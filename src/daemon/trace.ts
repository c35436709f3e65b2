import { connectVpp } from '../../native/vpp-api/client.ts';
import { realClock } from '../core/clock.ts';
import type { TraceRequest, TraceView } from '../core/control-api.ts';
import { familyOf, type Ip, parseIp, prefixContains } from '../core/ip.ts';
import { hostName, podInterfaceName, uplinkName } from '../desired/names.ts';
import type { NeighbourRow, RouteRow, TranslationRow } from '../desired/rows.ts';
import { type Stage, stages, type Table } from '../desired/table.ts';
import { tables } from '../desired/tables.ts';
import { addrFromIp } from '../emulator/address.ts';
import { createEmulator, type Emulator } from '../emulator/emulator.ts';
import { buildIp, icmpMessage, TcpFlag, tcpSegment, udpSegment } from '../emulator/packet/build.ts';
import type { Store } from '../model/store.ts';
import { gatedBy } from '../proxy/gate.ts';
import { createVppTarget, requiredMessages } from '../vpp/target.ts';
import type { Loop } from './loop.ts';

/**
 * The way of a packet, computed and not sent: the rows in force are written, by the same
 * drivers, into an embedded data plane made for this one question, which walks the packet and
 * says what each node decided. It works the same on VPP and on the embedded plane, and costs
 * the real one nothing. Sessions that exist are not known to it: the packet is a first packet.
 */
export async function traceRows(
  store: Store,
  loop: Loop,
  request: TraceRequest,
): Promise<TraceView> {
  const source = parseIp(request.source);
  const target = parseIp(request.destination);
  if (source === undefined || target === undefined)
    return { steps: [], verdict: 'source and destination must be addresses' };
  await using emulator = createEmulator({ anyHostInterface: true });
  const filters = await replay(emulator, relevantRows(loop, source, target));
  const entry = entryOf(store, source);
  const walk = emulator.inject(`kvr:${entry}`, packetOf(request, source, target));
  const steps = walk.steps.map(({ node, text }) => ({ at: node, what: named(text, filters) }));
  const out = walk.outputs.map((output) => `leaves by ${output.interface}`);
  const verdict = out.length > 0 ? out.join(', ') : dropText(store, steps, request, target);
  return { steps: [{ at: entry, what: 'enters' }, ...steps], verdict };
}

const aclPattern = /^ACL (\d+) rule (\d+)/;
const denyPattern = /^filter (\S+) rule \d+: deny$/;

/** The data plane knows filters by number, people by name. */
function named(text: string, filters: ReadonlyMap<number, string>): string {
  return text.replace(aclPattern, (all, index: string, rule: string) => {
    const name = filters.get(Number(index));
    return name === undefined ? all : `filter ${name} rule ${rule}`;
  });
}

/** On whose behalf a packet ends, where a filter of the gate ended it. */
function dropText(
  store: Store,
  steps: TraceView['steps'],
  { port, protocol }: TraceRequest,
  vip: Ip,
): string {
  const filter = steps.map((step) => denyPattern.exec(step.what)?.[1]).find((name) => name);
  if (filter === undefined) return 'dropped';
  const to = { vip, port, protocol: protocol.toUpperCase() };
  const gated = gatedBy(store.facts, filter, to);
  return gated === undefined
    ? `dropped by filter ${filter}`
    : `dropped by the gate: ${gated.why} of ${gated.service}`;
}

type RowsByStage = ReadonlyMap<Stage, readonly unknown[]>;

/** What can touch a packet between the two addresses: not the whole cluster's rows. */
function relevantRows(loop: Loop, source: Ip, target: Ip): RowsByStage {
  const rows = new Map<Stage, unknown[]>();
  for (const stage of stages) {
    if (stage.startsWith('bgp') || stage === 'bfdSessions') continue;
    if (stage === 'translations' || stage === 'routes') continue;
    rows.set(stage, appliedRows(loop, stage));
  }
  const translations = (appliedRows(loop, 'translations') as TranslationRow[]).filter(
    (row) => row.vip === target,
  );
  const addresses = [source, target, ...translations.flatMap((t) => t.backends.map((b) => b.ip))];
  const routes = (appliedRows(loop, 'routes') as RouteRow[]).filter((row) =>
    addresses.some((address) => prefixContains(row.prefix, address)),
  );
  rows.set('translations', translations);
  rows.set('routes', routes);
  rows.get('neighbours')?.push(...onLinkNeighbours([...addresses, ...nextHopsOf(routes)], rows));
  return rows;
}

function appliedRows(loop: Loop, stage: Stage): unknown[] {
  return [...loop.reconciler.appliedKeys(stage)]
    .map((key) => loop.reconciler.applied(stage, key))
    .filter((row) => row !== undefined);
}

function nextHopsOf(routes: readonly RouteRow[]): Ip[] {
  return routes.flatMap((route) =>
    route.paths.flatMap((path) =>
      path.kind === 'forward' && path.interface === uplinkName && path.nextHop !== undefined
        ? [path.nextHop]
        : [],
    ),
  );
}

/** Stands in for neighbours that the real data plane has learned by ARP and ND. */
function onLinkNeighbours(addresses: readonly Ip[], rows: RowsByStage): NeighbourRow[] {
  const own = (rows.get('addresses') ?? []) as readonly { kind: string; ip?: Ip }[];
  const local = new Set(own.map((row) => row.ip));
  const known = new Set(((rows.get('neighbours') ?? []) as NeighbourRow[]).map((row) => row.ip));
  return [...new Set(addresses)]
    .filter((address) => !local.has(address) && !known.has(address))
    .map((address) => ({ interface: uplinkName, ip: address, mac: '02:00:5e:00:53:01' }));
}

/** Writes the rows; the names of filters by their numbers. */
async function replay(emulator: Emulator, rows: RowsByStage): Promise<ReadonlyMap<number, string>> {
  const stop = new AbortController();
  await using target = createVppTarget({
    connect: (signal) =>
      connectVpp({
        stream: emulator.connect(),
        name: 'trace',
        signal,
        required: requiredMessages,
      }),
    clock: realClock,
    signal: stop.signal,
  });
  while (target.session === undefined) await target.sessionChanged();
  for (const stage of stages) {
    const table: Table<unknown> = tables[stage];
    const changes = (rows.get(stage) ?? []).map((row) => ({
      key: table.key(row),
      from: undefined,
      to: row,
    }));
    const driver = target.drivers.find((one) => one.table.name === stage);
    if (changes.length > 0) await driver?.apply(changes, stop.signal);
  }
  return new Map([...(target.handles?.filters ?? [])].map(([name, index]) => [index, name]));
}

/** The interface by which packets of a source come in. */
function entryOf(store: Store, source: Ip): string {
  for (const attachment of store.facts.attachments.values())
    if (attachment.ips.includes(source)) return podInterfaceName(attachment.hostInterface);
  const own = store.facts.uplink.get(uplinkName)?.addresses ?? [];
  return own.some((address) => address.ip === source) ? hostName : uplinkName;
}

/** An ephemeral port (RFC 6335 section 6). */
const sourcePort = 49_152;

function packetOf(request: TraceRequest, source: Ip, target: Ip): Buffer {
  const v6 = familyOf(source) === 6;
  const empty = new Uint8Array(0);
  const sctpHeader = udpSegment(sourcePort, request.port, new Uint8Array(4));
  const payloads = {
    tcp: [6, tcpSegment(sourcePort, request.port, TcpFlag.syn, empty)],
    udp: [17, udpSegment(sourcePort, request.port, new Uint8Array(8))],
    sctp: [132, sctpHeader],
    icmp: [v6 ? 58 : 1, icmpMessage(v6 ? 128 : 8, 0, 1, new Uint8Array(8))],
  } as const;
  const [protocol, payload] = payloads[request.protocol];
  return buildIp({ source: addrFromIp(source), target: addrFromIp(target), protocol, payload });
}
