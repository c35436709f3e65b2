// `npm run demo`: brings what the demo needs, saying so, then starts demo/main.ts.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { ensureDebian, ensureModules, root } from './setup.mjs';

const args = process.argv.slice(2);
ensureModules();
// Without root there is no demo: demo/main.ts says what is missing, and nothing is installed.
if (process.getuid?.() === 0 && !args.includes('--help')) ensureDebian();

// Ctrl-C goes to the demo as well, which ends by itself once it has cleaned up.
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => undefined);
const demo = spawn(process.execPath, ['--import', 'tsx', join(root, 'demo/main.ts'), ...args], {
  cwd: root,
  stdio: 'inherit',
});
demo.on('exit', (code) => {
  process.exitCode = code ?? 1;
});
