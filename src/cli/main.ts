#!/usr/bin/env node
import { version } from '../core/version.ts';
import { runKvr } from './run.ts';

process.exitCode = await runKvr(
  process.argv.slice(2),
  { out: (text) => process.stdout.write(text), err: (text) => process.stderr.write(text) },
  version,
);
