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
  /** Rounds of random crashes after the other checks. */
  readonly crashes: number;
  /** Decides what crashes. */
  readonly seed: number;
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
  --crashes N           afterwards N rounds of random crashes, after each of which all must be well
  --seed N              what crashes (default 1)
  --port PORT           port on 127.0.0.1 for kubectl (default: any free one)
  --help                this text
`;

const crashesMax = 1000;

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
  const port = parseNumber(values.port, 65_535);
  if (port === undefined) return rejected(`--port is a port number, not ${values.port}`);
  const crashes = parseNumber(values.crashes, crashesMax);
  if (crashes === undefined)
    return rejected(`--crashes is 0 to ${crashesMax}, not ${values.crashes}`);
  if (crashes > 0 && values.manifests !== undefined) {
    return rejected("--crashes is for the demo's own application, not for --manifests");
  }
  const seed = parseNumber(values.seed, 0xffff_ffff);
  if (seed === undefined) return rejected(`--seed is a number, not ${values.seed}`);
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
    crashes,
    seed,
    help: values.help,
  });
}

function parseNumber(text: string, max: number): number | undefined {
  return /^\d{1,10}$/.test(text) && Number(text) <= max ? Number(text) : undefined;
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
      crashes: { type: 'string', default: '0' },
      seed: { type: 'string', default: '1' },
      only: { type: 'string', default: '' },
      help: { type: 'boolean', default: false },
    },
  }).values;
}
