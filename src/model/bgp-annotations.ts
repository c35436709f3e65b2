import { parse as parseYaml } from 'yaml';
import { parseCommunity } from '../core/community.ts';
import { type Ip, type Prefix, parseIp, parsePrefix } from '../core/ip.ts';
import { type Parsed, parsed, rejected } from '../core/parsed.ts';
import type { Problem } from '../core/problem.ts';
import { type AnnotationReader, annotationReader, parseList, parseNumber } from './annotations.ts';
import { type BfdConfig, bfdBounds, noBfd } from './bgp-config.ts';
import type { Config } from './config.ts';
import type { Node } from './facts.ts';

/**
 * What a Node's annotations say about BGP: kube-router's names, where the meaning is the same.
 * A wrong one counts as absent and is a problem; the others count.
 */
export interface NodeBgp {
  /** `kube-router.io/node.asn`. */
  readonly asn: number | undefined;
  /** `kube-router.io/rr.server` and `rr.client`: cluster ids as addresses (RFC 4456). */
  readonly reflector: Ip | undefined;
  readonly reflectorClient: Ip | undefined;
  /** `kube-router.io/path-prepend.as` and `path-prepend.repeat-n`. */
  readonly prepend: { readonly asn: number; readonly times: number } | undefined;
  /** `kube-router.io/node.bgp.communities`: added to what neighbours outside the mesh hear. */
  readonly communities: readonly string[];
  /** `kube-router.io/node.bgp.customimportreject`: these prefixes and all inside. */
  readonly importReject: readonly Prefix[];
  /** `kube-router.io/bgp-local-addresses`; empty: as configured. */
  readonly listenAddresses: readonly Ip[];
  /** `kube-router.io/peers`, or the older `peer.ips` and its companions. */
  readonly peers: readonly NodePeer[];
  readonly problems: readonly Problem[];
}

export interface NodePeer {
  /** Where the entry stands, for problems and names. */
  readonly index: number;
  readonly address: Ip;
  readonly asn: number;
  /** 0: `bgp.port`. */
  readonly port: number;
  readonly localAddress: Ip | '';
  readonly passwordKey: string;
  readonly bfd: BfdConfig;
}

const front = 'kube-router.io/';
/** As many as the configuration file may have. */
const peersMax = 256;

const known = new WeakMap<Node, NodeBgp>();

/** The answer is remembered with the Node, which never changes as a value. */
export function nodeBgp(node: Node): NodeBgp {
  let found = known.get(node);
  if (found === undefined) {
    found = readNode(node);
    known.set(node, found);
  }
  return found;
}

/** The AS of a node; the configured one when its Node is unknown or says nothing. */
export function asnOf(config: Config, node: Node | undefined): number {
  return (node === undefined ? undefined : nodeBgp(node).asn) ?? config.bgp.asn;
}

function readNode(node: Node): NodeBgp {
  const problems: Problem[] = [];
  const read = annotationReader(`Node/${node.key}`, node.annotations, problems, front);
  const prependAs = read('path-prepend.as', parseAsn);
  const times = read('path-prepend.repeat-n', (text) => parseNumber(text, 0, 255));
  return {
    asn: read('node.asn', parseAsn),
    reflector: read('rr.server', parseClusterId),
    reflectorClient: read('rr.client', parseClusterId),
    prepend:
      prependAs === undefined || times === undefined || times === 0
        ? undefined
        : { asn: prependAs, times },
    communities: read('node.bgp.communities', (text) => parseList(text, parseCommunity)) ?? [],
    importReject: read('node.bgp.customimportreject', (text) => parseList(text, prefixField)) ?? [],
    listenAddresses: read('bgp-local-addresses', (text) => parseList(text, ipField)) ?? [],
    peers: readPeers(node, read, problems),
    problems,
  };
}

/** Each entry stands for itself: a bad one is left out. */
function readPeers(node: Node, read: AnnotationReader, problems: Problem[]): readonly NodePeer[] {
  const name = node.annotations[`${front}peers`] === undefined ? 'peer.ips' : 'peers';
  const entries = name === 'peers' ? read('peers', parsePeerList) : readPeerColumns(read);
  return (entries ?? []).flatMap((entry, index) => {
    const peer = readPeer(entry, index);
    if (peer.ok) return [peer.value];
    problems.push({
      object: `Node/${node.key}`,
      field: `metadata.annotations[${front}${name}][${index}]`,
      reason: `${peer.problem}; this entry is left out`,
    });
    return [];
  });
}

function parsePeerList(text: string): Parsed<readonly unknown[]> {
  let value: unknown;
  try {
    value = parseYaml(text, { maxAliasCount: 0, logLevel: 'error' });
  } catch (error) {
    return rejected(`not YAML: ${error instanceof Error ? error.message.split('\n')[0] : ''}`);
  }
  if (!Array.isArray(value)) return rejected('not a list of neighbours');
  return value.length > peersMax
    ? rejected(`more than ${peersMax} neighbours`)
    : parsed<readonly unknown[]>(value);
}

