import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Ip, type Prefix, parsePrefix } from '../../src/core/ip.ts';
import { birdConfig } from './bird-config.ts';
import { converse, daemonProcess, makeFolder } from './daemon-process.ts';
import type { Announcement, Router, RouterConfig, RouterPath, RouterRoute } from './router.ts';

/** Starts a BIRD 2 behind the command `enter`, such as nsenter and its arguments. */
export async function startBird(
  program: string,
  enter: readonly string[],
  given: RouterConfig,
): Promise<Router> {
  const folder = makeFolder('bird');
  const file = (name: string) => join(folder, name);
  const controlSocket = file('control.sock');
  let config = given;
  let announced: readonly Announcement[] = [];
  let recovering = false;
  const write = () =>
    writeFileSync(file('bird.conf'), birdConfig(config, announced, file('bird.log')));
  const daemon = daemonProcess({
    command: () => [
      ...[...enter, program, '-f', '-c', file('bird.conf'), '-s', controlSocket],
      ...(recovering ? ['-R'] : []),
    ],
    folder,
    controlSocket,
    logFile: file('bird.log'),
  });
  const steady = createSteadyTimes();
  write();
  await daemon.start();

  async function ask(command: string): Promise<string[]> {
    using talk = await converse(controlSocket);
    // An answer ends with a line that has a blank after its number.
    const isEnd = (text: string) => /(^|\n)\d{4} [^\n]*\n$/.test(text);
    await talk.ask('', isEnd);
    const answer = await talk.ask(`${command}\n`, isEnd);
    const lines = answer.trimEnd().split('\n');
    if (/^[89]\d{3}/.test(lines.at(-1) ?? '')) throw new Error(`bird: ${command}: ${answer}`);
    return lines.map((line) => line.slice(/^\d{4}/.test(line) ? 5 : 1));
  }

  return {
    get config() {
      return config;
    },
    async session(neighbour) {
      const index = config.neighbours.findIndex(({ address }) => address === neighbour);
      const lines = await ask(`show protocols all peer${index}`);
      const [, since = ''] = /^peer\d+ +BGP +--- +\S+ +(\S+ \S+)/m.exec(lines.join('\n')) ?? [];
      return {
        established: lines.some((line) => /BGP state: +Established/.test(line)),
        helping: lines.some((line) => line.includes('Neighbor graceful restart active')),
        incarnation: steady(since),
      };
    },
    async routes() {
      const routes = parseRoutes(await ask('show route where source = RTS_BGP'));
      return routes.map((route) => ({ ...route, incarnation: steady(route.incarnation) }));
    },
    paths: async (prefix) => parsePaths(await ask(`show route ${prefix} all`).catch(absent)),
    async announce(announcements) {
      announced = announcements;
      write();
      if (daemon.running) await ask('configure');
    },
    kill: daemon.kill,
    async restart(next) {
      recovering = next === undefined;
      config = next ?? config;
      write();
      await daemon.kill();
      await daemon.start();
    },
    [Symbol.asyncDispose]: daemon[Symbol.asyncDispose],
  };
}

/** "Network not found" is an answer, too. */
function absent(error: unknown): string[] {
  if (error instanceof Error && error.message.includes('not found')) return [];
  throw error;
}

/** BIRD shows a time anew for each question, and it wavers by a millisecond. */
function createSteadyTimes(): (text: string) => string {
  const waverMs = 5;
  const known: number[] = [];
  return (text) => {
    const ms = Date.parse(text);
    const near = known.find((other) => Math.abs(other - ms) <= waverMs);
    if (near === undefined) known.push(ms);
    return new Date(near ?? ms).toISOString();
  };
}

const routeLine = /^(\S*) +\w+ \[\S+ (\S+ \S+) from ([^\s\]]+)\]/;

/** Lines such as `10.1.0.0/24  unreachable [peer0 2026-01-01 10:00:00.123 from 10.0.0.1] * (100)` */
function parseRoutes(lines: readonly string[]): RouterRoute[] {
  const routes: RouterRoute[] = [];
  let prefix: Prefix | undefined;
  for (const line of lines) {
    prefix = parsePrefix(line.split(' ', 1)[0] ?? '') ?? prefix;
    const [found, , since = '', from = ''] = routeLine.exec(line) ?? [];
    if (found === undefined || prefix === undefined) continue;
    routes.push({ prefix, from: from as Ip, incarnation: since });
  }
  return routes;
}

function parsePaths(lines: readonly string[]): RouterPath[] {
  const starts = lines.flatMap((line, i) => (/^\S* +\w+ \[\S+ /.test(line) ? [i] : []));
  return starts.flatMap((start, i) => {
    const [, , , from] = routeLine.exec(lines[start] ?? '') ?? [];
    if (from === undefined) return []; // its own
    const attributes = new Map(
      lines.slice(start + 1, starts[i + 1]).map((line) => {
        const [name = '', ...value] = line.trim().split(': ');
        return [name, value.join(': ')] as const;
      }),
    );
    return [pathOf(from as Ip, (name) => attributes.get(`BGP.${name}`))];
  });
}

function pathOf(from: Ip, read: (name: string) => string | undefined): RouterPath {
  const number = (text: string | undefined) => (text === undefined ? undefined : Number(text));
  const words = (text = '') => text.split(' ').filter((word) => word !== '');
  /** `(65001,5) (1, 2, 3)` to `65001:5` and `1:2:3` */
  const tuples = (text = '') =>
    [...text.matchAll(/\(([^)]*)\)/g)].map(([, inner = '']) => inner.split(/, */).join(':'));
  return {
    // IPv6: the global address, perhaps followed by the link-local one.
    nextHop: words(read('next_hop'))[0] as Ip,
    from,
    asPath: words(read('as_path')).map(Number),
    localPref: number(read('local_pref')),
    med: number(read('med')),
    communities: tuples(read('community')),
    largeCommunities: tuples(read('large_community')),
    extendedCommunities: tuples(read('ext_community')),
    originatorId: read('originator_id'),
    clusterList: words(read('cluster_list')),
  };
}
