import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import type { Options } from './options.ts';
import { run } from './processes.ts';
import { findVpp } from './vpp-config.ts';

/** What the demo cannot do without: each with the Debian package that has it. */
const programs = [
  { name: 'ip', debianPackage: 'iproute2', use: 'makes the network namespaces' },
  { name: 'gobgpd', debianPackage: 'gobgpd', use: 'speaks BGP' },
  {
    name: 'setpriv',
    debianPackage: 'util-linux',
    use: 'ends every process should the demo be killed',
  },
];

/** What is missing on this machine, one sentence each; empty when the demo can run. */
export async function findMissing(options: Options): Promise<string[]> {
  const missing: string[] = [];
  const isRoot = process.getuid?.() === 0;
  if (process.platform !== 'linux') missing.push(`Linux: this is ${process.platform}`);
  if (!isRoot) {
    missing.push(
      'root: network namespaces, veth pairs and AF_PACKET sockets need it (sudo npm run demo). Nothing outside the namespaces it makes is touched',
    );
  }
  for (const { name, debianPackage, use } of programs) {
    if (!isInPath(name)) missing.push(`${name}, which ${use}: apt-get install ${debianPackage}`);
  }
  if (options.dataplane === 'vpp') {
    const vpp = findVpp();
    if (!vpp.ok) missing.push(vpp.problem);
  }
  if (missing.length === 0) missing.push(...(await findMissingKernelParts()));
  return missing;
}

/** Tries what containers often forbid. */
async function findMissingKernelParts(): Promise<string[]> {
  const netns = `kvr-demo-${process.pid}-probe`;
  try {
    await run('ip', ['netns', 'add', netns]);
  } catch (error) {
    return [`the right to make network namespaces (CAP_SYS_ADMIN): ${String(error)}`];
  }
  try {
    await run('ip', [
      '-n',
      netns,
      'link',
      'add',
      'probe0',
      'type',
      'veth',
      'peer',
      'name',
      'probe1',
    ]);
    await run('ip', ['-n', netns, 'link', 'add', 'probe2', 'type', 'bridge']);
    const write = 'echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad';
    await run('ip', ['netns', 'exec', netns, 'sh', '-c', write]);
    return [];
  } catch (error) {
    return [
      `a kernel with veth, bridge and IPv6, and a writable /proc/sys (in a container: --privileged): ${String(error)}`,
    ];
  } finally {
    await run('ip', ['netns', 'delete', netns]);
  }
}

function isInPath(program: string): boolean {
  return (process.env.PATH ?? '').split(':').some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false; // not in this folder
    }
  });
}
