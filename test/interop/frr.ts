import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { familyOf, type Ip, type Prefix } from '../../src/core/ip.ts';
import { converse, daemonProcess, makeFolder } from './daemon-process.ts';
import { createFrrTags, frrConfig, networkCommands, networksOf } from './frr-config.ts';
import type { Announcement, Router, RouterConfig, RouterPath, RouterRoute } from './router.ts';

/** Starts a bgpd of FRR, alone, behind the command `enter`, such as nsenter and its arguments. */
export async function startFrr(
  program: string,
  enter: readonly string[],
  given: RouterConfig,
): Promise<Router> {
  const folder = makeFolder('frr');
  const file = (name: string) => join(folder, name);
  const controlSocket = file('bgpd.vty');
  const tags = createFrrTags();
  let config = given;
  let announced: readonly Announcement[] = [];
  const write = () => {
    const networks = networksOf(announced, tags);
    writeFileSync(file('bgpd.conf'), frrConfig(config, networks, tags, file('bgpd.log')));
  };
  const daemon = daemonProcess({
    command: () => [
      ...[...enter, program, '-f', file('bgpd.conf'), '-i', file('bgpd.pid')],
      // Alone: no zebra, no routes in the kernel, no port for telnet, no other user.
      ...['--vty_socket', folder, '-P', '0', '-Z', '-n', '-S', '-u', 'root', '-g', 'root'],
      ...['-p', String(config.port)],
      ...[...new Set(config.neighbours.map((n) => n.localAddress))].flatMap((ip) => ['-l', ip]),
    ],
    folder,
    controlSocket,
    logFile: file('bgpd.log'),
  });
  write();
  await daemon.start();

  /** Gives commands one after the other; what they print, joined. */
  async function ask(...commands: readonly string[]): Promise<string> {
    using talk = await converse(controlSocket);
    let printed = '';
    for (const command of ['enable', ...commands]) {
      // An answer ends with three zeros and a code.
      const answer = await talk.ask(`${command}\0`, (text) => text.at(-4) === '\0');
      if (answer.at(-1) !== '\0') throw new Error(`frr: ${command}: ${answer.slice(0, -4)}`);
      printed += answer.slice(0, -4);
    }
    return printed;
  }
  const askJson = async (command: string) => JSON.parse(await ask(`${command} json`));

  return {
    get config() {
      return config;
    },
    async session(neighbour) {
      const held: Record<string, FrrNeighbour> = await askJson(`show bgp neighbors ${neighbour}`);
      const state = held[neighbour];
      return {
        established: state?.bgpState === 'Established',
        helping: state?.gracefulRestartInfo?.timers?.restartTimerRemaining !== undefined,
        incarnation: String(state?.connectionsEstablished),
      };
    },
    async routes() {
      const tables: { readonly routes: Record<string, readonly FrrRoute[]> }[] = [
        await askJson('show bgp ipv4 unicast'),
        await askJson('show bgp ipv6 unicast'),
      ];
      return tables.flatMap(({ routes }) =>
        Object.entries(routes).flatMap(([prefix, paths]) => routesOf(prefix as Prefix, paths)),
      );
    },
    async paths(prefix) {
      const family = familyOf(prefix);
      const held: { readonly paths?: readonly FrrPath[] } = await askJson(
        `show bgp ipv${family} unicast ${prefix}`,
      );
      return (held.paths ?? []).filter(({ peer }) => peer.type !== undefined).map(pathOf);
    },
    async announce(announcements) {
      const before = networksOf(announced, tags);
      announced = announcements;
      if (!daemon.running) return;
      const after = networksOf(announced, tags);
      const router = `router bgp ${config.asn}`;
      const networks = networkCommands(before, after);
      await ask('configure terminal', ...tags.commands(config.asn), router, ...networks);
    },
    kill: daemon.kill,
    async restart(next) {
      config = next ?? config;
      write();
      await daemon.kill();
      await daemon.start();
    },
    [Symbol.asyncDispose]: daemon[Symbol.asyncDispose],
  };
}

interface FrrNeighbour {
  readonly bgpState: string;
  readonly connectionsEstablished: number;
  readonly gracefulRestartInfo?: {
    readonly timers?: { readonly restartTimerRemaining?: number };
  };
}

interface FrrRoute {
  readonly peerId: string;
  readonly version: number;
}

function routesOf(prefix: Prefix, paths: readonly FrrRoute[]): RouterRoute[] {
  return (
    paths
      // One without a version was received and not looked at yet.
      .filter(({ peerId, version }) => peerId !== '(unspec)' && version > 0)
      .map(({ peerId, version }) => ({
        prefix,
        from: peerId as Ip,
        incarnation: String(version),
      }))
  );
}

interface FrrPath {
  readonly peer: { readonly peerId: string; readonly type?: string };
  readonly nexthops: readonly { readonly ip: string; readonly scope?: string }[];
  readonly aspath?: { readonly string: string };
  readonly locPrf?: number;
  readonly metric?: number;
  readonly community?: { readonly list: readonly string[] };
  readonly largeCommunity?: { readonly string: string };
  readonly extendedCommunity?: { readonly string: string };
  readonly originatorId?: string;
  readonly clusterList?: { readonly list: readonly string[] };
}

const communityNames: Readonly<Record<string, string>> = {
  gracefulShutdown: '65535:0',
  llgrStale: '65535:6',
  noExport: '65535:65281',
};

function pathOf(path: FrrPath): RouterPath {
  const words = (text = '') => text.split(' ').filter((word) => word !== '');
  return {
    nextHop: path.nexthops[0]?.ip as Ip,
    from: path.peer.peerId as Ip,
    asPath: words(path.aspath?.string === 'Local' ? '' : path.aspath?.string).map(Number),
    localPref: path.locPrf,
    med: path.metric,
    communities: (path.community?.list ?? []).map((name) => communityNames[name] ?? name),
    largeCommunities: words(path.largeCommunity?.string),
    extendedCommunities: words(path.extendedCommunity?.string).map((c) => c.toLowerCase()),
    originatorId: path.originatorId,
    clusterList: path.clusterList?.list ?? [],
  };
}
