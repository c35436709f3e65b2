import { execFileSync } from 'node:child_process';
import { benchUplink } from './node.ts';

/** The links of a node in a network namespace of their own. Needs root. Nothing is connected to it: no packet leaves. */
export function makeNamespace(): { readonly name: string; remove(): void } {
  const name = `kvr-bench-${process.pid}`;
  const run = (...args: string[]) =>
    execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  run('netns', 'add', name);
  const remove = () => void run('netns', 'del', name);
  try {
    for (const link of [benchUplink.interface, benchUplink.hostLink.vppInterface]) {
      run('-n', name, 'link', 'add', link, 'type', 'veth', 'peer', 'name', `${link}-far`);
      run('-n', name, 'link', 'set', link, 'up');
      run('-n', name, 'link', 'set', `${link}-far`, 'up');
    }
  } catch (error) {
    remove();
    throw error;
  }
  return { name, remove };
}
