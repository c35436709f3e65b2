import type { Ip, Prefix } from '../core/ip.ts';
import type { BgpPolicyRow } from '../desired/rows.ts';
import { tables } from '../desired/tables.ts';
import type { Change, Driver, Held } from '../reconcile/driver.ts';
import type { GobgpClient } from './client.ts';
import type { PeerState } from './peer-codec.ts';
import { allAtOnce, eachInTurn } from './pipeline.ts';
import {
  type AssignedPolicy,
  type CompiledPolicy,
  compilePolicy,
  concernedPeers,
  covers,
  type DefinedSet,
  type Direction,
  policyPrefix,
  setKinds,
  withdrawingPolicy,
} from './policy-codec.ts';

/**
 * What passes between GoBGP's table and all neighbours.
 *
 * A policy's name is a digest of its content, so a daemon that starts knows by the name whether
 * GoBGP has what it wants. A new policy is made beside the old one and takes its place by one
 * call. Then the neighbours that it concerns get their paths again; sessions stay.
 *
 * The old policy is deleted only after that: a daemon that died in between has left it, which
 * tells the next one that all neighbours must hear.
 *
 * What a new export policy no longer lets through is withdrawn; GoBGP 3 needs a policy in
 * between for that, and cannot do it towards neighbours with long-lived graceful restart: they
 * keep such a path until it changes.
 */
export function createPolicyDriver(client: GobgpClient): Driver<BgpPolicyRow> {
  /** The latest rows, by the names of their policies. */
  const latest = new Map<string, BgpPolicyRow>();
  /** Neighbours that must hear of a change, when a call in between failed. */
  const owed = new Map<Direction, 'all' | readonly (Ip | Prefix)[]>();

  async function assigned(signal: AbortSignal): Promise<readonly AssignedPolicy[]> {
    return client.list(
      'ListPolicyAssignment',
      (d) => d.listPolicyAssignments(),
      (d) => d.decodePolicyAssignment,
      signal,
    );
  }

  async function put(row: BgpPolicyRow, signal: AbortSignal): Promise<void> {
    const compiled = compilePolicy(row);
    const { name } = compiled.policy;
    const current = (await assigned(signal)).find((one) => one.direction === row.direction);
    if (current?.name !== name || current.otherwise !== row.otherwise) {
      owe(row.direction, current, row);
      // What is assigned is complete, and GoBGP does not delete what is in use.
      if (current?.name !== name) await make(client, row.direction, compiled, signal);
      if (client.version === 3 && row.direction === 'export')
        await withdraw(row, current?.name, signal);
      await assign({ direction: row.direction, name, otherwise: row.otherwise }, signal);
    } else if (
      !owed.has(row.direction) &&
      (await isUnfinished(client, row.direction, name, signal))
    )
      owed.set(row.direction, 'all');
    await finish(row.direction, name, signal);
    latest.set(name, row);
  }

  /** GoBGP 3 only: the neighbours that are done with here need no further reset. */
  async function withdraw(
    row: BgpPolicyRow,
    current: string | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const concerned = await meantPeers(client, owed.get(row.direction) ?? [], signal);
    const peers = concerned.filter((peer) => peer.row.longLivedSeconds === 0);
    const compiled = compilePolicy(withdrawingPolicy(row, addresses(peers)));
    const { name } = compiled.policy;
    if (name === compilePolicy(row).policy.name) return;
    // A call that failed after the assignment has left it in use.
    if (name !== current) await make(client, row.direction, compiled, signal);
    await assign({ direction: row.direction, name, otherwise: row.otherwise }, signal);
    await reset(client, row.direction, addresses(peers), signal);
    owed.set(row.direction, addresses(concerned.filter((peer) => !peers.includes(peer))));
  }

  async function remove(direction: Direction, signal: AbortSignal): Promise<void> {
    const current = (await assigned(signal)).find((one) => one.direction === direction);
    if (!isPlain(current)) {
      owe(direction, current, nothing(direction));
      await assign({ direction, name: undefined, otherwise: 'accept' }, signal);
    } else if (!owed.has(direction) && (await isUnfinished(client, direction, undefined, signal)))
      owed.set(direction, 'all');
    await finish(direction, undefined, signal);
  }

  function assign(policy: AssignedPolicy, signal: AbortSignal): Promise<void> {
    return client.call('SetPolicyAssignment', (d) => d.setPolicyAssignment(policy), signal);
  }

  function owe(direction: Direction, from: AssignedPolicy | undefined, to: BgpPolicyRow): void {
    const before = isPlain(from) ? nothing(direction) : latest.get(from?.name ?? '');
    const now = before === undefined ? 'all' : concernedPeers(before, to);
    const already = owed.get(direction) ?? [];
    owed.set(direction, already === 'all' || now === 'all' ? 'all' : [...already, ...now]);
  }

  /** What is left to do once the policy is assigned. */
  async function finish(direction: Direction, name: string | undefined, signal: AbortSignal) {
    const concerned = owed.get(direction);
    if (concerned === undefined) return;
    const peers = await meantPeers(client, concerned, signal);
    await reset(client, direction, addresses(peers), signal);
    owed.delete(direction);
    await clear(client, direction, name, signal);
  }

  return {
    table: tables.bgpPolicies,
    async dump(signal) {
      if ((await client.getBgp(signal)).asn === 0) return [];
      return readHeld(client, await assigned(signal), latest, signal);
    },
    apply: (changes: readonly Change<BgpPolicyRow>[], signal) =>
      eachInTurn(changes, ({ key, to }) =>
        to === undefined ? remove(key as Direction, signal) : put(to, signal),
      ),
  };
}

