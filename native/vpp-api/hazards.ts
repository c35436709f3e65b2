/**
 * Guards in front of the socket.
 *
 * VPP 26.06 dies of some requests and accepts others that can never be right. Each guard here
 * stands for one that was seen to do so on a running VPP (crash: 1 to 5, nonsense: the rest),
 * and refuses it with a HazardError before a byte is written:
 *
 * 1. `cnat_translation_update` with no paths aborts VPP (an empty vector is sized to -1).
 * 2. `cnat_set_snat_policy` before any source address is set is a null pointer there.
 * 3. So is `cnat_snat_policy_add_del_exclude_pfx`, and we treat `_if` alike.
 * 4. `cnat_translation_update` with 70,000 paths: buckets are counted in 16 bits.
 * 5. `lb_flush_vip` of an IPv4 VIP never finds it, then uses an uninitialised index.
 */
import { familyOf, type Ip } from '../../src/core/ip.ts';
import type { MessageName } from './catalogue/index.ts';
import type { FieldsOf } from './codec.ts';
import { HazardError } from './errors.ts';

/** More paths than this do not fit VPP's 16-bit bucket count. */
export const maxTranslationPaths = 65_535;

/** What this VPP is known to have been told. Belongs to one connection. */
export interface HazardState {
  /** A `cnat_set_snat_addresses*` was acknowledged, or VPP told that it has addresses. */
  snatAddressesSet: boolean;
}

type Guard<N extends MessageName> = (
  fields: FieldsOf<N>,
  state: HazardState,
) => { readonly field: string; readonly reason: string } | undefined;

const snatGuard = (_fields: unknown, state: HazardState) =>
  state.snatAddressesSet
    ? undefined
    : {
        field: '(order)',
        reason: 'crashes VPP unless cnat_set_snat_addresses_v2 was acknowledged before it',
      };

const guards: { readonly [N in MessageName]?: Guard<N> } = {
  cnat_set_snat_policy: snatGuard,
  cnat_snat_policy_add_del_exclude_pfx: snatGuard,
  cnat_snat_policy_add_del_if: snatGuard,
  cnat_translation_update: ({ translation }) => guardTranslation(translation),
  lb_flush_vip: ({ pfx }) =>
    familyOf(pfx) === 4
      ? { field: 'pfx', reason: 'is IPv4, for which VPP uses an uninitialised index' }
      : undefined,
  lb_conf: ({ sticky_buckets_per_core: buckets }) =>
    isPowerOfTwo(buckets)
      ? undefined
      : { field: 'sticky_buckets_per_core', reason: `is ${buckets}, not a power of two` },
  acl_interface_set_acl_list: (fields) => guardLists(fields),
};

/** Throws HazardError when VPP must not see this request. */
export function guardRequest<N extends MessageName>(
  name: N,
  fields: FieldsOf<N>,
  state: HazardState,
): void {
  const guard = guards[name] as Guard<N> | undefined;
  const hazard = guard?.(fields, state);
  if (hazard !== undefined) throw new HazardError(name, hazard.field, hazard.reason);
}

/** Learns from what VPP answered. */
export function learnReply(name: MessageName, retval: number, state: HazardState): void {
  const tells =
    name === 'cnat_set_snat_addresses' ||
    name === 'cnat_set_snat_addresses_v2' ||
    // Of a VPP that was never told any, the answer is an error (-30).
    name === 'cnat_get_snat_addresses';
  if (tells && retval === 0) state.snatAddressesSet = true;
}

type Translation = FieldsOf<'cnat_translation_update'>['translation'];

function guardTranslation(translation: Translation): ReturnType<Guard<MessageName>> {
  const { paths, vip } = translation;
  if (paths.length === 0) {
    return { field: 'translation.paths', reason: 'is empty, which aborts VPP' };
  }
  if (paths.length > maxTranslationPaths) {
    const reason = `has ${paths.length} entries; more than ${maxTranslationPaths} crash VPP`;
    return { field: 'translation.paths', reason };
  }
  if (translation.lb_type > 1) {
    const reason = `is ${translation.lb_type}, neither default (0) nor maglev (1)`;
    return { field: 'translation.lb_type', reason };
  }
  return guardFamilies(vip.addr, paths);
}

/** VPP takes an IPv6 backend for an IPv4 VIP and answers 0. */
function guardFamilies(vip: Ip, paths: Translation['paths']): ReturnType<Guard<MessageName>> {
  const family = familyOf(vip);
  for (const [i, path] of paths.entries()) {
    if (familyOf(path.dst_ep.addr) === family) continue;
    const reason = `is ${path.dst_ep.addr}, not of the family of the VIP ${vip}`;
    return { field: `translation.paths[${i}].dst_ep.addr`, reason };
  }
  return undefined;
}

/** VPP writes the output, refuses a list that is twice in the input, and answers 1: no error. */
function guardLists({
  n_input: inputs,
  acls,
}: FieldsOf<'acl_interface_set_acl_list'>): ReturnType<Guard<MessageName>> {
  if (inputs > acls.length)
    return { field: 'n_input', reason: `is ${inputs} of ${acls.length} lists` };
  const hasTwice = (of: readonly number[]) => new Set(of).size < of.length;
  return hasTwice(acls.slice(0, inputs)) || hasTwice(acls.slice(inputs))
    ? { field: 'acls', reason: 'has a list twice in one direction' }
    : undefined;
}

function isPowerOfTwo(value: number): boolean {
  return value > 0 && (value & (value - 1)) === 0;
}
