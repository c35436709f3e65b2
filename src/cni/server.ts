import { existsSync } from 'node:fs';
import { mkdir, unlink } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { type AttachmentOptions, type Attachments, createAttachments } from './attachments.ts';
import { answerVersion, type Call, parseCall } from './call.ts';
import { cniCode, type Outcome, refused, succeeded } from './failure.ts';
import { formatFailure, formatResult, formatVersions, type Gateways } from './result.ts';
import { formatReply, parseRequest, type RawCall, requestMaxBytes } from './wire.ts';

/**
 * The CNI server: the node's container runtime reaches it through the executable in native/cni
 * and a unix socket that only root can open. One call a connection, calls run in parallel.
 */
export interface CniServer extends AsyncDisposable {
  readonly socketPath: string;
}

export interface CniOptions extends Omit<AttachmentOptions, 'hasVhostNet' | 'stateFile'> {
  readonly socketPath: string;
  /** Folder of the attachment file; made when missing. */
  readonly stateDir: string;
  /** The gateways that the pods' routes name; src/host has `podGateways`. */
  readonly gateways: Gateways;
  /** By default, whether /dev/vhost-net exists. */
  readonly hasVhostNet?: boolean;
  /** Told about each call that was understood, for metrics. */
  readonly onCall?: (call: AnsweredCall) => void;
}

export interface AnsweredCall {
  readonly command: string;
  readonly ok: boolean;
  readonly durationMs: number;
}

/** Calls at the same time; more are told to try again later. */
export const callsMax = 64;
/** A connection must have sent its whole request within this time. */
export const requestDeadlineMs = 10_000;
const attachmentFileName = 'attachments.json';
const ownerOnlyMask = 0o177;

/** Serves until disposed. Rejects when the attachment file is damaged. */
export async function createCniServer(options: CniOptions): Promise<CniServer> {
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  const attachments = await createAttachments({
    ...options,
    signal,
    stateFile: `${options.stateDir}/${attachmentFileName}`,
    hasVhostNet: options.hasVhostNet ?? existsSync('/dev/vhost-net'),
  });
  const calls = new Set<Promise<void>>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    // The executable died or its runtime gave up: the call goes on and may be repeated.
    socket.on('error', (error) => options.log.warn({ err: error }, 'CNI connection failed'));
    if (calls.size >= callsMax) return socket.end(formatReply(1, formatFailure('1.1.0', busy)));
    const call = serveCall(socket, attachments, { ...options, signal }).finally(() =>
      calls.delete(call),
    );
    calls.add(call);
    return call;
  });
  await listen(server, options.socketPath);
  return {
    socketPath: options.socketPath,
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      stop.abort(new Error('the daemon stops'));
      await Promise.allSettled(calls);
      await closed;
    },
  };
}

const busy = refused(cniCode.tryAgainLater, `more than ${callsMax} calls at the same time`);

/** Never rejects: what goes wrong is the answer. */
async function serveCall(
  socket: Socket,
  attachments: Attachments,
  options: CniOptions,
): Promise<void> {
  const raw = await receiveRequest(socket, options);
  const version = raw.ok ? answerVersion(raw.value) : '1.1.0';
  const output = raw.ok ? await answerSafely(raw.value, attachments, options) : raw;
  if (!output.ok) {
    const { code, problem } = output;
    options.log.warn({ code, problem }, 'CNI call failed');
  }
  const reply = output.ok
    ? formatReply(0, output.value)
    : formatReply(1, formatFailure(version, output));
  await new Promise<void>((resolve) => {
    socket.once('close', () => resolve());
    socket.end(reply, () => socket.destroy());
    if (socket.destroyed) resolve();
  });
}

async function answerSafely(
  raw: RawCall,
  attachments: Attachments,
  options: CniOptions,
): Promise<Outcome<string>> {
  const call = parseCall(raw);
  if (!call.ok) return call;
  const startedMs = options.clock.monotonic();
  const outcome = await answer(call.value, attachments, options).catch((error: unknown) =>
    refused(cniCode.io, error instanceof Error ? error.message : String(error)),
  );
  const durationMs = options.clock.monotonic() - startedMs;
  options.onCall?.({ command: call.value.command, ok: outcome.ok, durationMs });
  return outcome;
}

async function answer(
  call: Call,
  attachments: Attachments,
  { gateways }: CniOptions,
): Promise<Outcome<string>> {
  const key = `${call.containerId}/${call.ifName}`;
  switch (call.command) {
    case 'ADD': {
      const added = await attachments.add(call);
      if (!added.ok) return added;
      return succeeded(formatResult(call.version, added.value, { gateways, dns: call.dns }));
    }
    case 'DEL':
      return silent(await attachments.remove(key));
    case 'CHECK':
      return silent(attachments.check(key));
    case 'GC':
      return silent(await attachments.collect(call.validAttachments));
    case 'STATUS':
      return silent(attachments.status());
    case 'VERSION':
      return succeeded(formatVersions(call.version));
  }
}

/** Everything but ADD and VERSION answers nothing when it succeeds. */
function silent(outcome: Outcome<undefined>): Outcome<string> {
  return outcome.ok ? succeeded('') : outcome;
}

function receiveRequest(
  socket: Socket,
  { clock, signal }: Pick<CniOptions, 'clock' | 'signal'>,
): Promise<Outcome<RawCall>> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let lengthBytes = 0;
    const settle = (outcome: Outcome<RawCall>) => {
      timer.cancel();
      signal.removeEventListener('abort', stopped);
      socket.off('data', receive).off('end', cutShort).off('close', cutShort);
      socket.resume();
      resolve(outcome);
    };
    const damaged = (problem: string) => settle(refused(cniCode.decode, `request: ${problem}`));
    const stopped = () => settle(refused(cniCode.tryAgainLater, 'the daemon stops'));
    const cutShort = () => damaged('cut short');
    const receive = (chunk: Buffer) => {
      chunks.push(chunk);
      lengthBytes += chunk.length;
      // A request ends with "end": looking only then keeps many small chunks cheap.
      if (!endsRequest(chunks) && lengthBytes <= requestMaxBytes) return;
      const request = parseRequest(Buffer.concat(chunks));
      if (request.state === 'complete') settle(succeeded(request.call));
      if (request.state === 'damaged') damaged(request.problem);
    };
    const timer = clock.after(requestDeadlineMs, () =>
      damaged(`not complete within ${requestDeadlineMs / 1000} s`),
    );
    signal.addEventListener('abort', stopped, { once: true });
    socket.on('data', receive).on('end', cutShort).on('close', cutShort);
    if (signal.aborted) stopped();
  });
}

/** True when the last bytes are the line `end`. */
function endsRequest(chunks: readonly Buffer[]): boolean {
  const tail = Buffer.concat(chunks.slice(-4)).subarray(-4);
  return tail.toString('latin1') === 'end\n';
}

async function listen(server: Server, path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await unlink(path).catch((error: unknown) => {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    // bind(2) happens inside listen(), so the mask covers the socket from its first moment.
    const mask = process.umask(ownerOnlyMask);
    try {
      server.listen(path, () => resolve());
    } finally {
      process.umask(mask);
    }
  });
}
