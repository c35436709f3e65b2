import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectVpp } from '../../native/vpp-api/client.ts';
import { createFakeClock, realClock } from '../../src/core/clock.ts';
import { ip } from '../../src/core/ip.ts';
import { type Loop, startLoop } from '../../src/daemon/loop.ts';
import { createPolicyCounts, type PolicyCounts } from '../../src/daemon/policy-counts.ts';
import { observePolicies } from '../../src/daemon/policy-observe.ts';
import { createVppStats } from '../../src/daemon/vpp-stats.ts';
import { podInterfaceName } from '../../src/desired/names.ts';
import { createEmulator } from '../../src/emulator/emulator.ts';
import { serveStats } from '../../src/emulator/stats/serve.ts';
import type { Attachment, Labels, Pod } from '../../src/model/facts.ts';
import { createStore, factKinds, type Store } from '../../src/model/store.ts';
import { createVppTarget, requiredMessages } from '../../src/vpp/target.ts';
import { attachment, config, namespace, node, pod, uplink } from '../facts.ts';

/** A daemon's loop before an embedded data plane, and what may be seen of its policies. */
export interface PolicyDaemon extends AsyncDisposable {
  readonly store: Store;
  readonly loop: Loop;
  readonly counts: PolicyCounts;
  readonly view: ReturnType<typeof observePolicies>;
  /** Resolves when all that was committed is written. */
  settled(): Promise<void>;
  /** Whether packets leave the data plane that a pod sends, in order. */
  send(podKey: string, ...packets: readonly Buffer[]): boolean[];
  /** Resolves when VPP's counters show what was sent. */
  counted(): Promise<void>;
}

export async function startPolicyDaemon(store: Store): Promise<PolicyDaemon> {
  const stop = new AbortController();
  const { signal } = stop;
  const emulator = createEmulator({ anyHostInterface: true });
  const connect = (until: AbortSignal) =>
    connectVpp({
      stream: emulator.connect(),
      name: 'test',
      signal: until,
      required: requiredMessages,
    });
  const vpp = createVppTarget({ connect, clock: realClock, signal });
  const loop = startLoop({ store, targets: [vpp], clock: realClock, signal });
  const directory = mkdtempSync(join(tmpdir(), 'kvr-policies-'));
  const path = join(directory, 'stats.sock');
  const clock = createFakeClock();
  const serving = serveStats(emulator.plane, path, clock);
  const stats = createVppStats({ path, session: () => vpp.session });
  const handles = () => vpp.handles?.filters;
  const counts = createPolicyCounts({ desired: loop.desired, stats, handles });
  const problems = () => loop.desired.problems();
  const view = observePolicies({ facts: store.facts, loop, stats, vpp, counts, problems });
  const settled = () => loop.whenApplied(store.revision, signal);
  await settled();
  return {
    store,
    loop,
    counts,
    view,
    settled,
    send(key, ...packets) {
      const from = [...store.facts.attachments.values()].find((one) => one.pod === key);
      const name = podInterfaceName(from?.hostInterface ?? '');
      return packets.map((packet) => emulator.inject(`kvr:${name}`, packet).outputs.length > 0);
    },
    counted: () => clock.advance(1000),
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('the test is over'));
      await loop.finished;
      await stats[Symbol.asyncDispose]();
      serving[Symbol.dispose]();
      rmSync(directory, { recursive: true });
      await vpp[Symbol.asyncDispose]();
      await emulator[Symbol.asyncDispose]();
    },
  };
}

/** A pod of this node, attached. */
export function localPod(
  key: string,
  number: number,
  labels: Labels,
  given: Partial<Pod> = {},
): { readonly pod: Pod; readonly attachment: Attachment } {
  const ips = [ip(`10.244.1.${number}`)];
  const fact = pod(key, { labels, ips, ...given });
  const own = attachment(`v${number}`, `10.244.1.${number}`);
  return { pod: fact, attachment: { ...own, ips: fact.ips, pod: key, podUid: fact.uid } };
}

/** A store that knows everything: node n1 with pods, and pods elsewhere. */
export function storeOf(
  local: readonly ReturnType<typeof localPod>[],
  elsewhere: readonly Pod[] = [],
): Store {
  const store = createStore();
  store.replace('config', new Map([['config', config]]));
  store.replace('uplink', new Map([['uplink', uplink]]));
  store.replace('nodes', new Map([1, 2].map((i) => [`n${i}`, node(`n${i}`, i)])));
  const pods = [...local.map((one) => one.pod), ...elsewhere];
  store.replace('pods', new Map(pods.map((one) => [one.key, one])));
  const names = new Set(pods.map((one) => one.namespace));
  store.replace('namespaces', new Map([...names].map((name) => [name, namespace(name)])));
  store.replace('attachments', new Map(local.map((one) => [one.attachment.key, one.attachment])));
  for (const kind of factKinds) store.markSynced(kind);
  return store;
}
