import { spawnSync } from 'node:child_process';
import { mkdirSync, realpathSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Name of the executable in the CNI bin folder; the network configuration's `type`. */
export const executableName = 'kube-vpp-router';

const compilers = ['gcc', 'cc', 'musl-gcc'];
const flags = ['-static', '-O2', '-std=gnu11', '-Wall', '-Wextra', '-Werror'];

/**
 * Compiles the CNI executable into `outDir` and returns its path. Another process may run the
 * old one meanwhile: the new one is renamed over it.
 * @param {string} outDir
 * @returns {string}
 */
export function buildCni(outDir) {
  const source = join(dirname(fileURLToPath(import.meta.url)), 'kvr-cni.c');
  const target = join(outDir, executableName);
  const beside = `${target}.${process.pid}.new`;
  mkdirSync(outDir, { recursive: true });
  for (const compiler of compilers) {
    const run = spawnSync(compiler, [...flags, '-o', beside, source], { encoding: 'utf8' });
    if (run.error !== undefined) continue; // Not installed: the next one.
    if (run.status !== 0) throw new Error(`${compiler} cannot compile ${source}:\n${run.stderr}`);
    renameSync(beside, target);
    return target;
  }
  throw new Error(
    `no C compiler for the CNI executable: tried ${compilers.join(', ')}; on Debian: apt-get install gcc libc6-dev`,
  );
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const outDir = process.argv[2];
  if (outDir === undefined) throw new Error('usage: node native/cni/build.mjs OUT_DIR');
  console.log(buildCni(outDir));
}
