// Bundles what runs in production into dist/: one file a program, koffi (a native module) beside.
import { chmodSync, existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ensureModules, root } from './setup.mjs';

const programs = [
  { name: 'router', entry: 'src/daemon/main.ts' },
  { name: 'kvr', entry: 'src/cli/main.ts' },
  { name: 'emulator', entry: 'src/emulator/main.ts' },
];

ensureModules();
process.chdir(root);
rmSync('dist', { recursive: true, force: true });
const { build } = await import('esbuild');
for (const { name, entry } of programs) {
  if (!existsSync(entry)) throw new Error(`${entry} is missing`);
  const { metafile } = await build({
    entryPoints: [entry],
    outfile: join('dist', `${name}.js`),
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20.19',
    sourcemap: true,
    metafile: true,
    external: ['koffi'],
    logLevel: 'warning',
    // CommonJS packages inside the bundle use require() and __dirname.
    banner: {
      js: "import { createRequire as kvrCreateRequire } from 'node:module'; const require = kvrCreateRequire(import.meta.url); const __dirname = import.meta.dirname;",
    },
  });
  chmodSync(join('dist', `${name}.js`), 0o755);
  const bytes = metafile.outputs[join('dist', `${name}.js`)]?.bytes ?? 0;
  console.log(`dist/${name}.js ${Math.round(bytes / 1024)} kB`);
}
