import type { FieldsOf } from '../../native/vpp-api/codec.ts';
import { realClock } from '../core/clock.ts';
import type {
  EndpointView,
  ExplainedFrontend,
  ExplainedPort,
  ServiceExplanation,
} from '../core/control-api.ts';
import { errorText } from '../core/error-text.ts';
import { dropAddresses, refuseAddresses } from '../core/link-addresses.ts';
import type { TranslationRow } from '../desired/rows.ts';
import { formatFrontend, formatSocketAddress, tables } from '../desired/tables.ts';
import type { Service, ServicePort } from '../model/facts.ts';
import { type Frontend, frontendsOfPort, sourceRangesOf } from '../model/frontends.ts';
import type { Store } from '../model/store.ts';
import { backendsOfPort } from '../proxy/backends.ts';
import { explainEndpoints } from '../proxy/explain.ts';
import { protocolName } from '../vpp/drivers/nat.ts';
import { swapped } from '../vpp/drivers/sessions.ts';
import type { VppTarget } from '../vpp/target.ts';
import type { Loop } from './loop.ts';
import { packetsAt, type VppStats } from './vpp-stats.ts';

/**
 * `kvr explain service`: what a Service's frontends are on this node, which endpoints they use
 * and why not the others, where each is programmed, and who talks to it. Decides nothing: it asks
 * the functions that plan.
 */
export interface ExplainParts {
  readonly store: Store;
  readonly loop: Loop;
  readonly vpp: Pick<VppTarget, 'handles' | 'connection'>;
  readonly stats: VppStats;
  /** Problems of all objects. */
  readonly problems: () => readonly {
    readonly object: string;
    readonly field: string;
    readonly reason: string;
  }[];
}

/** With more sessions than this in VPP they are not read for an explanation. */
const sessionsMax = 200_000;

/** Undefined: the cluster has no such Service, or it is none of ours. */
export async function explainService(
  parts: ExplainParts,
  key: string,
): Promise<ServiceExplanation | undefined> {
  const service = parts.store.facts.services.get(key);
  if (service === undefined) return undefined;
  const sessions = await readSessions(parts);
  const ports = await Promise.all(
    service.ports.map((port) => explainPort(parts, service, port, sessions)),
  );
  const object = `Service/${key}`;
  return {
    service: key,
    type: service.type,
    verdict: verdictOf(service, ports),
    internalTrafficPolicy: service.internalTrafficPolicy,
    externalTrafficPolicy: service.externalTrafficPolicy,
    affinitySeconds: service.affinitySeconds,
    sessionsRead: sessions !== undefined,
    ports,
    problems: parts.problems().filter((problem) => problem.object === object),
  };
}

/** Names near a name that nobody has, for a hint. */
export function similarServices(store: Store, key: string): string[] {
  const name = key.slice(key.indexOf('/') + 1);
  return [...store.facts.services.keys()]
    .filter((one) => one.endsWith(`/${name}`) || one.includes(name))
    .sort()
    .slice(0, 5);
}

function verdictOf(service: Service, ports: readonly ExplainedPort[]): string {
  if (service.type === 'ExternalName') return 'ExternalName: DNS answers, nothing is programmed';
  if (service.headless) return 'headless: DNS answers with the pods, nothing is programmed';
  const frontends = ports.flatMap((port) => port.frontends);
  const wrong = frontends.filter((one) => one.status !== 'done').length;
  if (wrong > 0) return `${wrong} of ${frontends.length} frontends are not in force`;
  const silent = frontends.filter((one) => one.answer !== 'endpoints').length;
  const working = `${frontends.length - silent} of ${frontends.length} frontends have endpoints`;
  return silent === 0 ? `all ${frontends.length} frontends have endpoints` : working;
}

async function explainPort(
  parts: ExplainParts,
  service: Service,
  port: ServicePort,
  sessions: Sessions | undefined,
): Promise<ExplainedPort> {
  const { facts } = parts.store;
  const counter = (await parts.stats.read([newSessions]))?.get(newSessions);
  const families = ([4, 6] as const).map((family) => ({
    family,
    frontends: frontendsOfPort(facts, service, port, family),
  }));
  const present = families.filter(({ frontends }) => frontends.length > 0);
  return {
    name: port.name,
    protocol: port.protocol,
    frontends: present.flatMap(({ family, frontends }) =>
      frontends.map((frontend) => {
        const key = tables.translations.key({ ...frontend, protocol: port.protocol } as never);
        const id = parts.vpp.handles?.translations.get(key);
        return {
          ...explainFrontend(parts, service, port, { frontend, family, key }),
          translationId: id,
          connections: id === undefined ? 0 : packetsAt(counter, id),
          ...sessionsTo(sessions?.get(key)),
        };
      }),
    ),
    endpoints: present.flatMap(({ family }): EndpointView[] =>
      explainEndpoints(facts, service, port, family).map((one) => ({
        ...one,
        address: formatSocketAddress(one.ip, one.port),
      })),
    ),
  };
}

const newSessions = '/net/cnat-translation';

