import { realClock, sleep } from '../src/core/clock.ts';
import { type DemoNode, type PartName, partNames } from './node.ts';

/** Pause before a part that ended is started again, as a kubelet's first back-off. */
const restartMs = 500;

/** Starts again what ends, until `signal`; tells each time. */
export async function superviseParts(
  nodes: readonly DemoNode[],
  signal: AbortSignal,
  tell: (line: string) => void,
): Promise<void> {
  const aborted = new Promise<undefined>((resolve) => {
    if (signal.aborted) resolve(undefined);
    signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
  await Promise.all(
    nodes.flatMap((node) =>
      partNames.map((name) => supervise(node, name, { signal, aborted, tell })),
    ),
  );
}

async function supervise(
  node: DemoNode,
  name: PartName,
  until: {
    readonly signal: AbortSignal;
    readonly aborted: Promise<undefined>;
    readonly tell: (line: string) => void;
  },
): Promise<void> {
  for (;;) {
    const how = await Promise.race([node.part(name).ended, until.aborted]);
    if (how === undefined || until.signal.aborted) return;
    until.tell(`${name} of ${node.machine.name} ended (${how}); it is started again`);
    await sleep(realClock, restartMs, until.signal).catch(() => undefined);
    if (!until.signal.aborted) node.start(name);
  }
}
