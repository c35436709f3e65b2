import {
  cnat_lb_type,
  cnat_snat_policies,
  cnat_snat_policy_flags,
  cnat_snat_policy_table,
} from '../../../native/vpp-api/catalogue/cnat.ts';
import { ip_flow_hash_config_v2 } from '../../../native/vpp-api/catalogue/ip.ts';
import { ip_proto } from '../../../native/vpp-api/catalogue/ip-types.ts';
import type { FieldsOf } from '../../../native/vpp-api/codec.ts';
import { familyOf, type Ip, type Prefix } from '../../core/ip.ts';
import type { NatExclusionRow, NatRow, TranslationRow } from '../../desired/rows.ts';
import { tables } from '../../desired/tables.ts';
import { none, noSuchEntry, type VppDriverParts, type VppSession } from '../session.ts';
import { unspecified } from './addresses.ts';
import { writePolicyMap } from './nat-interfaces.ts';

/** VPP, src/vnet/error.h: VNET_API_ERROR_FEATURE_DISABLED, the answer before the first address. */
const featureDisabled = -30;

/**
 * The interface that every VPP has and no packet uses. It is kept in the first map of the SNAT
 * policy, because VPP 26.06 takes the policy for new when that map runs empty (a cleared bitmap
 * has length 0, cnat_snat_policy.c) and forgets all excluded prefixes: observed with the last
 * pod of a node.
 */
const local0 = 0;

/**
 * Service translation by VPP's cnat plugin in feature mode.
 *
 * The order of the first two calls is a matter of life: VPP 26.06 dies of `cnat_set_snat_policy`
 * or of an excluded prefix while it has no SNAT addresses, hence the `nat` stage before theirs.
 */
export const natParts: VppDriverParts<NatRow> = {
  async dump(session) {
    const { connection } = session;
    const reply = await connection.request(
      'cnat_get_snat_addresses',
      {},
      { allow: [featureDisabled] },
    );
    if (reply.retval === featureDisabled) return [];
    const set = reply.snat_ip4 !== unspecified[4] || reply.snat_ip6 !== unspecified[6];
    // The policy cannot be read back, so the row is written again.
    return set ? [{ key: 'nat', row: undefined }] : [];
  },
  async put(session, row) {
    await session.connection.request('cnat_set_snat_addresses_v2', {
      fwd_fib_index: 0,
      ret_fib_index: 0,
      snat_ip4: row.ip4 ?? unspecified[4],
      snat_ip6: row.ip6 ?? unspecified[6],
      sw_if_index: none,
      flags:
        cnat_snat_policy_flags.CNAT_SNAT_POLICY_F_NO_CLIENT |
        cnat_snat_policy_flags.CNAT_SNAT_POLICY_F_USE_AS_DEFAULT,
    });
    await session.connection.request('cnat_set_snat_policy', {
      policy: cnat_snat_policies.CNAT_POLICY_K8S,
    });
    await writePolicyMap(session, local0, cnat_snat_policy_table.CNAT_POLICY_INCLUDE_V4, true);
  },
  async remove() {
    // VPP has no call that takes SNAT addresses back. Without interfaces they do nothing.
  },
};

/** Destinations that are never masqueraded. They cannot be read back: all are written again. */
export const natExclusionParts: VppDriverParts<NatExclusionRow> = {
  dump: () => Promise.resolve([]),
  put: (session, row) => writeExclusion(session, row.prefix, true),
  remove: (session, key) => writeExclusion(session, key as Prefix, false),
};

/** Flags of a translation, VPP src/plugins/cnat/cnat_types.h: ALLOC_PORT and NO_CLIENT. */
const translationFlags = 1 | 8;

/** An upsert, except where the kind of load balancer changes. */
const translationBulk = {
  message: 'cnat_translation_update' as const,
  fields: (_session: VppSession, row: TranslationRow) => ({ translation: translationOf(row) }),
  learn(session: VppSession, row: TranslationRow, reply: { readonly id: number }) {
    const key = tables.translations.key(row);
    session.handles.translations.set(key, reply.id);
    if (row.affinityEpoch === undefined) session.handles.affine.delete(key);
    else session.handles.affine.add(key);
  },
  // Of one that another daemon made the kind is known, not the epoch: then its clients stay.
  suits({ handles }: VppSession, from: TranslationRow | undefined, to: TranslationRow) {
    if (from !== undefined) return from.affinityEpoch === to.affinityEpoch;
    const key = tables.translations.key(to);
    const isAffine = to.affinityEpoch !== undefined;
    return !handles.translations.has(key) || handles.affine.has(key) === isAffine;
  },
};

