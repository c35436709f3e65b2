import { acl_action } from '../../../native/vpp-api/catalogue/acl-types.ts';
import { fib_path_nh_proto, fib_path_type } from '../../../native/vpp-api/catalogue/fib-types.ts';
import { ip_proto } from '../../../native/vpp-api/catalogue/ip-types.ts';
import type { FieldsOf } from '../../../native/vpp-api/codec.ts';
import { type Prefix, prefix } from '../../core/ip.ts';
import { none, type VppSession } from '../session.ts';
import { unspecified } from './addresses.ts';

/**
 * Gates: packets of one interface are received a second time on a loopback.
 *
 * VPP's ABF (src/plugins/abf) stands behind the filters of an interface's input and hands what
 * its ACL permits to a path; a path of type interface-rx is "receive it on that interface". So
 * the filters of the first interface see packets as they came, and the features of the loopback,
 * translation among them, see them after that. Neighbour discovery stays on the first interface,
 * where its answers must go.
 */
export interface GateState {
  /** ABF's policies by id: the sw_if_index of the loopback that they lead to. */
  readonly policies: Map<number, number>;
  /** Interfaces that are attached to policies: sw_if_index to policy ids. */
  readonly attached: Map<number, Set<number>>;
  /** The ACL that says which packets are taken. */
  matchAcl: Promise<number> | undefined;
}

const families = [
  { isIp6: false, proto: fib_path_nh_proto.FIB_API_PATH_NH_PROTO_IP4, af: 4 as const },
  { isIp6: true, proto: fib_path_nh_proto.FIB_API_PATH_NH_PROTO_IP6, af: 6 as const },
];

/** Not a filter of ours in the sense of the table `filters`, so it has another prefix. */
const matchTag = 'kvr-gate:match';

const states = new WeakMap<VppSession, Promise<GateState>>();

/** What VPP has of gates; read once in a session. */
export function gateState(session: VppSession): Promise<GateState> {
  let state = states.get(session);
  if (state === undefined) {
    state = readState(session);
    states.set(session, state);
    // Whoever waits for it hears of the failure; the next one tries again.
    state.catch(() => states.delete(session));
  }
  return state;
}

async function readState(session: VppSession): Promise<GateState> {
  const [policies, attachments] = await Promise.all([
    session.connection.dump('abf_policy_dump', {}),
    session.connection.dump('abf_itf_attach_dump', {}),
  ]);
  const attached = new Map<number, Set<number>>();
  for (const { attach } of attachments) {
    const ids = attached.get(attach.sw_if_index) ?? new Set();
    attached.set(attach.sw_if_index, ids.add(attach.policy_id));
  }
  return {
    policies: new Map(
      policies.map(({ policy }) => [policy.policy_id, policy.paths[0]?.sw_if_index ?? none]),
    ),
    attached,
    matchAcl: undefined,
  };
}

/** The loopback that an interface's packets go to; undefined when they are not redirected. */
export function gateOf(state: GateState, swIfIndex: number): number | undefined {
  const [id] = state.attached.get(swIfIndex) ?? [];
  return id === undefined ? undefined : state.policies.get(id);
}

/** Makes the policies that lead to a loopback, where they are missing. */
export async function openGate(session: VppSession, loopback: number): Promise<void> {
  const state = await gateState(session);
  const aclIndex = await matchAcl(session, state);
  const missing = families.filter(({ isIp6 }) => !state.policies.has(policyId(loopback, isIp6)));
  await Promise.all(
    missing.map(async ({ isIp6 }) => {
      await writePolicy(session, { loopback, isIp6, isAdd: true, aclIndex });
      state.policies.set(policyId(loopback, isIp6), loopback);
    }),
  );
}

/** Takes the policies of a loopback away; nothing may be attached to them any more. */
export async function closeGate(session: VppSession, loopback: number): Promise<void> {
  const state = await gateState(session);
  const present = families.filter(({ isIp6 }) => state.policies.has(policyId(loopback, isIp6)));
  if (present.length === 0) return;
  const aclIndex = await matchAcl(session, state);
  await Promise.all(
    present.map(({ isIp6 }) => writePolicy(session, { loopback, isIp6, isAdd: false, aclIndex })),
  );
  for (const { isIp6 } of present) state.policies.delete(policyId(loopback, isIp6));
}

