import { createSocket } from 'node:dgram';
import { get, type IncomingMessage } from 'node:http';
import type {
  Answer,
  Destination,
  HammerState,
  LoadState,
  StreamState,
  Volley,
} from './pod-protocol.ts';

/** Answers and failures kept of one load. */
const failuresMax = 100;

/** Asks one server for its answer, over a new connection or from a new UDP socket. */
export function ask(to: Destination, timeoutMs: number): Promise<Answer> {
  return to.protocol === 'TCP' ? askTcp(to, timeoutMs) : askUdp(to, timeoutMs);
}

/** Sends `count` requests, at most `concurrency` at a time. */
export async function sendVolley(input: {
  to: Destination;
  count: number;
  concurrency: number;
  timeoutMs: number;
}): Promise<Volley> {
  const answers: Answer[] = [];
  const failures: string[] = [];
  const latenciesMs: number[] = [];
  let left = input.count;
  const worker = async () => {
    while (left > 0) {
      left -= 1;
      const started = performance.now();
      try {
        answers.push(await ask(input.to, input.timeoutMs));
        latenciesMs.push(performance.now() - started);
      } catch (error) {
        failures.push(textOf(error));
      }
    }
  };
  await Promise.all(Array.from({ length: input.concurrency }, worker));
  return { answers, failures, latenciesMs };
}

/** Downloads and counts; rejects when the connection ends early. */
export async function download(input: {
  to: Destination;
  lengthBytes: number;
  timeoutMs: number;
}): Promise<{ milliseconds: number }> {
  const started = performance.now();
  const response = await open(input.to, `/bytes/${input.lengthBytes}`, input.timeoutMs);
  let received = 0;
  for await (const chunk of response) received += (chunk as Buffer).length;
  if (received !== input.lengthBytes) {
    throw new Error(`got ${received} of ${input.lengthBytes} bytes`);
  }
  return { milliseconds: performance.now() - started };
}

/** Opens `/stream` and measures it until stopped. */
export async function openStream(
  to: Destination,
  timeoutMs: number,
): Promise<(stop: boolean) => StreamState> {
  const response = await open(to, '/stream', timeoutMs);
  // The time limit was for the first byte: what follows is to be measured, not cut off.
  response.socket.setTimeout(0);
  response.setEncoding('latin1');
  const meter = createLineMeter();
  response.on('data', (text: string) => meter.push(text));
  response.on('end', () => meter.end('the server closed it'));
  response.on('error', (error) => meter.end(textOf(error)));
  return (stop) => {
    const state = meter.state();
    if (stop) response.destroy();
    return state;
  };
}

function createLineMeter() {
  let pod = '';
  let rest = '';
  let lines = 0;
  let disordered = 0;
  let last = performance.now();
  let longestGapMs = 0;
  let ended = '';
  const readLine = (line: string) => {
    if (pod === '') {
      pod = line;
      return;
    }
    lines += 1;
    if (Number(line) !== lines) disordered += 1;
  };
  return {
    push(text: string) {
      const now = performance.now();
      if (pod !== '') longestGapMs = Math.max(longestGapMs, now - last);
      last = now;
      const parts = (rest + text).split('\n');
      rest = parts.pop() ?? '';
      for (const line of parts) readLine(line);
    },
    end(reason: string) {
      ended ||= reason;
    },
    state(): StreamState {
      const silentMs = performance.now() - last;
      const open = ended === '' ? silentMs : 0;
      return {
        lines,
        longestGapMs: Math.max(longestGapMs, open),
        silentMs,
        disordered,
        ended,
        pod,
      };
    },
  };
}

/** Opens one new connection every `intervalMs` until stopped. */
export function startLoad(input: {
  to: Destination;
  intervalMs: number;
  timeoutMs: number;
}): (stop: boolean) => LoadState {
  const answeredBy: Record<string, number> = {};
  const failures: string[] = [];
  let sent = 0;
  const started = performance.now();
  const timer = setInterval(() => {
    sent += 1;
    const at = performance.now() - started;
    ask(input.to, input.timeoutMs).then(
      (answer) => {
        answeredBy[answer.pod] = (answeredBy[answer.pod] ?? 0) + 1;
      },
      (error: unknown) => {
        if (failures.length < failuresMax) {
          failures.push(`request ${sent} at ${at.toFixed(0)} ms: ${textOf(error)}`);
        }
      },
    );
  }, input.intervalMs);
  return (stop) => {
    if (stop) clearInterval(timer);
    return { sent, answeredBy: { ...answeredBy }, failures: [...failures] };
  };
}

/** Sends a datagram to every address every `intervalMs` from one socket, until stopped. */
export function startHammer(input: {
  addresses: readonly string[];
  port: number;
  intervalMs: number;
}): (stop: boolean) => HammerState {
  const answeredBy: Record<string, number> = {};
  let sent = 0;
  const socket = createSocket('udp4');
  socket.on('message', (_message, { address }) => {
    answeredBy[address] = (answeredBy[address] ?? 0) + 1;
  });
  // Nobody there yet: that is what it is for.
  socket.on('error', () => undefined);
  const timer = setInterval(() => {
    for (const address of input.addresses) {
      sent += 1;
      socket.send('who are you?', input.port, address);
    }
  }, input.intervalMs);
  return (stop) => {
    if (stop) {
      clearInterval(timer);
      socket.close();
    }
    return { sent, answeredBy: { ...answeredBy } };
  };
}

async function askTcp(to: Destination, timeoutMs: number): Promise<Answer> {
  const response = await open(to, '/', timeoutMs);
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString();
  if (response.statusCode !== 200) throw new Error(`HTTP ${response.statusCode}: ${text}`);
  return JSON.parse(text) as Answer;
}

/** Opens a connection of its own; rejects when no headers came within `timeoutMs`. */
function open(to: Destination, path: string, timeoutMs: number): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = get(
      { host: to.address, port: to.port, path, agent: false, timeout: timeoutMs },
      resolve,
    );
    request.on('timeout', () => {
      request.destroy(new Error(`no answer within ${timeoutMs} ms`));
    });
    request.on('error', reject);
  });
}

/** A connected socket: answers of anybody else are not taken, ICMP errors are reported. */
function askUdp(to: Destination, timeoutMs: number): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(to.address.includes(':') ? 'udp6' : 'udp4');
    const timer = setTimeout(
      () => finish(new Error(`no answer within ${timeoutMs} ms`)),
      timeoutMs,
    );
    const finish = (result: Error | Buffer) => {
      clearTimeout(timer);
      socket.close();
      if (result instanceof Error) reject(result);
      else resolve(JSON.parse(result.toString()) as Answer);
    };
    socket.once('error', finish);
    socket.once('message', finish);
    socket.connect(to.port, to.address, () => socket.send('who are you?'));
  });
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message || error.name : String(error);
}
