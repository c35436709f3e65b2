import { ask, download, openStream, sendVolley, startHammer, startLoad } from './pod-client.ts';
import type {
  Destination,
  HammerState,
  LoadState,
  PodCall,
  PodMessage,
  PodRequestName,
  PodRequests,
  ServedPort,
  StreamState,
} from './pod-protocol.ts';
import { serve } from './pod-server.ts';

/**
 * The program inside each pod of the demo, in place of the manifests' images, which are not
 * pulled. Its ports and its name come from the environment; it ends with the demo.
 */
const ports = JSON.parse(process.env.POD_PORTS ?? '[]') as readonly ServedPort[];

const streams = new Map<number, (stop: boolean) => StreamState>();
const loads = new Map<number, (stop: boolean) => LoadState>();
const hammers = new Map<number, (stop: boolean) => HammerState>();

const operations: {
  readonly [Name in PodRequestName]: (
    input: PodRequests[Name]['in'],
    id: number,
  ) => Promise<PodRequests[Name]['out']>;
} = {
  volley: sendVolley,
  download,
  async startStream({ to, timeoutMs }, id) {
    streams.set(id, await openStream(to, timeoutMs));
    return { stream: id };
  },
  async readStream({ stream, stop }) {
    const read = streams.get(stream);
    if (read === undefined) throw new Error(`no stream ${stream}`);
    if (stop) streams.delete(stream);
    return read(stop);
  },
  async startLoad(input, id) {
    loads.set(id, startLoad(input));
    return { load: id };
  },
  async readLoad({ load, stop }) {
    const read = loads.get(load);
    if (read === undefined) throw new Error(`no load ${load}`);
    if (stop) loads.delete(load);
    return read(stop);
  },
  async startHammer(input, id) {
    hammers.set(id, startHammer(input));
    return { hammer: id };
  },
  async readHammer({ hammer, stop }) {
    const read = hammers.get(hammer);
    if (read === undefined) throw new Error(`no hammer ${hammer}`);
    if (stop) hammers.delete(hammer);
    return read(stop);
  },
};

function send(message: PodMessage): void {
  process.send?.(message);
}

async function answerCall<Name extends PodRequestName>(call: PodCall<Name>): Promise<void> {
  try {
    send({ kind: 'reply', id: call.id, output: await operations[call.name](call.input, call.id) });
  } catch (error) {
    send({
      kind: 'error',
      id: call.id,
      reason: error instanceof Error ? error.message : String(error),
    });
  }
}

/** `10.96.0.10:80`, `[fd00::a]:80`; undefined when the pod has no upstream. */
function parseUpstream(text: string | undefined): Destination | undefined {
  const match = /^\[?([0-9a-fA-F.:]+?)\]?:(\d+)$/.exec(text ?? '');
  if (match?.[1] === undefined) return undefined;
  return { protocol: 'TCP', address: match[1], port: Number(match[2]) };
}

process.on('message', (call: PodCall) => void answerCall(call));
process.on('disconnect', () => process.exit(0));

const identity = {
  pod: process.env.HOSTNAME ?? '',
  node: process.env.NODE_NAME ?? '',
  upstream: parseUpstream(process.env.UPSTREAM),
};
await Promise.all(ports.map((port) => serve(port, identity, ask)));
send({ kind: 'ready' });