/** Attaches or detaches an interface, in both families, without waiting in between. */
export async function attachGate(
  session: VppSession,
  state: GateState,
  swIfIndex: number,
  loopback: number | undefined,
): Promise<void> {
  const before = state.attached.get(swIfIndex) ?? new Set<number>();
  const after = new Set(
    loopback === undefined ? [] : families.map(({ isIp6 }) => policyId(loopback, isIp6)),
  );
  // VPP 26.06 does not survive an attachment to a policy that it does not have.
  for (const id of after)
    if (!state.policies.has(id)) throw new Error(`VPP has no policy ${id} to attach to`);
  state.attached.set(swIfIndex, after);
  const attach = (id: number, isAdd: boolean) =>
    session.connection.request('abf_itf_attach_add_del', {
      is_add: isAdd,
      attach: { policy_id: id, sw_if_index: swIfIndex, priority: 0, is_ipv6: id % 2 === 1 },
    });
  await Promise.all([
    ...[...before].filter((id) => !after.has(id)).map((id) => attach(id, false)),
    ...[...after].filter((id) => !before.has(id)).map((id) => attach(id, true)),
  ]);
}

/** Two policies a loopback; an odd id is IPv6's. */
function policyId(loopback: number, isIp6: boolean): number {
  return loopback * 2 + (isIp6 ? 1 : 0);
}

async function writePolicy(
  session: VppSession,
  given: {
    readonly loopback: number;
    readonly isIp6: boolean;
    readonly isAdd: boolean;
    readonly aclIndex: number;
  },
): Promise<void> {
  const family = families[given.isIp6 ? 1 : 0] ?? families[0];
  await session.connection.request('abf_policy_add_del', {
    is_add: given.isAdd,
    policy: {
      policy_id: policyId(given.loopback, given.isIp6),
      acl_index: given.aclIndex,
      paths: [
        {
          sw_if_index: given.loopback,
          table_id: 0,
          rpf_id: none,
          weight: 1,
          preference: 0,
          type: fib_path_type.FIB_API_PATH_TYPE_INTERFACE_RX,
          flags: 0,
          proto: family?.proto ?? 0,
          nh: {
            address: unspecified[family?.af ?? 4],
            via_label: 0,
            obj_id: none,
            classify_table_index: 0,
          },
          n_labels: 0,
          label_stack: Array.from({ length: 16 }, () => ({
            is_uniform: 0,
            label: 0,
            ttl: 0,
            exp: 0,
          })),
        },
      ],
    },
  });
}

type AclRule = FieldsOf<'acl_add_replace'>['r'][number];

/** An ACL rule that asks for nothing but addresses and the protocol. */
export function aclRule(
  permit: boolean,
  source: Prefix,
  destination: Prefix,
  protocol = 0,
): AclRule {
  return {
    is_permit: permit ? acl_action.ACL_ACTION_API_PERMIT : acl_action.ACL_ACTION_API_DENY,
    src_prefix: source,
    dst_prefix: destination,
    proto: protocol,
    srcport_or_icmptype_first: 0,
    srcport_or_icmptype_last: 65_535,
    dstport_or_icmpcode_first: 0,
    dstport_or_icmpcode_last: 65_535,
    tcp_flags_mask: 0,
    tcp_flags_value: 0,
  };
}

const all4 = prefix('0.0.0.0/0');
const all6 = prefix('::/0');

/** "Deny" leaves a packet on its interface: neighbour discovery (RFC 4861) and link-local. */
const matchRules: readonly AclRule[] = [
  aclRule(true, all4, all4),
  {
    ...aclRule(false, all6, all6, ip_proto.IP_API_PROTO_ICMP6),
    srcport_or_icmptype_first: 133,
    srcport_or_icmptype_last: 137,
    dstport_or_icmpcode_last: 255,
  },
  aclRule(false, all6, prefix('fe80::/10')),
  aclRule(true, all6, all6),
];

function matchAcl(session: VppSession, state: GateState): Promise<number> {
  state.matchAcl ??= makeMatchAcl(session);
  state.matchAcl.catch(() => {
    state.matchAcl = undefined;
  });
  return state.matchAcl;
}

async function makeMatchAcl(session: VppSession): Promise<number> {
  const known = await session.connection.dump('acl_dump', { acl_index: none });
  const found = known.find((details) => details.tag === matchTag);
  const reply = await session.connection.request('acl_add_replace', {
    acl_index: found?.acl_index ?? none,
    tag: matchTag,
    r: matchRules,
  });
  return reply.acl_index;
}
