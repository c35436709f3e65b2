// npm run bench              every figure beside its limit from the same run
// npm run bench -- api       one bench: acl, api, cluster, churn, planning, policy, routes, selections
// npm run bench -- --dataplane embedded
// npm run bench -- churn --quick      10 s instead of a minute
// npm run bench -- policy --quick     a tenth of the changes
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { ensureDebian, ensureModules, root } from './setup.mjs';

process.chdir(root);
ensureModules();
ensureDebian();
// As it runs in production: one file a program, without a compiler at run time.
const { build } = await import('esbuild');
const common = {
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20.19',
  external: ['koffi'],
  logLevel: 'warning',
  banner: {
    js: "import { createRequire as kvrCreateRequire } from 'node:module'; const require = kvrCreateRequire(import.meta.url); const __dirname = import.meta.dirname;",
  },
};
await build({ ...common, entryPoints: ['bench/main.ts'], outfile: 'dist/bench.js' });
await build({ ...common, entryPoints: ['bench/child.ts'], outfile: 'dist/bench-child.js' });
await build({ ...common, entryPoints: ['src/emulator/main.ts'], outfile: 'dist/emulator.js' });
const child = spawn(process.execPath, [join('dist', 'bench.js'), ...process.argv.slice(2)], {
  stdio: 'inherit',
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
process.exitCode = await new Promise((resolve) =>
  child.once('close', (code) => resolve(code ?? 1)),
);