/** True when another policy than the assigned one is there: a change was not brought to its end. */
async function isUnfinished(
  client: GobgpClient,
  direction: Direction,
  assigned: string | undefined,
  signal: AbortSignal,
): Promise<boolean> {
  const names = await listPolicies(client, direction, signal);
  return names.some((name) => name !== assigned);
}

/** A row is known when its policy is assigned, and no other one says that something is left to do. */
async function readHeld(
  client: GobgpClient,
  assigned: readonly AssignedPolicy[],
  latest: ReadonlyMap<string, BgpPolicyRow>,
  signal: AbortSignal,
): Promise<readonly Held<BgpPolicyRow>[]> {
  const held: Held<BgpPolicyRow>[] = [];
  for (const direction of ['import', 'export'] as const) {
    const current = assigned.find((one) => one.direction === direction);
    const unfinished = await isUnfinished(client, direction, current?.name, signal);
    if (isPlain(current) && !unfinished) continue;
    const row = latest.get(current?.name ?? '');
    const isKnown = !unfinished && row?.otherwise === current?.otherwise;
    held.push({ key: direction, row: isKnown ? row : undefined });
  }
  return held;
}

/** The row that is as good as none. */
function nothing(direction: Direction): BgpPolicyRow {
  return { direction, otherwise: 'accept', statements: [] };
}

/** True when every path passes: GoBGP's state after its start. */
function isPlain(policy: AssignedPolicy | undefined): boolean {
  return policy === undefined || (policy.name === undefined && policy.otherwise === 'accept');
}

/** Sets first, because statements name them. What a call that failed has left is made anew. */
async function make(
  client: GobgpClient,
  direction: Direction,
  { sets, policy }: CompiledPolicy,
  signal: AbortSignal,
): Promise<void> {
  const policies = await listPolicies(client, direction, signal);
  if (policies.includes(policy.name))
    await client.call('DeletePolicy', (d) => d.deletePolicy(policy.name), signal);
  const known = new Set((await listSets(client, direction, signal)).map((set) => set.name));
  await allAtOnce(sets, async (set) => {
    // GoBGP would add to a set that is there.
    if (known.has(set.name))
      await client.call('DeleteDefinedSet', (d) => d.deleteDefinedSet(set), signal);
    await client.call('AddDefinedSet', (d) => d.addDefinedSet(set), signal);
  });
  await client.call('AddPolicy', (d) => d.addPolicy(policy), signal);
}

/** Deletes policies, with their statements, and sets that are not of `keep`. */
async function clear(
  client: GobgpClient,
  direction: Direction,
  keep: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  const policies = await listPolicies(client, direction, signal);
  await allAtOnce(
    policies.filter((name) => name !== keep),
    (name) => client.call('DeletePolicy', (d) => d.deletePolicy(name), signal),
  );
  const sets = await listSets(client, direction, signal);
  await allAtOnce(
    sets.filter((set) => keep === undefined || !set.name.startsWith(`${keep}-`)),
    (set) => client.call('DeleteDefinedSet', (d) => d.deleteDefinedSet(set), signal),
  );
}

async function listPolicies(client: GobgpClient, direction: Direction, signal: AbortSignal) {
  const names = await client.list(
    'ListPolicy',
    (d) => d.listPolicies(),
    (d) => d.decodePolicy,
    signal,
  );
  return names.filter((name) => name.startsWith(policyPrefix(direction)));
}

async function listSets(client: GobgpClient, direction: Direction, signal: AbortSignal) {
  const kinds = Object.keys(setKinds) as DefinedSet['kind'][];
  const sets = await Promise.all(
    kinds.map((kind) =>
      client.list(
        'ListDefinedSet',
        (d) => d.listDefinedSets(kind),
        (d) => d.decodeDefinedSet,
        signal,
      ),
    ),
  );
  return sets.flat().filter((set) => set.name.startsWith(policyPrefix(direction)));
}

/** Those that are up: the others hear everything when they come up. */
async function meantPeers(
  client: GobgpClient,
  meant: 'all' | readonly (Ip | Prefix)[],
  signal: AbortSignal,
): Promise<readonly PeerState[]> {
  if (meant.length === 0) return [];
  const peers = await client.listSessions(signal);
  return peers.filter(
    ({ row, session }) =>
      session === 'established' &&
      (meant === 'all' || meant.some((one) => covers(one, row.address))),
  );
}

function addresses(peers: readonly PeerState[]): readonly Ip[] {
  return peers.map((peer) => peer.row.address);
}

function reset(
  client: GobgpClient,
  direction: Direction,
  peers: readonly Ip[],
  signal: AbortSignal,
): Promise<void> {
  return allAtOnce(peers, (address) =>
    client.call('ResetPeer', (d) => d.resetPeer(address, direction), signal),
  );
}
