import { hostname } from 'node:os';
import { parseDocument } from 'yaml';
import type { z } from 'zod';
import { parseRange, rangeOfPrefix, rangesOverlap } from '../core/address-range.ts';
import { familyOf, type Prefix, prefixAddress, prefixContains } from '../core/ip.ts';
import { type Parsed, parsed, rejected } from '../core/parsed.ts';
import type { Problem } from '../core/problem.ts';
import type { Config } from '../model/config.ts';
import { peerSchema } from './bgp-schema.ts';
import { type CheckedConfig, configSchema } from './schema.ts';

/** A configuration, or everything that is wrong with the text. Also a `Parsed<Config>`. */
export type ParsedConfig =
  | {
      readonly ok: true;
      readonly value: Config;
      /** Of entries that were left out. */
      readonly problems: readonly Problem[];
    }
  | { readonly ok: false; readonly problem: string; readonly problems: readonly Problem[] };

/** A ConfigMap holds at most 1 MiB (kubernetes.io/docs/concepts/configuration/configmap). */
export const configMaxBytes = 1 << 20;

/** Reads the YAML text of the configuration file. Never throws. */
export function parseConfig(
  text: string,
  env: Readonly<Record<string, string | undefined>> = process.env,
): ParsedConfig {
  if (Buffer.byteLength(text) > configMaxBytes) {
    return wrong([fileProblem(`the file is larger than ${configMaxBytes} bytes`)]);
  }
  const document = parseDocument(text, { prettyErrors: true, uniqueKeys: true });
  if (document.errors.length > 0) {
    return wrong(document.errors.map((error) => fileProblem(firstLine(error.message))));
  }
  const content = toValue(document);
  if (!content.ok) return wrong([fileProblem(content.problem)]);
  const root = content.value ?? {};
  if (typeof root !== 'object' || Array.isArray(root)) {
    return wrong([fileProblem('the file must be a mapping of keys to values')]);
  }
  const leftOut: Problem[] = [];
  const result = configSchema.safeParse({
    nodeName: defaultNodeName(env),
    ...withGoodPeers(root as JsonObject, leftOut),
  });
  if (!result.success) return wrong([...result.error.issues.flatMap(problemsOf), ...leftOut]);
  const config: CheckedConfig = result.data;
  const problems = crossChecks(config);
  return problems.length > 0 ? wrong(problems) : { ok: true, value: config, problems: leftOut };
}

type JsonObject = Readonly<Record<string, unknown>>;

/** `root` without the entries of `bgp.peers` that are wrong: one bad neighbour is one neighbour. */
function withGoodPeers(root: JsonObject, problems: Problem[]): JsonObject {
  const { bgp } = root;
  if (typeof bgp !== 'object' || bgp === null || !('peers' in bgp)) return root;
  if (!Array.isArray(bgp.peers)) return root;
  const names = new Set<unknown>();
  const peers = bgp.peers.filter((peer: unknown, i) => {
    const checked = peerSchema.safeParse(peer);
    if (!checked.success) {
      for (const problem of checked.error.issues.flatMap(problemsOf))
        problems.push({ ...problem, field: joinPath(`bgp.peers[${i}]`, problem.field) });
      return false;
    }
    const { name } = checked.data;
    const fresh = !names.has(name);
    if (!fresh)
      problems.push({
        object: 'config',
        field: `bgp.peers[${i}].name`,
        reason: `${JSON.stringify(name)} is the name of an earlier entry; this one is left out`,
      });
    names.add(name);
    return fresh;
  });
  return { ...root, bgp: { ...bgp, peers } };
}

function joinPath(outer: string, inner: string): string {
  if (inner === '') return outer;
  return inner.startsWith('[') ? `${outer}${inner}` : `${outer}.${inner}`;
}

/** A result that says why there is no configuration. */
export function wrong(problems: readonly Problem[]): ParsedConfig {
  const lines = problems.map((problem) => `${problem.field}: ${problem.reason}`);
  return { ok: false, problem: lines.join('\n'), problems };
}

/** A problem of the file as a whole. */
export function fileProblem(reason: string): Problem {
  return { object: 'config', field: 'file', reason };
}

