import { acl_action } from '../../../native/vpp-api/catalogue/acl-types.ts';
import type { FieldsOf } from '../../../native/vpp-api/codec.ts';
import { familyOf, hostPrefix, type Prefix, prefix, prefixAddress } from '../../core/ip.ts';
import type { SourceRow } from '../../desired/rows.ts';
import { none, noSuchEntry, tagPrefix, type VppDriverParts } from '../session.ts';

/**
 * Packets of an interface may come from its own addresses only.
 *
 * By a MACIP ACL of its own, with our tag and the interface's name. It has classifier tables for
 * each length of prefixes, which on VPP 26.06 take 0.8 ms to make and 0.15 MB (and 100 MB of
 * addresses without memory) for an interface of both families. VPP asks it after the filters
 * (inacl stands behind acl-plugin-in), and neither ARP nor multicast of IPv6.
 */
export const sourceParts: VppDriverParts<SourceRow> = {
  async dump({ connection, handles }) {
    handles.sources.clear();
    const [lists, bindings] = await Promise.all([
      connection.dump('macip_acl_dump', { acl_index: none }),
      connection.dump('macip_acl_interface_list_dump', { sw_if_index: none }),
    ]);
    const bound = new Map(
      bindings.flatMap(({ sw_if_index, acls }) => acls.map((acl) => [sw_if_index, acl] as const)),
    );
    return lists
      .filter(({ tag }) => tag.startsWith(tagPrefix))
      .map(({ acl_index, tag, r }) => {
        const name = tag.slice(tagPrefix.length);
        handles.sources.set(name, acl_index);
        const isBound = bound.get(handles.interfaces.get(name) ?? none) === acl_index;
        return { key: name, row: isBound ? readRow(name, r) : undefined };
      });
  },
  async put({ connection, handles }, row) {
    const swIfIndex = handles.need(row.interface);
    const { acl_index } = await connection.request('macip_acl_add_replace', {
      acl_index: handles.sources.get(row.interface) ?? none,
      tag: tagPrefix + row.interface,
      r: writeRules(row),
    });
    handles.sources.set(row.interface, acl_index);
    const binding = { is_add: true, sw_if_index: swIfIndex, acl_index };
    await connection.request('macip_acl_interface_add_del', binding);
  },
  async remove({ connection, handles }, name) {
    const index = handles.sources.get(name);
    if (index === undefined) return;
    // VPP takes it from its interface.
    await connection.request('macip_acl_del', { acl_index: index }, { allow: [noSuchEntry] });
    handles.sources.delete(name);
  },
};

type Rule = FieldsOf<'macip_acl_add_replace'>['r'][number];

/** Neighbour discovery (RFC 4861 section 4.3) comes from link-local addresses, and from none. */
const alwaysIp6 = [prefix('fe80::/10'), prefix('::/128')];

/** VPP lets a family pass of which there is no rule: this one matches nobody. */
const noIp4 = prefix('0.0.0.0/32');

function writeRules({ ips }: SourceRow): Rule[] {
  const permitted = [...ips.map(hostPrefix), ...alwaysIp6].map((one) => rule(one, true));
  return ips.some((ip) => familyOf(ip) === 4) ? permitted : [...permitted, rule(noIp4, false)];
}

function rule(source: Prefix, isPermit: boolean): Rule {
  return {
    is_permit: isPermit ? acl_action.ACL_ACTION_API_PERMIT : acl_action.ACL_ACTION_API_DENY,
    src_mac: anyMac,
    src_mac_mask: anyMac,
    src_prefix: source,
  };
}

const anyMac = '00:00:00:00:00:00';

/** Undefined when we would not write such rules: then they are written again. */
function readRow(name: string, rules: readonly Rule[]): SourceRow | undefined {
  const hosts = rules.filter(({ src_prefix }) => isHost(src_prefix));
  const row = { interface: name, ips: hosts.map(({ src_prefix }) => prefixAddress(src_prefix)) };
  const written = writeRules(row);
  const isOurs = rules.length === written.length && written.every((one, i) => same(one, rules[i]));
  return isOurs ? row : undefined;
}

function isHost(source: Prefix): boolean {
  return source === hostPrefix(prefixAddress(source)) && ![...alwaysIp6, noIp4].includes(source);
}

function same(a: Rule, b: Rule | undefined): boolean {
  return (
    a.is_permit === b?.is_permit &&
    a.src_prefix === b.src_prefix &&
    a.src_mac_mask === b.src_mac_mask
  );
}
