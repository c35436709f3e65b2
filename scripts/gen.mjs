// Writes every generated file that is committed. After it, `git diff` shows what was out of date.
import { spawnSync } from 'node:child_process';

/** ts-proto: plain objects, no enums of TypeScript, no JSON form, no service stubs. */
const protoTemplate = {
  version: 'v2',
  plugins: [
    {
      local: 'node_modules/.bin/protoc-gen-ts_proto',
      out: 'proto/generated',
      opt: [
        'env=node',
        'enumsAsLiterals=true',
        'unrecognizedEnum=false',
        'oneof=unions-value',
        'outputJsonMethods=false',
        'outputServices=false',
        'useExactTypes=false',
        'esModuleInterop=true',
      ],
    },
  ],
};

/** What is written, and the command that writes it. */
const steps = [
  {
    writes: 'proto/generated',
    command: [
      'node_modules/.bin/buf',
      'generate',
      'proto',
      '--template',
      JSON.stringify(protoTemplate),
    ],
  },
  {
    writes: 'docs/config.md',
    command: [process.execPath, '--import', 'tsx', 'scripts/gen-config.ts'],
  },
  {
    writes: 'docs/conformance.md',
    command: [process.execPath, '--import', 'tsx', 'scripts/gen-conformance.ts'],
  },
];

for (const { writes, command } of steps) {
  const [program, ...args] = command;
  const { status, error } = spawnSync(program, args, { stdio: 'inherit' });
  if (status !== 0) {
    console.error(`could not write ${writes}${error ? `: ${error.message}` : ''}`);
    process.exit(1);
  }
  console.log(`wrote ${writes}`);
}
