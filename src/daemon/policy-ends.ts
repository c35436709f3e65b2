import { familyOf, type Ip, parseIp } from '../core/ip.ts';
import { dropAddresses, refuseAddresses } from '../core/link-addresses.ts';
import { type Parsed, parsed, rejected } from '../core/parsed.ts';
import type { Backend } from '../desired/rows.ts';
import { formatFrontend } from '../desired/tables.ts';
import type { Pod, Service, ServicePort } from '../model/facts.ts';
import { type Frontend, frontendsOfPort } from '../model/frontends.ts';
import type { Facts } from '../model/store.ts';
import { attachmentOf, type Flow } from '../policy/explain.ts';
import { backendsOfPort } from '../proxy/backends.ts';
import type { FlowQuestion } from './view.ts';

/**
 * What `kvr explain policy --from A --to B --port P` asks for, as packets: which pods or addresses
 * the words mean, and for a Service which endpoints its packets reach.
 */
export interface AskedFlows {
  /** `shop/web 10.96.0.10:80/tcp` where a Service was asked for. */
  readonly service?: string;
  readonly flows: readonly Flow[];
  readonly notes: readonly string[];
}

/** Endpoints of a Service that are judged. */
export const endpointsMax = 100;

/** What VPP translates a frontend to; undefined while nothing is planned for it. */
export type BackendsOf = (
  frontend: Pick<Frontend, 'vip' | 'port'> & Pick<ServicePort, 'protocol'>,
) => readonly Backend[] | undefined;

export function parseFlows(
  facts: Facts,
  backendsOf: BackendsOf,
  question: FlowQuestion,
): Parsed<AskedFlows> {
  const port = parsePort(question.port);
  if (!port.ok) return port;
  const from = parseEnd(facts, question.from, 'from');
  if (!from.ok) return from;
  const service = findService(facts, question.to, port.value);
  if (!service.ok) return service;
  return service.value === undefined
    ? flowsToEnd(facts, from.value, question.to, port.value)
    : flowsToService({ facts, backendsOf }, from.value, service.value);
}

interface Port {
  readonly protocol: Flow['protocol'];
  /** A name is one of the destination's; undefined for ICMP. */
  readonly port: number | string | undefined;
  readonly text: string;
}

const protocols = ['TCP', 'UDP', 'SCTP', 'ICMP'] as const;

/** `80`, `53/udp`, `http`, `icmp`; nothing is an ICMP echo. */
export function parsePort(text: string): Parsed<Port> {
  const [first = '', second, ...rest] = text.split('/');
  const protocolOf = (word: string) => protocols.find((one) => one === word.toUpperCase());
  const alone = second === undefined ? protocolOf(first) : undefined;
  if (text === '' || alone === 'ICMP')
    return parsed({ protocol: 'ICMP', port: undefined, text: 'icmp' });
  if (alone !== undefined) return rejected(`${alone} needs a port, such as 80/${first}`);
  const protocol = protocolOf(second ?? 'tcp');
  if (protocol === undefined || rest.length > 0)
    return rejected(`${JSON.stringify(text)} is no PORT[/tcp|udp|sctp], and not icmp`);
  if (protocol === 'ICMP') return rejected('ICMP has no ports: say icmp, for an echo request');
  const number = /^\d+$/.test(first) ? Number(first) : undefined;
  if (number !== undefined && (number < 1 || number > 65_535))
    return rejected(`there is no port ${first}: 1 to 65535, or a name`);
  if (number === undefined && !/^[a-z0-9-]{1,63}$/.test(first))
    return rejected(`${JSON.stringify(first)} is neither a port nor the name of one`);
  const port = number ?? first;
  return parsed({ protocol, port, text: `${port}/${protocol.toLowerCase()}` });
}

interface End {
  readonly text: string;
  readonly pod: Pod | undefined;
  readonly ips: readonly Ip[];
  readonly notes: readonly string[];
}

