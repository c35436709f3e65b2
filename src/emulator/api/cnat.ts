import type { FieldsOf } from '../../../native/vpp-api/codec.ts';
import { ip } from '../../core/ip.ts';
import { addrFromIp, addrPrefix, ipFromAddr, isUnspecified } from '../address.ts';
import type { Tuple } from '../cnat/flow.ts';
import { setExcluded, setInterface } from '../cnat/snat.ts';
import {
  PathFlag,
  type Translation,
  TranslationFlag,
  type TranslationPath,
} from '../cnat/translations.ts';
import { countFeature, noInterface } from '../plane/interfaces.ts';
import { type Answers, Retval, type World, WouldCrashVpp } from './world.ts';

type ApiTranslation = FieldsOf<'cnat_translation_update'>['translation'];
type ApiEndpoint = ApiTranslation['vip'];

/** VPP keeps the number of backends of a load-balance in 16 bits (facts: 70,000 crash). */
const pathsMax = 65_535;

/** The cnat plugin. Source: VPP v26.06 `plugins/cnat/cnat_api.c`; crashes: observed. */
export function cnatAnswers(world: World): Answers {
  return { ...translationAnswers(world), ...snatAnswers(world), ...snatPolicyAnswers(world) };
}

function translationAnswers(world: World): Answers {
  const { cnat, interfaces } = world.plane;
  return {
    cnat_translation_update(fields) {
      const { translation } = fields;
      if (translation.paths.length === 0)
        throw new WouldCrashVpp('SIGABRT', 'a translation without paths');
      if (translation.paths.length > pathsMax)
        throw new WouldCrashVpp('SIGSEGV', 'a translation with more than 65,535 paths');
      const one = cnat.translations.put({
        vip: addrFromIp(translation.vip.addr),
        port: translation.vip.port,
        protocol: translation.ip_proto,
        flags: translation.flags | (translation.is_real_ip ? 0 : TranslationFlag.exclusive),
        lbType: translation.lb_type,
        flowHash: translation.flow_hash_config,
        paths: translation.paths.map(readTranslationPath),
      });
      return { retval: 0, id: one.id };
    },
    cnat_translation_del: (fields) => ({
      retval: cnat.translations.remove(fields.id) ? 0 : Retval.noSuchEntry,
    }),
    *cnat_translation_dump() {
      const all = [...cnat.translations.all.values()].toSorted((a, b) => a.id - b.id);
      for (const one of all) yield { translation: describeTranslation(one) };
    },
    *cnat_session_dump() {
      for (const { flow, isReturn } of cnat.sessions.entries.values()) {
        const tuple = isReturn
          ? returnTuple(flow.output?.tuple ?? flow.input?.tuple ?? flow.original)
          : flow.original;
        yield { session: describeSession(tuple, flow.id, isReturn) };
      }
    },
    cnat_session_purge() {
      // It purges the translations too (facts: observed).
      cnat.sessions.purge();
      cnat.translations.purge();
      return { retval: 0 };
    },
    feature_cnat_enable_disable(fields) {
      const one = interfaces.get(fields.sw_if_index);
      if (one === undefined) return { retval: Retval.invalidSwIfIndex };
      for (const feature of Object.values(one.cnat))
        for (const family of [4, 6] as const) countFeature(feature, family, fields.enable_disable);
      return { retval: 0 };
    },
  };
}

function readTranslationPath(path: ApiTranslation['paths'][number]): TranslationPath {
  return {
    addr: addrFromIp(path.dst_ep.addr),
    port: path.dst_ep.port,
    sourceAddr: addrFromIp(path.src_ep.addr),
    sourcePort: path.src_ep.port,
    flags: path.flags,
  };
}

/** Flags, `is_real_ip` and the hash come back as zero; path flags carry VPP's own bits (facts). */
function describeTranslation(one: Translation): ApiTranslation {
  return {
    vip: describeEndpoint(ipFromAddr(one.vip), one.port),
    id: one.id,
    ip_proto: one.protocol,
    is_real_ip: 0,
    flags: 0,
    lb_type: one.lbType,
    flow_hash_config: 0,
    paths: one.trackers.map((tracker) => ({
      dst_ep: describeEndpoint(ipFromAddr(tracker.addr), tracker.port),
      src_ep: describeEndpoint(ipFromAddr(tracker.sourceAddr), tracker.sourcePort),
      flags: tracker.flags | PathFlag.active,
    })),
  };
}

