import { rmSync } from 'node:fs';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { type ControlClient, createControlClient } from './control-client.ts';
import type { Machine } from './network.ts';
import type { Processes, Running } from './processes.ts';
import type { Programs } from './programs.ts';
import { formatVppConfig, type VppInstall } from './vpp-config.ts';

/** A part of a node that the demo starts, kills and starts again, as a DaemonSet would. */
export const partNames = ['dataplane', 'gobgpd', 'router'] as const;
export type PartName = (typeof partNames)[number];

/** One node: three processes in its network namespace. */
export interface DemoNode {
  readonly machine: Machine;
  readonly podCidrs: readonly string[];
  readonly control: ControlClient;
  readonly cniSocket: string;
  readonly controlSocket: string;
  /** Edits the router's configuration file, as a changed ConfigMap does. */
  configure(change: (config: RouterConfig) => void): Promise<void>;
  part(name: PartName): Running;
  /** Starts a part, or starts it again after it has ended. */
  start(name: PartName): Running;
}

/** Address plan of the cluster. */
export const clusterNetwork = {
  podCidrs: ['10.244.0.0/16', 'fd00:10:244::/48'],
  serviceCidrs: ['10.96.0.0/16', 'fd00:10:96::/108'],
} as const;

export interface NodeParts {
  readonly machine: Machine;
  /** 1, 2, 3: decides the node's pod prefixes. */
  readonly number: number;
  readonly directory: string;
  readonly apiServer: string;
  readonly programs: Programs;
  readonly processes: Processes;
  /** Undefined: the embedded data plane. */
  readonly vpp: VppInstall | undefined;
}

/** Writes a node's configuration; starts nothing. */
export async function createNode(parts: NodeParts): Promise<DemoNode> {
  const { machine, number, processes } = parts;
  const directory = join(parts.directory, machine.name);
  await mkdir(join(directory, 'state'), { recursive: true });
  const path = (file: string) => join(directory, file);
  const config = routerConfig(parts, path);
  await writeFile(path('router.yaml'), stringify(config));
  if (parts.vpp !== undefined) {
    const id = `kvr${process.pid}n${number}`;
    await writeFile(path('startup.conf'), formatVppConfig(parts.vpp, directory, id));
  }
  const commands = partCommands(parts, path);
  const running = new Map<PartName, Running>();
  return {
    machine,
    podCidrs: podCidrsOf(number),
    control: createControlClient(path('control.sock')),
    cniSocket: path('cni.sock'),
    controlSocket: path('control.sock'),
    async configure(change) {
      change(config);
      // Renamed into place: nobody ever reads half a file.
      await writeFile(path('router.yaml.new'), stringify(config));
      await rename(path('router.yaml.new'), path('router.yaml'));
    },
    part(name) {
      const part = running.get(name);
      if (part === undefined) throw new Error(`${name} of ${machine.name} was never started`);
      return part;
    },
    start(name) {
      const { command, env } = commands[name];
      // gobgpd 3.10 does not start while the socket of its predecessor lies there.
      if (name === 'gobgpd') rmSync(path('gobgp.sock'), { force: true });
      const part = processes.start(`${machine.name}-${name}`, command, {
        netns: machine.netns,
        env,
      });
      running.set(name, part);
      return part;
    },
  };
}

function podCidrsOf(number: number): string[] {
  return [`10.244.${number}.0/24`, `fd00:10:244:${number}::/64`];
}

/** The part that checks change; the file has more. */
export interface RouterConfig extends Readonly<Record<string, unknown>> {
  policy?: { denied: 'drop' | 'refuse' };
  bgp: { peers?: object[]; advertise?: object; drain?: object } & Record<string, unknown>;
}

function routerConfig(parts: NodeParts, path: (file: string) => string): RouterConfig {
  return {
    nodeName: parts.machine.name,
    kube: { server: parts.apiServer },
    uplink: { interface: 'eth0' },
    vpp: { apiSocket: path('api.sock'), statsSocket: path('stats.sock') },
    bgp: { apiSocket: path('gobgp.sock'), asn: 64512 },
    pods: { interfaceKind: 'veth', clusterCidrs: clusterNetwork.podCidrs },
    services: { cidrs: clusterNetwork.serviceCidrs },
    loadBalancer: { pools: [{ name: 'demo', addresses: ['198.51.100.0/28'] }] },
    cni: { socket: path('cni.sock') },
    control: { socket: path('control.sock') },
    stateDir: path('state'),
  };
}

function partCommands(
  parts: NodeParts,
  path: (file: string) => string,
): Record<PartName, { command: string[]; env: Record<string, string> }> {
  const node = process.execPath;
  const { programs, vpp } = parts;
  const embedded = {
    command: [
      node,
      '--enable-source-maps',
      programs.emulator,
      '--api-socket',
      path('api.sock'),
      '--stats-socket',
      path('stats.sock'),
    ],
    env: {},
  };
  return {
    dataplane:
      vpp === undefined
        ? embedded
        : {
            command: [vpp.program, '-c', path('startup.conf')],
            env: vpp.libraries === undefined ? {} : { LD_LIBRARY_PATH: vpp.libraries },
          },
    gobgpd: {
      command: ['gobgpd', '--api-hosts', `unix://${path('gobgp.sock')}`, '--log-level', 'info'],
      env: {},
    },
    router: {
      command: [node, '--enable-source-maps', programs.router, '--config', path('router.yaml')],
      env: { NODE_NAME: parts.machine.name },
    },
  };
}