/** Addresses of a pod, or one address. */
function parseEnd(facts: Facts, text: string, which: 'from' | 'to'): Parsed<End> {
  const ip = parseIp(text);
  if (ip !== undefined) return parsed({ text, pod: undefined, ips: [ip], notes: [] });
  const pod = facts.pods.get(text);
  if (pod !== undefined) return podEnd(facts, pod);
  const forms = which === 'from' ? '' : ', nor svc/namespace/name';
  if (!/^[^/\s]+\/[^/\s]+$/.test(text))
    return rejected(
      `${which}: ${JSON.stringify(text)} is neither namespace/pod nor an address${forms}`,
    );
  return rejected(`${which}: no pod ${text}${similarText(facts.pods.keys(), text)}`);
}

function podEnd(facts: Facts, pod: Pod): Parsed<End> {
  const { key, phase, hostNetwork, node } = pod;
  if (phase === 'Succeeded' || phase === 'Failed')
    return rejected(`pod ${key} has ended (${phase}): its address may be another's`);
  const ips = attachmentOf(facts, key)?.ips ?? pod.ips;
  const where = node === '' ? 'no node yet' : `node ${node}`;
  if (ips.length === 0) return rejected(`pod ${key} has no address yet: it is ${phase}, ${where}`);
  const notes = hostNetwork
    ? [`${key} is in the network of ${where}: no policy is about it, and others see the node`]
    : [];
  return parsed({ text: key, pod, ips, notes });
}

/** Names near one that nobody has. */
export function similarText(names: Iterable<string>, wanted: string): string {
  const name = wanted.slice(wanted.lastIndexOf('/') + 1);
  const found = [...names].filter((one) => one.includes(name)).sort();
  return found.length === 0 ? '' : `; there are ${found.slice(0, 5).join(', ')}`;
}

function flowsToEnd(facts: Facts, from: End, text: string, port: Port): Parsed<AskedFlows> {
  const to = parseEnd(facts, text, 'to');
  if (!to.ok) return to;
  const number = portAt(to.value, port);
  if (!number.ok) return number;
  const flows = pairs(from.ips, to.value.ips).map(([source, destination]) => {
    const echo = familyOf(destination) === 4 ? 8 : 128;
    return { from: source, to: destination, protocol: port.protocol, port: number.value ?? echo };
  });
  if (flows.length === 0) return rejected(`${from.text} and ${text} have no family in common`);
  const self = from.pod !== undefined && from.pod === to.value.pod;
  const itself = self ? ['a pod reaches its own address without leaving its namespace'] : [];
  return parsed({ flows, notes: [...from.notes, ...to.value.notes, ...itself] });
}

function pairs(from: readonly Ip[], to: readonly Ip[]): [Ip, Ip][] {
  return ([4, 6] as const).flatMap((family): [Ip, Ip][] => {
    const [a, b] = [from, to].map((ips) => ips.find((one) => familyOf(one) === family));
    return a === undefined || b === undefined ? [] : [[a, b]];
  });
}

/** The number behind a name is the destination pod's. */
function portAt({ text, pod }: End, { port, protocol }: Port): Parsed<number | undefined> {
  if (typeof port !== 'string') return parsed(port);
  if (pod === undefined)
    return rejected(`an address has no names of ports: say the number in place of ${port}`);
  const found = pod.ports.find((one) => one.name === port && one.protocol === protocol);
  if (found !== undefined) return parsed(found.containerPort);
  const names = pod.ports.filter((one) => one.name !== '');
  const there = names.map((one) => `${one.name}/${one.protocol.toLowerCase()}`).join(', ');
  return rejected(`pod ${text} has no ${protocol} port named ${port}; it names ${there || 'none'}`);
}

interface AskedService {
  readonly service: Service;
  readonly port: ServicePort;
  readonly frontends: readonly Frontend[];
}

/** Undefined: no Service is asked for. */
function findService(facts: Facts, text: string, port: Port): Parsed<AskedService | undefined> {
  const key = /^svc\/([^/\s]+\/[^/\s]+)$/.exec(text)?.[1];
  if (key !== undefined) return namedService(facts, key, port);
  const ip = parseIp(text);
  return ip === undefined ? parsed(undefined) : serviceAt(facts, ip, port);
}

