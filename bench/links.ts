import { execFileSync } from 'node:child_process';
import { benchUplink } from './node.ts';

/**
 * The links of a node, and `more` (at most 11 bytes each), in a network namespace of their own.
 * Needs root. Nothing is connected to it: no packet leaves.
 */
export function makeNamespace(more: readonly string[] = []): {
  readonly name: string;
  remove(): void;
} {
  const name = `kvr-bench-${process.pid}`;
  const run = (...args: string[]) =>
    execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  run('netns', 'add', name);
  const remove = () => void run('netns', 'del', name);
  try {
    // Not a word on the links: VPP 26.06 never comes back from vlib_file_poll when 16 AF_PACKET
    // sockets have something to read at once (src/vlib/file.c), and Linux has much to say by IPv6.
    const sysctl = 'net.ipv6.conf.default.disable_ipv6=1';
    run('netns', 'exec', name, 'sysctl', '-qw', sysctl);
    const links = [benchUplink.interface, benchUplink.hostLink.vppInterface, ...more];
    const lines = links.flatMap((link) => [
      `link add ${link} type veth peer name ${link}-far`,
      `link set ${link} up`,
      `link set ${link}-far up`,
    ]);
    execFileSync('ip', ['-n', name, '-batch', '-'], { input: lines.join('\n') });
  } catch (error) {
    remove();
    throw error;
  }
  return { name, remove };
}