function explainFrontend(
  { store, loop }: ExplainParts,
  service: Service,
  port: ServicePort,
  at: { readonly frontend: Frontend; readonly family: 4 | 6; readonly key: string },
): Omit<ExplainedFrontend, 'translationId' | 'connections' | keyof ReturnType<typeof sessionsTo>> {
  const { frontend, family, key } = at;
  const desired = loop.desired.row('translations', key) as TranslationRow | undefined;
  const applied = loop.reconciler.applied('translations', key) as TranslationRow | undefined;
  const failure = [...loop.reconciler.failures()].find(
    (one) => one.stage === 'translations' && one.key === key,
  );
  const same =
    desired !== undefined && applied !== undefined && tables.translations.equal(desired, applied);
  const owner = port.name === '' ? service.key : `${service.key}:${port.name}`;
  const taken = desired !== undefined && desired.service !== owner;
  const ranges =
    frontend.kind === 'LoadBalancer' ? sourceRangesOf(store.facts, service, family) : undefined;
  return {
    kind: frontend.kind,
    frontend: formatFrontend({ ...frontend, protocol: port.protocol }),
    answer: answerOf(desired),
    backends: desired?.backends.map((one) => formatSocketAddress(one.ip, one.port)) ?? [],
    allowed: ranges === undefined ? 'everybody' : ranges.join(', ') || 'nobody',
    note: noteOf(store.facts, service, port, at, answerOf(desired)),
    affinityEpoch: desired?.affinityEpoch,
    status: failure !== undefined || taken ? 'failed' : same ? 'done' : 'pending',
    error: taken
      ? `${desired.service} has this frontend`
      : failure === undefined
        ? ''
        : `${errorText(failure.error)} (tried ${failure.attempts} times, ${nextTry(failure.retryAtMs)})`,
  };
}

function nextTry(atMs: number): string {
  const seconds = Math.ceil((atMs - realClock.monotonic()) / 1000);
  return seconds > 0 ? `next try in ${seconds} s` : 'next try now';
}

/** Why a client is not served, or not every client. */
function noteOf(
  facts: Store['facts'],
  service: Service,
  port: ServicePort,
  { frontend, family }: { readonly frontend: Frontend; readonly family: 4 | 6 },
  answer: ExplainedFrontend['answer'],
): string {
  if (answer === 'refused') return 'no endpoint can take a connection';
  if (answer === 'dropped') return 'internalTrafficPolicy Local, and no endpoint on this node';
  if (frontend.kind === 'ClusterIP' || service.externalTrafficPolicy !== 'Local') return '';
  const { local } = backendsOfPort(facts, service, port, family);
  return local.length > 0
    ? ''
    : 'from outside the gate drops: externalTrafficPolicy Local, and no endpoint on this node';
}

function answerOf(row: TranslationRow | undefined): ExplainedFrontend['answer'] {
  const first = row?.backends[0]?.ip;
  if (first === undefined) return 'nothing';
  if (Object.values(refuseAddresses).includes(first)) return 'refused';
  return Object.values(dropAddresses).includes(first) ? 'dropped' : 'endpoints';
}

/** Sessions by frontend (key of its row) and backend. */
type Sessions = ReadonlyMap<string, ReadonlyMap<string, number>>;

function sessionsTo(counts: ReadonlyMap<string, number> | undefined) {
  const sessionsByBackend = [...(counts ?? [])]
    .map(([backend, sessions]) => ({ backend, sessions }))
    .sort((a, b) => b.sessions - a.sessions);
  const openSessions = sessionsByBackend.reduce((sum, one) => sum + one.sessions, 0);
  return { openSessions, sessionsByBackend };
}

/** Undefined when there are too many to read, or nobody to ask. */
async function readSessions(parts: ExplainParts): Promise<Sessions | undefined> {
  const total = (await parts.stats.read([openSessions]))?.get(openSessions);
  const { connection } = parts.vpp;
  if (connection === undefined || (total?.kind === 'gauge' && total.value > sessionsMax))
    return undefined;
  return countSessions((await connection.dump('cnat_session_dump', {})).map((one) => one.session));
}

const openSessions = '/cnat/sessions/total';

/** VPP's CNAT_SESSION_IS_RETURN (src/plugins/cnat/cnat_session.h). */
const isReturn = 16;

type CnatSession = FieldsOf<'cnat_session_details'>['session'];

/**
 * Sessions by what the client asked for and who answers.
 *
 * VPP lists a flow as two sessions with one index: the first has the client's packet as it came
 * (to the frontend), the other that of the answer (from the backend; cnat_rsession_create).
 */
export function countSessions(list: readonly CnatSession[]): Sessions {
  const backends = new Map<number, string>();
  for (const { tuple, flags, ts_index: index } of list)
    if ((flags & isReturn) !== 0)
      backends.set(index, formatSocketAddress(tuple.addr[0] ?? '', swapped(tuple.port[0] ?? 0)));
  const counts = new Map<string, Map<string, number>>();
  for (const { tuple, flags, ts_index: index } of list) {
    if ((flags & isReturn) !== 0) continue;
    const { addr, port, ip_proto: protocol } = tuple;
    const key = `${addr[1] ?? ''} ${swapped(port[1] ?? 0)} ${protocolName(protocol)}`;
    const backend = backends.get(index) ?? 'unknown';
    const byBackend = counts.get(key) ?? new Map<string, number>();
    byBackend.set(backend, (byBackend.get(backend) ?? 0) + 1);
    counts.set(key, byBackend);
  }
  return counts;
}