function namedService(facts: Facts, key: string, asked: Port): Parsed<AskedService> {
  const service = facts.services.get(key);
  if (service === undefined)
    return rejected(`no Service ${key}${similarText(facts.services.keys(), key)}`);
  if (service.type === 'ExternalName')
    return rejected(`Service ${key} is an ExternalName: DNS answers, ask for what it answers`);
  const port = service.ports.find(
    (one) =>
      one.protocol === asked.protocol &&
      (typeof asked.port === 'string' ? one.name === asked.port : one.port === asked.port),
  );
  if (port === undefined)
    return rejected(`Service ${key} has no port ${asked.text}; it has ${portsText(service)}`);
  const frontends = ([4, 6] as const).flatMap((family) =>
    frontendsOfPort(facts, service, port, family).filter((one) => one.kind === 'ClusterIP'),
  );
  return parsed({ service, port, frontends });
}

function portsText({ ports }: Service): string {
  return ports
    .map((one) => `${one.port}/${one.protocol.toLowerCase()}${one.name && ` (${one.name})`}`)
    .join(', ');
}

/** An address with more frontends than one is the Service's whose port is asked for. */
function serviceAt(facts: Facts, ip: Ip, asked: Port): Parsed<AskedService | undefined> {
  const others: Service[] = [];
  for (const service of facts.services.values())
    for (const port of service.ports)
      for (const frontend of frontendsOfPort(facts, service, port, familyOf(ip))) {
        if (frontend.vip !== ip) continue;
        if (frontend.port === asked.port && port.protocol === asked.protocol)
          return parsed({ service, port, frontends: [frontend] });
        if (!frontend.nodeAddress) others.push(service);
      }
  const [other] = others;
  if (other === undefined) return parsed(undefined);
  return rejected(
    `${ip} is an address of Service ${other.key}, which has no port ${asked.text} there; it has ${portsText(other)}`,
  );
}

function flowsToService(
  { facts, backendsOf }: { readonly facts: Facts; readonly backendsOf: BackendsOf },
  from: End,
  { service, port, frontends }: AskedService,
): Parsed<AskedFlows> {
  const { protocol } = port;
  const notes = [...from.notes];
  const flows: Flow[] = [];
  const names: string[] = [];
  for (const source of from.ips) {
    const family = familyOf(source);
    const frontend = frontends.find((one) => familyOf(one.vip) === family);
    if (frontend === undefined && !service.headless) continue;
    const planned =
      frontend === undefined
        ? backendsOfPort(facts, service, port, family).cluster
        : backendsOf({ ...frontend, protocol });
    if (frontend !== undefined) names.push(formatFrontend({ ...frontend, protocol }));
    const endpoints = (planned ?? []).filter(({ ip }) => !sinks.has(ip));
    if (endpoints.length === 0) notes.push(nobodyText(service, planned));
    if (endpoints.length > endpointsMax)
      notes.push(`${endpoints.length} endpoints: the first ${endpointsMax} are judged`);
    for (const { ip, port: number } of endpoints.slice(0, endpointsMax))
      flows.push({ from: source, to: ip, protocol, port: number });
  }
  if (!service.headless && names.length === 0)
    return rejected(`${from.text} and Service ${service.key} have no family in common`);
  if (from.pod === undefined && frontends.some((one) => one.kind !== 'ClusterIP'))
    notes.push(
      'judged as it comes to this node; where another node forwards it to the endpoint, the endpoint sees the address of that node',
    );
  return parsed({ service: [service.key, ...names].join(' '), flows, notes });
}

const sinks: ReadonlySet<string> = new Set([
  ...Object.values(refuseAddresses),
  ...Object.values(dropAddresses),
]);

function nobodyText({ key }: Service, planned: readonly Backend[] | undefined): string {
  if (planned === undefined) return `nothing is planned for Service ${key} yet`;
  return `Service ${key} has no endpoint that takes connections: there is nothing to judge`;
}