/** `peer.ips: 192.0.2.1,192.0.2.2` with columns of equal length beside it. */
function readPeerColumns(read: AnnotationReader): readonly unknown[] | undefined {
  const column = (name: string) => read(name, (text) => parseList(text, parsed<string>));
  const ips = column('peer.ips');
  if (ips === undefined) return undefined;
  const others = {
    remoteasn: column('peer.asns'),
    port: column('peer.ports'),
    localip: column('peer.localips'),
    password: column('peer.passwords'),
  };
  return ips.slice(0, peersMax).map((remoteip, i) => ({
    remoteip,
    ...Object.fromEntries(
      Object.entries(others).flatMap(([key, values]) =>
        values?.[i] === undefined || values[i] === '' ? [] : [[key, values[i]]],
      ),
    ),
  }));
}

function readPeer(entry: unknown, index: number): Parsed<NodePeer> {
  if (typeof entry !== 'object' || entry === null) return rejected('not a mapping');
  const fields = entry as Readonly<Record<string, unknown>>;
  const text = (name: string): string => {
    const value = fields[name];
    if (typeof value === 'string' || typeof value === 'number') return String(value);
    return value === undefined || value === null ? '' : JSON.stringify(value);
  };
  const address = parseIp(text('remoteip'));
  if (address === undefined)
    return rejected(`remoteip ${JSON.stringify(text('remoteip'))} is no IP address`);
  const asn = parseAsn(text('remoteasn'));
  if (!asn.ok) return rejected(`remoteasn ${asn.problem}`);
  const port = text('port') === '' ? parsed(0) : parseNumber(text('port'), 1, 65535);
  if (!port.ok) return rejected(`port ${port.problem}`);
  const localAddress = text('localip') === '' ? '' : parseIp(text('localip'));
  if (localAddress === undefined) return rejected(`localip ${text('localip')} is no IP address`);
  // Everybody who may read Nodes could read it.
  if (fields.password !== undefined)
    return rejected(
      'a password in an annotation is not accepted; name a key of the Secret: passwordkey',
    );
  const bfd = readBfd(fields.bfd);
  if (!bfd.ok) return rejected(`bfd ${bfd.problem}`);
  return parsed({
    index,
    address,
    asn: asn.value,
    port: port.value,
    localAddress,
    passwordKey: text('passwordkey'),
    bfd: bfd.value,
  });
}

/** `{enabled, required_min_rx_interval, desired_min_tx_interval, detection_multiplier}`. */
function readBfd(value: unknown): Parsed<BfdConfig> {
  if (value === undefined || value === null) return parsed(noBfd);
  if (typeof value !== 'object' || Array.isArray(value)) return rejected('is not a mapping');
  const fields = value as Readonly<Record<string, unknown>>;
  if (typeof (fields.enabled ?? false) !== 'boolean')
    return rejected('enabled is neither true nor false');
  const numbers: number[] = [];
  for (const [name, [min, max], otherwise] of bfdNumbers) {
    const read = parseNumber(String(fields[name] ?? otherwise), min, max);
    if (!read.ok) return rejected(`${name} ${read.problem}`);
    numbers.push(read.value);
  }
  const [minRxMs = 0, minTxMs = 0, multiplier = 0] = numbers;
  return parsed({ enabled: fields.enabled === true, minRxMs, minTxMs, multiplier });
}

/** Name, bounds and default, as in the configuration file. */
const bfdNumbers = [
  ['required_min_rx_interval', bfdBounds.intervalMs, noBfd.minRxMs],
  ['desired_min_tx_interval', bfdBounds.intervalMs, noBfd.minTxMs],
  ['detection_multiplier', bfdBounds.multiplier, noBfd.multiplier],
] as const;

function parseAsn(text: string): Parsed<number> {
  return parseNumber(text, 1, 4_294_967_294);
}

/** A number of 32 bits, or an IPv4 address; always written as an address. */
function parseClusterId(text: string): Parsed<Ip> {
  if (/^\d{1,10}$/.test(text) && Number(text) <= 0xffffffff && Number(text) > 0) {
    const value = Number(text);
    const bytes = [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
    return parsed(bytes.join('.') as Ip);
  }
  const address = text.includes(':') ? undefined : parseIp(text);
  return address === undefined
    ? rejected(`${JSON.stringify(text)} is no cluster id: a number or an IPv4 address`)
    : parsed(address);
}

function prefixField(text: string): Parsed<Prefix> {
  const value = parsePrefix(text);
  return value === undefined
    ? rejected(`${JSON.stringify(text)} is no prefix`)
    : parsed<Prefix>(value);
}

function ipField(text: string): Parsed<Ip> {
  const value = parseIp(text);
  return value === undefined
    ? rejected(`${JSON.stringify(text)} is no IP address`)
    : parsed<Ip>(value);
}
