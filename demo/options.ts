import { parseArgs } from 'node:util';
import { type Parsed, parsed, rejected } from '../src/core/parsed.ts';

/** What the demo was asked to do. */
export interface Options {
  readonly dataplane: 'embedded' | 'vpp';
  /** Run the checks, print the table, clean up, end. */
  readonly once: boolean;
  readonly nodes: number;
  /** A folder with the user's own manifests, instead of the demo's. */
  readonly manifests: string | undefined;
  readonly keepLogs: boolean;
  /** Port on 127.0.0.1 for kubectl; 0 lets the kernel choose. */
  readonly port: number;
  /** Runs only the checks whose title and name match. */
  readonly only: RegExp;
  readonly help: boolean;
}

/** The text of `--help`. */
export const usage = `npm run demo -- [options]

  --once                run the checks, print the table, clean up; exit 0, or 1 when a check fails
  --dataplane NAME      embedded (default): the data plane in TypeScript, for development and tests
                        vpp: real VPP 26.06 or later, found by VPP_BIN, PATH or /opt/vpp
  --nodes N             2 (default) or 3; the third node is in another subnet: IPIP overlay
  --manifests DIR       load the *.yaml of DIR instead of the demo's application
  --keep-logs           keep the folder with logs and configuration of every process
  --only PATTERN        run only the checks whose title and name match the regular expression
  --port PORT           port on 127.0.0.1 for kubectl (default: any free one)
  --help                this text
`;

/** Reads the command line; a problem names the option. */
export function parseOptions(args: readonly string[]): Parsed<Options> {
  let values: ReturnType<typeof readArgs>;
  try {
    values = readArgs(args);
  } catch (error) {
    return rejected(error instanceof Error ? error.message : String(error));
  }
  const { dataplane } = values;
  if (dataplane !== 'embedded' && dataplane !== 'vpp') {
    return rejected(`--dataplane is embedded or vpp, not ${dataplane}`);
  }
  if (!/^[23]$/.test(values.nodes)) return rejected(`--nodes is 2 or 3, not ${values.nodes}`);
  const port = Number(values.port);
  if (!Number.isInteger(port) || port < 0 || port > 65535) {
    return rejected(`--port is a port number, not ${values.port}`);
  }
  const only = parsePattern(values.only);
  if (only === undefined) return rejected(`--only is a regular expression, not ${values.only}`);
  return parsed({
    dataplane,
    once: values.once,
    nodes: Number(values.nodes),
    manifests: values.manifests,
    keepLogs: values['keep-logs'],
    port,
    only,
    help: values.help,
  });
}

function parsePattern(text: string): RegExp | undefined {
  try {
    return new RegExp(text, 'i');
  } catch {
    return undefined; // the caller says which option it was
  }
}

function readArgs(args: readonly string[]) {
  return parseArgs({
    args: [...args],
    options: {
      dataplane: { type: 'string', default: 'embedded' },
      once: { type: 'boolean', default: false },
      nodes: { type: 'string', default: '2' },
      manifests: { type: 'string' },
      'keep-logs': { type: 'boolean', default: false },
      port: { type: 'string', default: '0' },
      only: { type: 'string', default: '' },
      help: { type: 'boolean', default: false },
    },
  }).values;
}
