import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { run } from './processes.ts';

/**
 * The machines of the demo, as network namespaces around one switch:
 *
 *     node1 192.0.2.11 ─┐                                  ┌─ node3 198.51.100.13 (with --nodes 3)
 *     node2 192.0.2.12 ─┼─ br0 [ fabric 192.0.2.1 ] br1 ───┘
 *     client .100      ─┘
 *
 * `fabric` is the switch, the router between the two subnets, and the place where the API server
 * answers. Addresses are those reserved for documentation (RFC 5737, RFC 3849). Nothing is
 * connected to the machine's own network.
 */
export interface Machine {
  readonly name: string;
  readonly netns: string;
  readonly ip4: string;
  readonly ip6: string;
}

export interface Network extends AsyncDisposable {
  readonly fabric: string;
  /** Interfaces inside `fabric`. */
  readonly fabricLinks: readonly string[];
  readonly apiAddress: string;
  readonly nodes: readonly Machine[];
  readonly client: Machine;
  /** Makes a namespace of this run; `name` is unique in the run. */
  addNamespace(name: string): Promise<string>;
  /** The namespace that `addNamespace` makes for this name. */
  namespaceOf(name: string): string;
  deleteNamespace(netns: string): Promise<void>;
}

interface Subnet {
  readonly bridge: string;
  readonly prefix4: string;
  readonly prefix6: string;
}

const subnets = {
  first: { bridge: 'br0', prefix4: '192.0.2.', prefix6: '2001:db8:1::' },
  second: { bridge: 'br1', prefix4: '198.51.100.', prefix6: '2001:db8:2::' },
} as const satisfies Record<string, Subnet>;

/**
 * Of every namespace. For a second after an interface comes up, duplicate address detection keeps
 * its link-local address from answering, and nobody else is here who could have it.
 */
const namespaceSysctls = {
  'net/ipv6/conf/all/disable_ipv6': 0,
  'net/ipv6/conf/default/disable_ipv6': 0,
  'net/ipv6/conf/default/accept_dad': 0,
};

const namespacePrefix = 'kvr-demo-';

/** Builds the namespaces. Names carry the pid, so that two demos can run at once. */
export async function createNetwork(nodeCount: number): Promise<Network> {
  await deleteLeftovers();
  const made = new Set<string>();
  const namespaceOf = (name: string) => `${namespacePrefix}${process.pid}-${name}`;
  const addNamespace = async (name: string) => {
    const netns = namespaceOf(name);
    await run('ip', ['netns', 'add', netns]);
    made.add(netns);
    await run('ip', ['-n', netns, 'link', 'set', 'lo', 'up']);
    await setSysctls(netns, namespaceSysctls);
    return netns;
  };
  const deleteNamespace = async (netns: string) => {
    if (!made.delete(netns)) return;
    await run('ip', ['netns', 'delete', netns]);
  };
  const dispose = async () => {
    for (const netns of [...made]) await deleteNamespace(netns);
  };
  try {
    const fabric = await addNamespace('fabric');
    await createSwitch(fabric);
    const nodes: Machine[] = [];
    for (let n = 1; n <= nodeCount; n++) {
      const subnet = n === 3 ? subnets.second : subnets.first;
      nodes.push(await addMachine(`node${n}`, 10 + n, subnet, fabric, addNamespace));
    }
    const client = await addMachine('client', 100, subnets.first, fabric, addNamespace);
    const apiAddress = `${subnets.first.prefix4}1`;
    const fabricLinks = [
      ...Object.values(subnets).map(({ bridge }) => bridge),
      ...[...nodes, client].map(({ name }) => name),
    ];
    return {
      fabric,
      fabricLinks,
      apiAddress,
      nodes,
      client,
      addNamespace,
      namespaceOf,
      deleteNamespace,
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

async function createSwitch(fabric: string): Promise<void> {
  await ipBatch(
    fabric,
    Object.values(subnets).flatMap(({ bridge, prefix4, prefix6 }) => [
      `link add ${bridge} type bridge mcast_snooping 0 forward_delay 0`,
      `link set ${bridge} up`,
      `addr add ${prefix4}1/24 dev ${bridge}`,
      `addr add ${prefix6}1/64 dev ${bridge} nodad`,
    ]),
  );
  await setSysctls(fabric, { 'net/ipv4/ip_forward': 1, 'net/ipv6/conf/all/forwarding': 1 });
}

async function addMachine(
  name: string,
  host: number,
  subnet: Subnet,
  fabric: string,
  addNamespace: (name: string) => Promise<string>,
): Promise<Machine> {
  const netns = await addNamespace(name);
  const ip4 = `${subnet.prefix4}${host}`;
  const ip6 = `${subnet.prefix6}${host}`;
  await ipBatch(fabric, [
    `link add ${name} type veth peer name eth0 netns ${netns}`,
    `link set ${name} master ${subnet.bridge} up`,
  ]);
  await ipBatch(netns, [
    `addr add ${ip4}/24 dev eth0`,
    `addr add ${ip6}/64 dev eth0 nodad`,
    'link set eth0 up',
    `route add default via ${subnet.prefix4}1`,
    `route add default via ${subnet.prefix6}1`,
  ]);
  return { name, netns, ip4, ip6 };
}

/** Runs `ip` commands inside a namespace, in one process. */
async function ipBatch(netns: string, lines: readonly string[]): Promise<void> {
  await run('ip', ['-n', netns, '-batch', '-'], { input: `${lines.join('\n')}\n` });
}

/** `sysctl` is in another Debian package, so the shell writes. */
async function setSysctls(netns: string, values: Readonly<Record<string, number>>): Promise<void> {
  const writes = Object.entries(values).map(([name, value]) => `echo ${value} > /proc/sys/${name}`);
  await run('ip', ['netns', 'exec', netns, 'sh', '-c', writes.join(' && ')]);
}

/** Removes namespaces of demos whose process is gone: a demo killed with SIGKILL cannot. */
async function deleteLeftovers(): Promise<void> {
  if (!existsSync('/run/netns')) return;
  for (const netns of await readdir('/run/netns')) {
    const pid = new RegExp(`^${namespacePrefix}(\\d+)-`).exec(netns)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`))
      await run('ip', ['netns', 'delete', netns]);
  }
}
