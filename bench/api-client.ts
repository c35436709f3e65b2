import { connectVpp, type VppConnection } from '../native/vpp-api/client.ts';
import { type Figure, figure, median, rate } from './figures.ts';
import {
  acls,
  openReplay,
  pings,
  type Replay,
  routes,
  translations,
  type Workload,
} from './messages.ts';
import { type Plane, startPlane } from './plane.ts';

const rounds = 7;
const warmUpRounds = 2;

/** Our client against the same messages encoded before and replayed over a raw socket. */
export async function benchApiClient(kind: Plane['kind']): Promise<Figure[]> {
  const plane = await startPlane(kind);
  const figures: Figure[] = [];
  try {
    await using connection = await connectVpp({ path: plane.apiSocket, name: 'bench' });
    await using replay = await openReplay(plane.apiSocket);
    figures.push(await compare(connection, replay, { workload: pings, count: 100_000 }));
    figures.push(await compare(connection, replay, { workload: routes, count: 50_000 }));
    figures.push(await compare(connection, replay, { workload: acls, count: 20_000 }));
    figures.push(await compare(connection, replay, { workload: translations, count: 10_000 }));
  } finally {
    await plane.stop();
  }
  return figures;
}

async function compare(
  connection: VppConnection,
  replay: Replay,
  { workload, count }: { readonly workload: Workload; readonly count: number },
): Promise<Figure> {
  const ours: number[] = [];
  const raw: number[] = [];
  // The values exist before the time is taken, as in the daemon, where rows are planned before.
  const values = Array.from({ length: count }, (_, index) => workload.fields(index));
  // The first rounds make what the others replace, and warm both up.
  for (let round = -warmUpRounds; round < rounds; round++) {
    const oursMs = await request(connection, workload, values);
    await forget(connection, workload);
    const rawMs = await replay.run(workload, count);
    await forget(connection, workload);
    if (round < 0) continue;
    ours.push(oursMs);
    raw.push(rawMs);
  }
  const perSecond = (ms: number) => (count / ms) * 1000;
  const [oursRate, rawRate] = [perSecond(median(ours)), perSecond(median(raw))];
  return figure(
    `api ${workload.name}`,
    {
      measured: rate(oursRate),
      limit: `${rate(rawRate)} replayed`,
      heldBackBy: 'encoding the values, on the core beside VPP, takes longer than VPP needs',
    },
    oursRate / rawRate,
    { atLeast: 0.9 },
  );
}

async function request(
  connection: VppConnection,
  { name }: Workload,
  values: readonly unknown[],
): Promise<number> {
  const startMs = performance.now();
  const errors: unknown[] = [];
  await connection.requestAll(name, {
    length: values.length,
    fieldsOf: (index) => values[index] as never,
    done: () => undefined,
    failed: (_index, error) => errors.push(error),
  });
  const ms = performance.now() - startMs;
  if (errors.length > 0) throw errors[0];
  return ms;
}

/** ACLs are new ones each time: they would fill VPP's memory. */
async function forget(connection: VppConnection, workload: Workload): Promise<void> {
  if (workload.name !== 'acl_add_replace') return;
  const all = await connection.dump('acl_dump', { acl_index: 0xffff_ffff });
  await Promise.all(all.map(({ acl_index }) => connection.request('acl_del', { acl_index })));
}
