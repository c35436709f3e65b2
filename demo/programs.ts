import { existsSync } from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

/** The project's folder. */
export const projectDirectory = fileURLToPath(new URL('..', import.meta.url));

const bundlesDirectory = join(projectDirectory, '.kvr');
const bundlePrefix = 'demo-';

/** JavaScript files that `node` starts without any loader: a restart takes 0.2 s, not 1 s. */
export interface Programs extends AsyncDisposable {
  readonly router: string;
  readonly emulator: string;
  readonly kvr: string;
  readonly pod: string;
  readonly relay: string;
}

const sources = {
  router: 'src/daemon/main.ts',
  emulator: 'src/emulator/main.ts',
  kvr: 'src/cli/main.ts',
  pod: 'demo/pod.ts',
  relay: 'demo/relay.ts',
} as const;

/**
 * Bundles the sources as they are now. The result lies inside the project, because npm packages
 * stay outside of it and are found from there.
 */
export async function bundlePrograms(): Promise<Programs> {
  const directory = join(bundlesDirectory, `${bundlePrefix}${process.pid}`);
  await removeLeftovers();
  await mkdir(directory, { recursive: true });
  const entries = Object.entries(sources).filter(([, file]) =>
    existsSync(join(projectDirectory, file)),
  );
  await build({
    entryPoints: Object.fromEntries(
      entries.map(([name, file]) => [name, join(projectDirectory, file)]),
    ),
    outdir: directory,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    packages: 'external',
    platform: 'node',
    target: 'node20',
    format: 'esm',
    sourcemap: 'inline',
    logLevel: 'silent',
  });
  const program = (name: keyof typeof sources) => join(directory, `${name}.mjs`);
  return {
    router: program('router'),
    emulator: program('emulator'),
    kvr: program('kvr'),
    pod: program('pod'),
    relay: program('relay'),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  };
}

/** Removes the bundles of demos whose process is gone: one killed with SIGKILL cannot. */
async function removeLeftovers(): Promise<void> {
  if (!existsSync(bundlesDirectory)) return;
  for (const name of await readdir(bundlesDirectory)) {
    if (!name.startsWith(bundlePrefix)) continue;
    if (existsSync(`/proc/${name.slice(bundlePrefix.length)}`)) continue;
    await rm(join(bundlesDirectory, name), { recursive: true, force: true });
  }
}
