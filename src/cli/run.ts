import { readFileSync, writeFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { Command, CommanderError, Option } from 'commander';
import {
  controlSocketDefault,
  type ServiceExplanation,
  type StatusView,
  type TraceView,
} from '../core/control-api.ts';
import type { FlowExplanation, PodPolicyExplanation } from '../core/control-policy.ts';
import type { RouteExplanation } from '../core/control-routing.ts';
import { fillStartup } from '../core/session-table.ts';
import { AskError, ask, exitCodes } from './ask.ts';
import {
  advertisementColumns,
  type Column,
  checkColumns,
  errorColumns,
  peerColumns,
  podColumns,
  policyColumns,
  routeColumns,
  rowColumns,
  serviceColumns,
  stepColumns,
  tableColumns,
} from './columns.ts';
import { formatExplanation } from './explain.ts';
import { formatFlows, formatPodPolicies } from './explain-policy.ts';
import { formatRoute } from './explain-route.ts';
import { formatItems, formatValue, type Output, outputs } from './format.ts';
import { lintDiff, lintFile } from './lint.ts';
import { parsePacket } from './packet.ts';
import { lintPolicy } from './policy-lint.ts';

/** Where `kvr` prints. */
export interface Streams {
  out(text: string): unknown;
  err(text: string): unknown;
}

interface Options {
  readonly socket: string;
  readonly output: Output;
}

/** Runs `kvr` with the arguments after its name; the exit code. */
export async function runKvr(
  args: readonly string[],
  streams: Streams,
  version: string,
): Promise<number> {
  let exitCode: number = exitCodes.ok;
  const program = createProgram(streams, version, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(args, { from: 'user' });
    return exitCode;
  } catch (error) {
    // commander has printed what was wrong (or the help that was asked for).
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : exitCodes.usage;
    if (!(error instanceof AskError)) throw error;
    streams.err(`kvr: ${error.message}\n`);
    return error.exitCode;
  }
}

function createProgram(streams: Streams, version: string, end: (code: number) => void): Command {
  const program = new Command('kvr')
    .description('Shows what the kube-vpp-router daemon of this node does, and why.')
    .version(version)
    .addOption(
      new Option('--socket <path>', "the daemon's control socket")
        .env('KVR_SOCKET')
        .default(controlSocketDefault),
    )
    .addOption(
      new Option('-o, --output <format>', 'how to print').choices([...outputs]).default('text'),
    )
    .exitOverride()
    .configureOutput({ writeOut: streams.out, writeErr: streams.err });
  addShow(program, streams);
  addExplain(program, streams);
  program
    .command('status')
    .description('is this node ready, and if not, why')
    .action(async (_: unknown, command: Command) => {
      const ready = await printStatus(optionsOf(command), streams);
      if (!ready) end(exitCodes.notReady);
    });
  program
    .command('trace')
    .argument('<src>', 'source address')
    .argument('<dst>', 'destination: address[:port][/tcp|udp|sctp|icmp]')
    .description('the way of a packet, as the rows of this node say')
    .action(async (source: string, destination: string, _: unknown, command: Command) => {
      const packet = parsePacket(source, destination);
      if (!packet.ok) return command.error(`error: ${packet.problem}`);
      const query = new URLSearchParams({ ...packet.value, port: String(packet.value.port) });
      await printTrace(`/trace?${query}`, optionsOf(command), streams);
    });
  program
    .command('lint')
    .argument('<file>', 'a configuration file of the daemon')
    .option('--diff', 'ask the daemon what would change on this node')
    .description('what is wrong with a configuration, before it is used')
    .action(async (file: string, { diff }: { diff?: boolean }, command: Command) => {
      const { socket, output } = optionsOf(command);
      const { text, exitCode } = await (diff === true
        ? lintDiff(socket, file, output)
        : lintFile(file, output));
      streams.out(text);
      end(exitCode);
    });
  addPolicy(program, streams, end);
  program
    .command('vpp-startup')
    .argument('<template>', 'start-up file of VPP')
    .argument('<file>', 'where it is written, with a session table for the memory of this machine')
    .description("makes VPP's start-up file for this node")
    .action((template: string, file: string) => {
      writeFileSync(file, fillStartup(readFileSync(template, 'utf8'), totalmem()));
    });
  for (const command of [program, ...program.commands]) {
    command.exitOverride().configureOutput({ writeOut: streams.out, writeErr: streams.err });
  }
  return program;
}

function addShow(program: Command, streams: Streams): void {
  const show = program.command('show').description('lists of what the daemon has and does');
  const list = <Item>(
    name: string,
    path: string,
    columns: readonly Column<Item>[],
    about: string,
  ) =>
    show
      .command(name)
      .description(about)
      .action((_: unknown, command: Command) =>
        printList(path, columns, optionsOf(command), streams),
      );
  list('services', '/services', serviceColumns, 'frontends of Services and their backends');
  list('routes', '/routes', routeColumns, 'routes of this node, and where they come from');
  list('peers', '/peers', peerColumns, 'BGP sessions');
  show
    .command('advertisements')
    .description('what this node announces; -o wide: and to which neighbours')
    .action((_: unknown, command: Command) => {
      const options = optionsOf(command);
      const path = options.output === 'text' ? '/advertisements' : '/advertisements?neighbours=1';
      return printList(path, advertisementColumns, options, streams);
    });
  list('pods', '/pods', podColumns, 'pods attached to this node');
  list('policies', '/policies', policyColumns, 'policies, whom they concern here, what they count');
  list('errors', '/errors', errorColumns, "what is wrong with users' objects");
  show
    .command('tables')
    .argument('[name]', 'show the rows of this table')
    .description('desired rows by table, and how far they are applied')
    .action((name: string | undefined, _: unknown, command: Command) =>
      name === undefined
        ? printList('/tables', tableColumns, optionsOf(command), streams)
        : printList(`/tables/${encodeURIComponent(name)}`, rowColumns, optionsOf(command), streams),
    );
  for (const command of show.commands) {
    command.exitOverride().configureOutput({ writeOut: streams.out, writeErr: streams.err });
  }
}

function addExplain(program: Command, streams: Streams): void {
  const explain = program.command('explain').description('why something is as it is');
  explain
    .command('service')
    .argument('<namespace/name>', 'the Service')
    .description('frontends, endpoints and why they are used or not, sessions and counters')
    .action(async (key: string, _: unknown, command: Command) => {
      const options = optionsOf(command);
      const path = `/explain/service?key=${encodeURIComponent(key)}`;
      const found = (await ask(options.socket, path)) as ServiceExplanation;
      const structured = options.output === 'json' || options.output === 'yaml';
      streams.out(structured ? formatValue(found, options.output) : formatExplanation(found));
    });
  explain
    .command('route')
    .argument('<prefix|address>', 'where packets go')
    .description('the route in force, the paths that BGP knows, and who announces a Service')
    .action(async (to: string, _: unknown, command: Command) => {
      const options = optionsOf(command);
      const path = `/explain/route?to=${encodeURIComponent(to)}`;
      const found = (await ask(options.socket, path)) as RouteExplanation;
      const structured = options.output === 'json' || options.output === 'yaml';
      streams.out(structured ? formatValue(found, options.output) : formatRoute(found));
    });
  addExplainPolicy(explain, streams);
  for (const command of explain.commands) {
    command.exitOverride().configureOutput({ writeOut: streams.out, writeErr: streams.err });
  }
}

interface AskedPolicy {
  readonly from?: string;
  readonly to?: string;
  readonly port?: string;
  readonly pod?: string;
}

function addExplainPolicy(explain: Command, streams: Streams): void {
  explain
    .command('policy')
    .option('--from <pod|address>', 'who sends: namespace/name or an address')
    .option('--to <pod|address|svc/namespace/name>', 'who is asked; of a Service each endpoint')
    .option('--port <port[/tcp|udp|sctp]>', 'number or name; absent: an ICMP echo')
    .option('--pod <namespace/name>', "a pod's filters, in the order in which they are asked")
    .description('whether policies let a packet pass, at both ends, and by which rules')
    .action(async (given: AskedPolicy, command: Command) => {
      const { from, to, port = '', pod } = given;
      const isFlow = from !== undefined && to !== undefined && pod === undefined;
      const isPod = pod !== undefined && from === undefined && to === undefined && port === '';
      if (!isFlow && !isPod) return command.error('error: say --from and --to, or --pod');
      const options = optionsOf(command);
      const query = new URLSearchParams(isFlow ? { from, to, port } : { pod: pod ?? '' });
      const found = await ask(options.socket, `/explain/policy?${query}`);
      const structured = options.output === 'json' || options.output === 'yaml';
      const text = isFlow
        ? formatFlows(found as FlowExplanation)
        : formatPodPolicies(found as PodPolicyExplanation);
      streams.out(structured ? formatValue(found, options.output) : text);
    });
}

function addPolicy(program: Command, streams: Streams, end: (code: number) => void): void {
  const policy = program.command('policy').description('about NetworkPolicies');
  policy
    .command('lint')
    .argument('[file]', 'manifests; absent: the policies in force')
    .option('-n, --namespace <name>', 'namespace of objects that name none', 'default')
    .description('frequent mistakes: what policies say, and what is probably meant')
    .action(async (file: string | undefined, given: { namespace: string }, command: Command) => {
      const { socket, output } = optionsOf(command);
      const { namespace } = given;
      const { text, exitCode } = await lintPolicy(socket, { file, namespace, output });
      streams.out(text);
      end(exitCode);
    });
  for (const command of policy.commands) {
    command.exitOverride().configureOutput({ writeOut: streams.out, writeErr: streams.err });
  }
}

/** Global options may stand before or after the command. */
function optionsOf(command: Command): Options {
  return command.optsWithGlobals<Options>();
}

async function printList<Item>(
  path: string,
  columns: readonly Column<Item>[],
  options: Options,
  streams: Streams,
): Promise<void> {
  // The daemon is of this version or near it; a missing field prints as nothing.
  const { items } = (await ask(options.socket, path)) as { readonly items: readonly Item[] };
  streams.out(formatItems(items, columns, options.output));
}

async function printStatus(options: Options, streams: Streams): Promise<boolean> {
  const status = (await ask(options.socket, '/status')) as StatusView;
  if (options.output === 'json' || options.output === 'yaml') {
    streams.out(formatValue(status, options.output));
  } else {
    streams.out(`${status.node}: ${status.ready ? 'ready' : 'NOT READY'} (${status.version})\n`);
    streams.out(formatItems(status.checks, checkColumns, options.output));
  }
  return status.ready;
}

async function printTrace(path: string, options: Options, streams: Streams): Promise<void> {
  const trace = (await ask(options.socket, path)) as TraceView;
  if (options.output === 'json' || options.output === 'yaml') {
    streams.out(formatValue(trace, options.output));
  } else {
    streams.out(formatItems(trace.steps, stepColumns, options.output));
    streams.out(`${trace.verdict}\n`);
  }
}
