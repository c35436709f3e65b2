import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import { type Ip, ip, prefix } from '../../src/core/ip.ts';
import { pathRow, peerRow } from '../../src/desired/bgp.ts';
import type { Rows } from '../../src/desired/plan.ts';
import type { BgpPathRow, BgpPeerRow } from '../../src/desired/rows.ts';
import { findGobgpd, type Gobgpd, startGobgpd } from '../bgp/gobgpd.ts';
import { attachSpeaker, type Speaker, type SpeakerOptions } from '../bgp/speaker.ts';
import { createNamespaces } from '../host/namespaces.ts';
import { startBird } from './bird.ts';
import { startFrr } from './frr.ts';
import type { Neighbour, Router, RouterConfig } from './router.ts';

/**
 * Our BGP half and routers of others in one network namespace, each with addresses of its own
 * on its loopback. 127.0.0.0/8 would not do: nobody takes a next hop in it.
 */
export interface Rig extends AsyncDisposable {
  /** Addresses of the speaker with this number, 1 to 250. */
  address(index: number, family?: 4 | 6): Ip;
  startNode(index: number): Promise<Node>;
  /** A router with sessions to nodes; it waits unless `Neighbour` says otherwise. */
  startRouter(name: RouterName, index: number, sessions: RouterSessions): Promise<Router>;
}

export interface RouterSessions {
  readonly asn: number;
  readonly restartSeconds?: number;
  readonly neighbours: readonly (Pick<Neighbour, 'address' | 'asn'> & Partial<Neighbour>)[];
}

/** One of our nodes as BGP sees it. */
export interface Node extends AsyncDisposable {
  readonly gobgpd: Gobgpd;
  readonly address: Ip;
  /** The part of the daemon that is there now. */
  readonly speaker: Speaker;
  /** Ends that part and starts it again with the same desired rows; gobgpd does not notice. */
  restartDaemon(): Promise<void>;
  want(rows: Rows): void;
}

export const port = 1790;
export const nodeAsn = 64512;

export type RouterName = 'bird' | 'frr';
export const routerNames: readonly RouterName[] = ['bird', 'frr'];

const places: Readonly<Record<RouterName | 'gobgpd', readonly string[]>> = {
  gobgpd: [findGobgpd()[3] ?? ''],
  bird: [process.env.BIRD_BIN ?? '', '/usr/sbin/bird', '/usr/local/sbin/bird'],
  frr: [process.env.FRR_BGPD_BIN ?? '', '/usr/lib/frr/bgpd', '/usr/libexec/frr/bgpd'],
};

function find(name: RouterName | 'gobgpd'): string | undefined {
  return places[name].find((path) => path !== '' && spawnSync(path, ['--version']).status === 0);
}

/** Why the tests with a router cannot run here, or undefined. */
export function absence(name: RouterName): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root: network namespaces are made here';
  if (!existsSync('/usr/bin/nsenter')) return 'absent: nsenter';
  if (find('gobgpd') === undefined) return 'absent: gobgpd 3 (see GOBGPD_BIN)';
  const variable = name === 'bird' ? 'BIRD_BIN' : 'FRR_BGPD_BIN';
  return find(name) === undefined ? `absent: ${name} (see ${variable})` : undefined;
}

export async function createRig(): Promise<Rig> {
  const namespaces = createNamespaces('interop', 1);
  const enter = ['nsenter', `--net=${namespaces.paths[0]}`, '--'];
  const site = {
    name: basename(namespaces.paths[0] ?? ''),
    address: (index: number) => address(index),
    [Symbol.dispose]: () => undefined,
  };
  const made: AsyncDisposable[] = [];
  const address = (index: number, family: 4 | 6 = 4) =>
    ip(family === 4 ? `10.77.0.${index}` : `fd77::${index.toString(16)}`);
  const addAddresses = (index: number) =>
    namespaces.run(
      0,
      `ip address add ${address(index)}/32 dev lo
       ip address add ${address(index, 6)}/128 dev lo nodad`,
    );
  namespaces.run(0, 'ip link set lo up');

  return {
    address,
    async startNode(index) {
      addAddresses(index);
      const node = createNode(await startGobgpd(find('gobgpd') ?? '', index, site));
      made.push(node);
      return node;
    },
    async startRouter(name, index, { asn, neighbours, restartSeconds = 120 }) {
      addAddresses(index);
      const config: RouterConfig = {
        asn,
        routerId: address(index),
        port,
        restartSeconds,
        neighbours: neighbours.map((neighbour) => ({
          localAddress: address(index, neighbour.address.includes(':') ? 6 : 4),
          families: [4, 6],
          ...neighbour,
        })),
      };
      const start = name === 'bird' ? startBird : startFrr;
      const router = await start(find(name) ?? '', enter, config);
      made.push(router);
      return router;
    },
    async [Symbol.asyncDispose]() {
      for (const each of made.toReversed()) await each[Symbol.asyncDispose]();
      namespaces[Symbol.dispose]();
    },
  };
}

/** Under each key is the key itself. */
const passwords: SpeakerOptions = { passwordOf: (key) => key };

function createNode(gobgpd: Gobgpd): Node {
  let wanted: Rows = {};
  let speaker = attachSpeaker(gobgpd, passwords);
  return {
    gobgpd,
    address: ip(gobgpd.address),
    get speaker() {
      return speaker;
    },
    want(rows) {
      wanted = rows;
      speaker.want(rows);
    },
    async restartDaemon() {
      await speaker[Symbol.asyncDispose]();
      // As the daemon, which plans before it writes: a round without rows would delete.
      speaker = attachSpeaker(gobgpd, { ...passwords, rows: wanted });
    },
    async [Symbol.asyncDispose]() {
      await speaker[Symbol.asyncDispose]();
      await gobgpd[Symbol.asyncDispose]();
    },
  };
}

/** A node's BGP server on all of its addresses. */
export function serverRows(rig: Rig, index: number): Rows {
  const listenAddresses = [rig.address(index, 4), rig.address(index, 6)];
  return { bgpServer: [{ asn: nodeAsn, routerId: rig.address(index), port, listenAddresses }] };
}

/** A node's session with a router, which calls. */
export function sessionRow(
  rig: Rig,
  node: number,
  router: Router,
  fields: Partial<BgpPeerRow> = {},
): BgpPeerRow {
  return peerRow({
    address: router.config.routerId,
    asn: router.config.asn,
    port,
    localAddress: rig.address(node),
    passive: true,
    description: `peer/${router.config.routerId}`,
    ...fields,
  });
}

export function path(to: string, nextHop: string, fields: Partial<BgpPathRow> = {}): BgpPathRow {
  return pathRow(prefix(to), ip(nextHop), fields);
}

/** What `look` showed since the call, every new value once, until `seen` is asked for. */
export interface Sampling {
  seen(): Promise<readonly string[]>;
}

const samplings = new Set<AbortController>();

export function sample(look: () => string | Promise<string>): Sampling {
  const values = new Set<string>();
  const stop = new AbortController();
  samplings.add(stop);
  const running = (async () => {
    do {
      values.add(await look());
      await new Promise((resolve) => setTimeout(resolve, 2));
    } while (!stop.signal.aborted);
    values.add(await look());
  })();
  running.catch(() => undefined); // seen() tells
  return {
    async seen() {
      stop.abort();
      await running;
      return [...values];
    },
  };
}

/** For `afterEach`: a test that failed has not asked for what it sampled. */
export function stopSampling(): void {
  for (const stop of samplings) stop.abort();
  samplings.clear();
}
