import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Machine } from './network.ts';
import { type Processes, run } from './processes.ts';

/**
 * The router of the site, in the client's place: a gobgpd with a configuration file of its own,
 * which knows nothing of Kubernetes. It tells what it hears by its own command line.
 */
export interface Upstream {
  readonly asn: number;
  readonly address: string;
  /** Paths of a prefix that it has now. */
  paths(prefix: string): Promise<readonly UpstreamPath[]>;
  /** Tells its neighbours of a prefix of its own, or no more. */
  tell(verb: 'add' | 'del', prefix: string): Promise<void>;
  /** Neighbours with which it has a session, and since when, in seconds since the epoch. */
  sessions(): Promise<ReadonlyMap<string, number>>;
}

export interface UpstreamPath {
  readonly neighbour: string;
  readonly nextHop: string;
  /** As numbers of 32 bits (RFC 1997). */
  readonly communities: readonly number[];
  readonly med: number | undefined;
}

const asn = 65_001;

/** JSON of `gobgp global rib`; attributes by their type (RFC 4271, RFC 1997, RFC 4760). */
interface RibPath {
  readonly 'source-id'?: string;
  readonly 'neighbor-ip'?: string;
  readonly attrs: readonly {
    readonly type: number;
    readonly nexthop?: string;
    readonly communities?: readonly number[];
    readonly metric?: number;
  }[];
}

interface RibNeighbour {
  readonly conf: { readonly neighbor_address: string };
  readonly state: { readonly session_state?: number };
  readonly timers: { readonly state: { readonly uptime?: { readonly seconds?: number } } };
}

const attribute = { nextHop: 3, med: 4, communities: 8, reach: 14 } as const;
const established = 6;

/** Starts it in the client's namespace. It waits for the nodes of its own subnet. */
export async function startUpstream(parts: {
  readonly directory: string;
  readonly client: Machine;
  readonly nodes: readonly Machine[];
  readonly processes: Processes;
}): Promise<Upstream> {
  const { client, processes } = parts;
  const file = join(parts.directory, 'upstream.toml');
  const near = parts.nodes.filter(({ ip4 }) => subnetOf(ip4) === subnetOf(client.ip4));
  await writeFile(
    file,
    configOf(
      client.ip4,
      near.map(({ ip4 }) => ip4),
    ),
  );
  const command = ['gobgpd', '-f', file, '--api-hosts', '127.0.0.1:50051', '--log-level', 'info'];
  processes.start('upstream', command, { netns: client.netns });
  const ask = (...words: readonly string[]) =>
    run('ip', ['netns', 'exec', client.netns, 'gobgp', '-j', ...words]);
  return {
    asn,
    address: client.ip4,
    async paths(prefix) {
      // Without a route the answer is a sentence, and an exit code.
      const text = await ask('global', 'rib', prefix).catch(() => '');
      return /^\s*[{[]/.test(text) ? pathsOf(JSON.parse(text) as unknown) : [];
    },
    async tell(verb, prefix) {
      await ask('global', 'rib', verb, prefix, 'nexthop', client.ip4);
    },
    async sessions() {
      const all = JSON.parse(await ask('neighbor')) as readonly RibNeighbour[];
      const up = all.filter(({ state }) => state.session_state === established);
      return new Map(
        up.map(({ conf, timers }) => [conf.neighbor_address, timers.state.uptime?.seconds ?? 0]),
      );
    },
  };
}

function subnetOf(ip4: string): string {
  return ip4.slice(0, ip4.lastIndexOf('.'));
}

function configOf(address: string, neighbours: readonly string[]): string {
  return [
    '[global.config]',
    `  as = ${asn}`,
    `  router-id = "${address}"`,
    `  local-address-list = ["${address}"]`,
    '[global.use-multiple-paths.config]',
    '  enabled = true',
    ...neighbours.flatMap((neighbour) => [
      '[[neighbors]]',
      '  [neighbors.config]',
      `    neighbor-address = "${neighbour}"`,
      '    peer-as = 64512',
      '  [neighbors.timers.config]',
      '    connect-retry = 5',
    ]),
    '',
  ].join('\n');
}

function pathsOf(answer: unknown): UpstreamPath[] {
  const lists = Array.isArray(answer) ? [answer] : Object.values(answer as object);
  return (lists.flat() as readonly RibPath[]).map((path) => {
    const of = (type: number) => path.attrs.find((one) => one.type === type);
    return {
      neighbour: path['neighbor-ip'] ?? '',
      nextHop: (of(attribute.nextHop) ?? of(attribute.reach))?.nexthop ?? '',
      communities: of(attribute.communities)?.communities ?? [],
      med: of(attribute.med)?.metric,
    };
  });
}
