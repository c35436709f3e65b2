import { connectVpp, type VppConnection } from '../native/vpp-api/client.ts';
import type { FieldsOf } from '../native/vpp-api/codec.ts';
import { percentile } from './figures.ts';
import type { Plane } from './plane.ts';

/** What changes of policies cost VPP itself, seen from a connection of its own. */

const none = 0xffff_ffff;
const times = 20;

/** The longest calls that the filters in force need, each alone, ms. */
export async function largestCalls(
  apiSocket: string,
): Promise<{ readonly name: string; readonly timesMs: readonly number[] }[]> {
  await using vpp = await connectVpp({ path: apiSocket, name: 'bench' });
  const acls = await vpp.dump('acl_dump', { acl_index: none });
  const largest = acls.toSorted((a, b) => b.r.length - a.r.length)[0];
  if (largest === undefined) throw new Error('VPP has no filters');
  const { acl_index } = await put(vpp, largest.r);
  const made = await timed(times, async () => {
    const other = await put(vpp, largest.r);
    return () => vpp.request('acl_del', { acl_index: other.acl_index });
  });
  const sizes = new Map(acls.map((one) => [one.acl_index, one.r.length]));
  const lists = await vpp.dump('acl_interface_list_dump', { sw_if_index: none });
  const rulesOf = (list: readonly number[]) =>
    list.reduce((sum, one) => sum + (sizes.get(one) ?? 0), 0);
  const longest = lists.toSorted((a, b) => rulesOf(b.acls) - rulesOf(a.acls))[0];
  if (longest === undefined) throw new Error('no interface has filters');
  const { sw_if_index, n_input } = longest;
  const set = (list: readonly number[]) =>
    vpp.request('acl_interface_set_acl_list', { sw_if_index, n_input, acls: [...list] });
  // Its last filter, what nobody allowed, becomes another one, and is itself again.
  const other = [...longest.acls.slice(0, -1), acl_index];
  const exchanged = await timed(times, async (index) => {
    await set(index % 2 === 0 ? other : longest.acls);
  });
  await set(longest.acls);
  await vpp.request('acl_del', { acl_index });
  const size = `${longest.acls.length} filters, ${rulesOf(longest.acls)} rules`;
  return [
    { name: `one call: the largest filter, ${largest.r.length} rules`, timesMs: made },
    { name: `one call: both lists of a pod exchanged, ${size}`, timesMs: exchanged },
  ];
}

type Rules = FieldsOf<'acl_add_replace'>['r'];

function put(vpp: VppConnection, r: Rules) {
  return vpp.request('acl_add_replace', { acl_index: none, tag: 'bench', r });
}

/** Times a call; what it returns is done afterwards, untimed. */
async function timed(count: number, call: (index: number) => Promise<unknown>): Promise<number[]> {
  const found: number[] = [];
  for (let index = 0; index < count; index++) {
    const startMs = performance.now();
    const after = await call(index);
    found.push(performance.now() - startMs);
    if (typeof after === 'function') await after();
  }
  return found;
}

/** Asks VPP for nothing, again and again: how long an answer took while `work` ran. */
export async function longestGap(
  apiSocket: string,
  work: () => Promise<void>,
): Promise<{ readonly maxMs: number; readonly p999Ms: number; readonly lastedMs: number }> {
  await using vpp = await connectVpp({ path: apiSocket, name: 'bench' });
  const waits: number[] = [];
  const startMs = performance.now();
  let isDone = false;
  const done = work().finally(() => {
    isDone = true;
  });
  while (!isDone) {
    const askedMs = performance.now();
    await vpp.request('control_ping', {});
    waits.push(performance.now() - askedMs);
    // Not all of the processor: the daemon and the API server need it, too.
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await done;
  return {
    maxMs: Math.max(...waits),
    p999Ms: percentile(waits, 0.999),
    lastedMs: performance.now() - startMs,
  };
}

/** MB; undefined for a plane that does not tell. The command stops VPP: not while it is measured. */
export async function mainHeapMb({ kind, apiSocket }: Plane): Promise<number | undefined> {
  if (kind !== 'vpp') return undefined;
  await using vpp = await connectVpp({ path: apiSocket, name: 'bench' });
  const { reply } = await vpp.request('cli_inband', { cmd: 'show memory main-heap' });
  const used = /used: ([0-9.]+)([KMG])/.exec(reply);
  if (used === null) throw new Error(`VPP does not tell its heap: ${reply}`);
  return Number(used[1]) * ({ K: 0.001, M: 1, G: 1000 }[used[2] ?? 'M'] ?? 1);
}
