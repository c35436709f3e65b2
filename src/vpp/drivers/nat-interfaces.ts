import { cnat_snat_policy_table } from '../../../native/vpp-api/catalogue/cnat.ts';
import type { NatInterfaceRow } from '../../desired/rows.ts';
import type { VppDriverParts, VppSession } from '../session.ts';
import { attachGate, type GateState, gateOf, gateState, openGate } from './gates.ts';

/**
 * Interfaces on which Services are translated.
 *
 * Without a gate all of cnat's features are on the interface. With one, what arrives is
 * translated on the gate's loopback, and only the features of the output are on the interface
 * itself: there source addresses are masqueraded, and answers get the frontend's address back.
 */
export const natInterfaceParts: VppDriverParts<NatInterfaceRow> = {
  async dump(session) {
    const state = await gateState(session);
    const entries = [...session.handles.interfaces].filter(([name]) => !name.startsWith('gate-'));
    const rows = await Promise.all(
      entries.map(async ([name, index]): Promise<NatInterfaceRow | undefined> => {
        const common = { interface: name, role: natRoleOf(name) };
        if (await translatesInput(session, index)) return common;
        const gate = gateOf(state, index);
        const via = gate === undefined ? undefined : session.handles.nameOf(gate);
        return via === undefined ? undefined : { ...common, via };
      }),
    );
    return rows
      .filter((row) => row !== undefined)
      .map((row) => ({
        key: row.interface,
        // VPP has no message that tells whether the host answers: it is written again.
        row: row.role === 'host' ? undefined : row,
      }));
  },
  async put(session, row) {
    const swIfIndex = session.handles.need(row.interface);
    const gate = row.via === undefined ? undefined : session.handles.need(row.via);
    if (gate !== undefined) await translateOnGate(session, gate, row);
    const state = await gateState(session);
    const has = await featuresOf(session, state, swIfIndex);
    // Everything from here on goes out at once: VPP handles it between two packets.
    await Promise.all([
      writeRole(session, swIfIndex, row),
      ...(gate !== undefined && row.role === 'host' ? [writeRole(session, gate, row)] : []),
      setFeatures(session, swIfIndex, has, gate === undefined ? 'both' : 'output'),
      attachGate(session, state, swIfIndex, gate),
    ]);
  },
  async remove(session, name) {
    const swIfIndex = session.handles.interfaces.get(name);
    if (swIfIndex === undefined) return;
    const state = await gateState(session);
    const has = await featuresOf(session, state, swIfIndex);
    await Promise.all([
      setFeatures(session, swIfIndex, has, 'none'),
      attachGate(session, state, swIfIndex, undefined),
      // VPP keeps the number in its maps and gives it to the next interface.
      writeRole(session, swIfIndex, undefined),
    ]);
  },
};

type Role = Pick<NatInterfaceRow, 'role' | 'answers'>;

/** Gates of a session that are being made or are made: two interfaces may want one at once. */
const gates = new WeakMap<VppSession, Map<number, Promise<void>>>();

function translateOnGate(session: VppSession, loopback: number, role: Role): Promise<void> {
  const known = gates.get(session) ?? new Map<number, Promise<void>>();
  gates.set(session, known);
  const open = known.get(loopback) ?? prepareGate(session, loopback, role);
  known.set(loopback, open);
  open.catch(() => known.delete(loopback));
  return open;
}

async function prepareGate(session: VppSession, loopback: number, role: Role): Promise<void> {
  const has = await featuresOf(session, await gateState(session), loopback);
  await Promise.all([
    writeRole(session, loopback, role),
    setFeatures(session, loopback, has, 'both'),
    openGate(session, loopback),
  ]);
}

/** A loopback is about to go. */
export async function forgetGate(session: VppSession, loopback: number): Promise<void> {
  gates.get(session)?.delete(loopback);
  await writeRole(session, loopback, undefined);
}