/** Frontends of Services. */
export const translationParts: VppDriverParts<TranslationRow> & {
  readonly bulk: typeof translationBulk;
} = {
  bulk: translationBulk,
  async dump(session) {
    session.handles.translations.clear();
    session.handles.affine.clear();
    const details = await session.connection.dump('cnat_translation_dump', {});
    return details.map(({ translation }) => {
      const protocol = protocolName(translation.ip_proto);
      const key = tables.translations.key({
        vip: translation.vip.addr,
        port: translation.vip.port,
        protocol,
      } as TranslationRow);
      session.handles.translations.set(key, translation.id);
      if (translation.lb_type === cnat_lb_type.CNAT_LB_TYPE_MAGLEV) session.handles.affine.add(key);
      // Its flags and its hash cannot be read back, so the row is written again: an upsert.
      return { key, row: undefined };
    });
  },
  async put(session, row) {
    // VPP takes the kind of load balancer at creation only.
    await removeTranslation(session, tables.translations.key(row));
    const fields = translationBulk.fields(session, row);
    const reply = await session.connection.request(translationBulk.message, fields);
    translationBulk.learn(session, row, reply);
  },
  remove: removeTranslation,
};

function translationOf(row: TranslationRow): FieldsOf<'cnat_translation_update'>['translation'] {
  const family = familyOf(row.vip);
  const affinity = row.affinityEpoch !== undefined;
  return {
    vip: endpoint(row.vip, row.port),
    id: none,
    ip_proto: protocolNumbers[row.protocol],
    is_real_ip: row.nodeAddress ? 1 : 0,
    flags: translationFlags,
    lb_type: affinity ? cnat_lb_type.CNAT_LB_TYPE_MAGLEV : cnat_lb_type.CNAT_LB_TYPE_DEFAULT,
    flow_hash_config: affinity ? affinityHash(row.affinityEpoch ?? 0) : 0,
    paths: row.backends.map((backend) => ({
      dst_ep: endpoint(backend.ip, backend.port),
      src_ep: endpoint(unspecified[family], 0),
      flags: 0,
    })),
  };
}

const { IP_API_V2_FLOW_HASH_SRC_IP: sourceHash } = ip_flow_hash_config_v2;
/** What is the same in every packet to a frontend: it changes the hash, not who is told apart. */
const constantHashes = [
  ip_flow_hash_config_v2.IP_API_V2_FLOW_HASH_DST_IP,
  ip_flow_hash_config_v2.IP_API_V2_FLOW_HASH_PROTO,
  ip_flow_hash_config_v2.IP_API_V2_FLOW_HASH_DST_PORT,
];

/** A hash of the client's address alone; another one for the next epochs, 8 in all. */
function affinityHash(epoch: number): number {
  return constantHashes.reduce(
    (hash, field, bit) => ((epoch >> bit) & 1 ? hash | field : hash),
    sourceHash as number,
  );
}

function endpoint(addr: Ip, port: number) {
  return { addr, sw_if_index: none, if_af: familyOf(addr) === 4 ? 0 : 1, port };
}

const protocolNumbers = {
  TCP: ip_proto.IP_API_PROTO_TCP,
  UDP: ip_proto.IP_API_PROTO_UDP,
  SCTP: ip_proto.IP_API_PROTO_SCTP,
} as const;

/** `TCP`, `UDP`, `SCTP`, or the number of another protocol. */
export function protocolName(number: number): string {
  const found = Object.entries(protocolNumbers).find(([, value]) => value === number);
  return found?.[0] ?? String(number);
}

async function removeTranslation(session: VppSession, key: string): Promise<void> {
  const id = session.handles.translations.get(key);
  if (id === undefined) return;
  session.handles.translations.delete(key);
  session.handles.affine.delete(key);
  await session.connection.request('cnat_translation_del', { id }, { allow: [noSuchEntry] });
}

async function writeExclusion(session: VppSession, prefix: Prefix, isAdd: boolean): Promise<void> {
  await session.connection.request('cnat_snat_policy_add_del_exclude_pfx', {
    is_add: isAdd ? 1 : 0,
    prefix,
  });
}