/** kubelet's rule: the host name in lower case. */
function defaultNodeName(env: Readonly<Record<string, string | undefined>>): string {
  const name = env.NODE_NAME;
  return name === undefined || name === '' ? hostname().toLowerCase() : name;
}

/** More aliases than yaml's own limit (100) throw: an alias bomb is a bad file like any other. */
function toValue(document: ReturnType<typeof parseDocument>): Parsed<unknown> {
  try {
    return parsed<unknown>(document.toJS());
  } catch (error) {
    return rejected(error instanceof Error ? error.message : String(error));
  }
}

function problemsOf(issue: z.core.$ZodIssue): Problem[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      object: 'config',
      field: formatPath([...issue.path, key]),
      reason: 'unknown key',
    }));
  }
  return [{ object: 'config', field: formatPath(issue.path), reason: reasonOf(issue) }];
}

function reasonOf(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return issue.message.endsWith('received undefined')
        ? 'required, but missing'
        : `must be ${kindOf(issue.expected)}, ${issue.message.split(', ').at(-1)}`;
    case 'too_small':
      return `must be at least ${issue.minimum}`;
    case 'too_big':
      return issue.origin === 'number' || issue.origin === 'int'
        ? `must be at most ${issue.maximum}`
        : `must have at most ${issue.maximum} ${issue.origin === 'string' ? 'characters' : 'entries'}`;
    case 'invalid_value':
      return `must be one of ${issue.values.map((value) => JSON.stringify(value)).join(', ')}`;
    case 'invalid_union':
      return issue.errors.flat().at(-1)?.message ?? issue.message;
    default:
      return issue.message;
  }
}

function kindOf(expected: string): string {
  if (expected === 'int') return 'a whole number';
  return /^[aeiou]/.test(expected) ? `an ${expected}` : `a ${expected}`;
}

/** `bgp.listenAddresses[0]`. */
function formatPath(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`;
    return text === '' ? String(part) : `${text}.${String(part)}`;
  }, '');
}

/** What no single field can know. */
function crossChecks(config: Config): Problem[] {
  const problems: Problem[] = [];
  for (const [i, cidr] of config.services.cidrs.entries()) {
    const pods = config.pods.clusterCidrs.find((other) => overlaps(cidr, other));
    if (pods !== undefined) {
      problems.push({
        object: 'config',
        field: `services.cidrs[${i}]`,
        reason: `${cidr} overlaps pods.clusterCidrs entry ${pods}`,
      });
    }
  }
  problems.push(...poolOverlaps(config));
  if (
    config.health.port === config.metrics.port &&
    config.health.address === config.metrics.address
  ) {
    problems.push({
      object: 'config',
      field: 'metrics.port',
      reason: `${config.metrics.port} is also health.port on the same address`,
    });
  }
  return problems;
}

/** What routers answer for as pods or Services is no load balancer's address. */
function poolOverlaps({ loadBalancer, services, pods }: Config): Problem[] {
  const reserved = [
    ...services.cidrs.map((cidr) => ['services.cidrs', cidr] as const),
    ...pods.clusterCidrs.map((cidr) => ['pods.clusterCidrs', cidr] as const),
  ].map(([field, cidr]) => ({ field, cidr, range: rangeOfPrefix(cidr) }));
  const problems: Problem[] = [];
  for (const [i, pool] of loadBalancer.pools.entries()) {
    for (const [j, text] of pool.addresses.entries()) {
      const range = parseRange(text);
      const other = range.ok && reserved.find((one) => rangesOverlap(range.value, one.range));
      if (other)
        problems.push({
          object: 'config',
          field: `loadBalancer.pools[${i}].addresses[${j}]`,
          reason: `${text} overlaps ${other.field} entry ${other.cidr}`,
        });
    }
  }
  return problems;
}

function overlaps(a: Prefix, b: Prefix): boolean {
  if (familyOf(a) !== familyOf(b)) return false;
  return prefixContains(a, prefixAddress(b)) || prefixContains(b, prefixAddress(a));
}

function firstLine(text: string): string {
  return (text.split('\n')[0] ?? text).replace(/:$/, '');
}
