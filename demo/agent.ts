import { realClock } from '../src/core/clock.ts';
import type {
  PodCall,
  PodMessage,
  PodRequestName,
  PodRequests,
  ServedPort,
} from './pod-protocol.ts';
import { logTail, type Processes, type Running } from './processes.ts';

/** A process in a pod, or the outside client, that sends traffic when asked. */
export interface Agent {
  readonly running: Running;
  call<Name extends PodRequestName>(
    name: Name,
    input: PodRequests[Name]['in'],
  ): Promise<PodRequests[Name]['out']>;
}

/** Longest time that any call may take; each has its own shorter limits inside. */
const callTimeoutMs = 60_000;
const readyTimeoutMs = 15_000;

/** Starts the pod program in a namespace; resolves when all its ports listen. */
export async function startAgent(
  processes: Processes,
  program: string,
  options: {
    readonly name: string;
    readonly netns: string;
    readonly ports: readonly ServedPort[];
    readonly env: Readonly<Record<string, string>>;
  },
): Promise<Agent> {
  const running = processes.start(options.name, [process.execPath, program], {
    netns: options.netns,
    ipc: true,
    env: { ...options.env, POD_PORTS: JSON.stringify(options.ports) },
  });
  const waiting = new Map<number, (message: PodMessage) => void>();
  let nextId = 1;
  const ready = new Promise<void>((resolve) => {
    running.child.on('message', (message: PodMessage) => {
      if (message.kind === 'ready') resolve();
      else waiting.get(message.id)?.(message);
    });
  });
  await withDeadline(ready, running, 'ready', readyTimeoutMs);
  return {
    running,
    call(name, input) {
      const id = nextId++;
      const reply = new Promise<PodRequests[typeof name]['out']>((resolve, reject) => {
        waiting.set(id, (message) => {
          if (message.kind === 'reply') resolve(message.output as PodRequests[typeof name]['out']);
          if (message.kind === 'error') reject(new Error(`${options.name}: ${message.reason}`));
        });
        const call: PodCall = { id, name, input };
        running.child.send(call, (error) => {
          if (error !== null) reject(error);
        });
      });
      return withDeadline(reply, running, name, callTimeoutMs).finally(() => waiting.delete(id));
    },
  };
}

/** Rejects when the process ends or the time is up before `promise` settles. */
function withDeadline<T>(
  promise: Promise<T>,
  running: Running,
  what: string,
  timeoutMs: number,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = realClock.after(timeoutMs, () => {
      reject(new Error(`${running.name}: ${what} took longer than ${timeoutMs / 1000} s`));
    });
    promise.then(resolve, reject).finally(() => timer.cancel());
    void running.ended.then(async (how) => {
      timer.cancel();
      reject(new Error(`${running.name} ended (${how}): ${await logTail(running)}`));
    });
  });
}