/** The maps of the SNAT policy that an interface is in. */
const policyTables: { readonly [Role in NatInterfaceRow['role']]: readonly number[] } = {
  pod: [
    cnat_snat_policy_table.CNAT_POLICY_INCLUDE_V4,
    cnat_snat_policy_table.CNAT_POLICY_INCLUDE_V6,
    cnat_snat_policy_table.CNAT_POLICY_POD,
  ],
  host: [cnat_snat_policy_table.CNAT_POLICY_HOST],
  uplink: [],
  tunnel: [],
};

/**
 * The K8S policy masquerades a flow that neither begins nor ends at a pod, unless its source is
 * the node's first address. So a host that answers counts as a pod.
 * Source: VPP v26.06 `cnat_snat_policy_k8s`; seen with errors of ICMP.
 */
function tablesOf({ role, answers }: Role): readonly number[] {
  const tables = policyTables[role];
  return answers ? [...tables, cnat_snat_policy_table.CNAT_POLICY_POD] : tables;
}

async function writeRole(
  session: VppSession,
  swIfIndex: number,
  role: Role | undefined,
): Promise<void> {
  const wanted = role === undefined ? [] : tablesOf(role);
  await Promise.all(
    Object.values(cnat_snat_policy_table).map((table) =>
      writePolicyMap(session, swIfIndex, table, wanted.includes(table)),
    ),
  );
}

/** Puts an interface into a map of the SNAT policy, or takes it out. */
export async function writePolicyMap(
  session: VppSession,
  swIfIndex: number,
  table: number,
  isAdd: boolean,
): Promise<void> {
  await session.connection.request('cnat_snat_policy_add_del_if', {
    sw_if_index: swIfIndex,
    is_add: isAdd ? 1 : 0,
    table,
  });
}

/** Features of cnat on an interface: all, those of its output, or none. */
type Features = 'both' | 'output' | 'none';

/**
 * VPP counts: a feature that is enabled twice translates no new flow at all (26.06). The output's
 * cannot be asked for: VPP says "enabled" of an interface that never had one. But without those of
 * the input they are there only where packets go to a gate.
 */
async function featuresOf(
  session: VppSession,
  state: GateState,
  swIfIndex: number,
): Promise<Features> {
  if (await translatesInput(session, swIfIndex)) return 'both';
  return gateOf(state, swIfIndex) === undefined ? 'none' : 'output';
}

async function translatesInput(session: VppSession, swIfIndex: number): Promise<boolean> {
  const reply = await session.connection.request('feature_is_enabled', {
    arc_name: 'ip4-unicast',
    feature_name: 'cnat-input-ip4',
    sw_if_index: swIfIndex,
  });
  return reply.is_enabled;
}

const outputFeatures = [
  ['ip4-output', 'cnat-output-ip4'],
  ['ip4-output', 'cnat-writeback-ip4'],
  ['ip6-output', 'cnat-output-ip6'],
  ['ip6-output', 'cnat-writeback-ip6'],
] as const;

/** Both: cnat's own call, which is all eight features; output alone: one by one. */
async function setFeatures(
  session: VppSession,
  swIfIndex: number,
  is: Features,
  wanted: Features,
): Promise<void> {
  if (is === wanted) return;
  const whole = (enable: boolean) =>
    session.connection.request('feature_cnat_enable_disable', {
      sw_if_index: swIfIndex,
      enable_disable: enable,
    });
  const output = (enable: boolean) =>
    outputFeatures.map(([arc, feature]) =>
      session.connection.request('feature_enable_disable', {
        sw_if_index: swIfIndex,
        enable,
        arc_name: arc,
        feature_name: feature,
      }),
    );
  const requests: Promise<unknown>[] = [];
  if (is === 'both') requests.push(whole(false));
  if (is === 'output') requests.push(...output(false));
  if (wanted === 'both') requests.push(whole(true));
  if (wanted === 'output') requests.push(...output(true));
  await Promise.all(requests);
}

function natRoleOf(name: string): NatInterfaceRow['role'] {
  if (name === 'uplink' || name === 'host') return name;
  return name.startsWith('pod-') ? 'pod' : 'tunnel';
}