function describeEndpoint(addr: ApiEndpoint['addr'], port: number): ApiEndpoint {
  return { addr, sw_if_index: noInterface, if_af: addr.includes(':') ? 1 : 0, port };
}

function returnTuple(tuple: Tuple): Tuple {
  return {
    source: tuple.target,
    target: tuple.source,
    sourcePort: tuple.targetPort,
    targetPort: tuple.sourcePort,
    protocol: tuple.protocol,
  };
}

/** `CNAT_SESSION_IS_RETURN`. */
const sessionIsReturn = 16;

function describeSession(
  tuple: Tuple,
  id: number,
  isReturn: boolean,
): FieldsOf<'cnat_session_details'>['session'] {
  return {
    tuple: {
      addr: [ipFromAddr(tuple.source), ipFromAddr(tuple.target)],
      // In the wrong byte order, as VPP gives them (cnat_5tuple_encode).
      port: [swapped(tuple.sourcePort), swapped(tuple.targetPort)],
      ip_proto: tuple.protocol,
    },
    ts_index: id,
    flags: isReturn ? sessionIsReturn : 0,
  };
}

type SnatFields = Pick<
  FieldsOf<'cnat_set_snat_addresses_v2'>,
  'snat_ip4' | 'snat_ip6' | 'sw_if_index'
>;

function snatAnswers(world: World): Answers {
  const { snat } = world.plane.cnat;
  const set = (fields: SnatFields, flags: number) => {
    const ip4 = addrFromIp(fields.snat_ip4);
    const ip6 = addrFromIp(fields.snat_ip6);
    const clears = isUnspecified(ip4) && isUnspecified(ip6) && fields.sw_if_index === noInterface;
    if (clears && !snat.configured) return { retval: Retval.featureDisabled };
    if (!snat.configured) snat.flags = flags;
    snat.configured = !clears;
    snat.addr4 = isUnspecified(ip4) ? undefined : ip4;
    snat.addr6 = isUnspecified(ip6) ? undefined : ip6;
    snat.interface = fields.sw_if_index;
    if (clears) {
      snat.policy = 0;
      for (const members of snat.interfaces) members.clear();
    }
    return { retval: 0 };
  };
  const addresses = () => ({
    snat_ip4: snat.addr4 === undefined ? ip('0.0.0.0') : ipFromAddr(snat.addr4),
    snat_ip6: snat.addr6 === undefined ? ip('::') : ipFromAddr(snat.addr6),
    sw_if_index: snat.configured ? snat.interface : 0,
  });
  return {
    cnat_set_snat_addresses: (fields) => set(fields, 0),
    cnat_set_snat_addresses_v2: (fields) => set(fields, fields.flags),
    cnat_get_snat_addresses: () => ({
      retval: snat.configured ? 0 : Retval.featureDisabled,
      id: 0,
      ...addresses(),
    }),
    *cnat_snat_addresses_dump() {
      if (!snat.configured) return;
      yield {
        retval: 0,
        fwd_table_id4: 0,
        fwd_table_id6: 0,
        ret_table_id4: 0,
        ret_table_id6: 0,
        ...addresses(),
      };
    },
  };
}

function snatPolicyAnswers(world: World): Answers {
  const { cnat, interfaces } = world.plane;
  const { snat } = cnat;
  return {
    cnat_set_snat_policy(fields) {
      if (!snat.configured)
        throw new WouldCrashVpp('SIGSEGV', 'a SNAT policy before its addresses');
      if (fields.policy > 3) return { retval: Retval.invalidValue };
      snat.policy = fields.policy;
      return { retval: 0 };
    },
    cnat_snat_policy_add_del_exclude_pfx(fields) {
      if (!snat.configured)
        throw new WouldCrashVpp('SIGSEGV', 'an excluded prefix before the SNAT addresses');
      setExcluded(snat, addrPrefix(fields.prefix), fields.is_add !== 0);
      return { retval: 0 };
    },
    cnat_snat_policy_add_del_if(fields) {
      if (interfaces.get(fields.sw_if_index) === undefined)
        return { retval: Retval.invalidSwIfIndex };
      const { table } = fields;
      if (table !== 0 && table !== 1 && table !== 2 && table !== 3)
        return { retval: Retval.invalidValue };
      if (!snat.configured) return { retval: Retval.featureDisabled };
      setInterface(snat, table, { index: fields.sw_if_index, add: fields.is_add !== 0 });
      return { retval: 0 };
    },
  };
}

function swapped(port: number): number {
  return ((port & 0xff) << 8) | (port >> 8);
}
