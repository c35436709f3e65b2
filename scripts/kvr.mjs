// npm run kvr -- ARGS: kvr from the sources.
import { spawnSync } from 'node:child_process';
import { ensureModules, root } from './setup.mjs';

ensureModules();
const args = ['--import', 'tsx', `${root}src/cli/main.ts`, ...process.argv.slice(2)];
process.exitCode = spawnSync(process.execPath, args, { stdio: 'inherit', cwd: root }).status ?? 1;
