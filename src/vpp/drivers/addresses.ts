import { addressWithLength, splitAddressWithPrefix } from '../../../native/vpp-api/address.ts';
import { ip_neighbor_flags } from '../../../native/vpp-api/catalogue/ip-neighbor.ts';
import { type Ip, ip } from '../../core/ip.ts';
import type { AddressRow, NeighbourRow } from '../../desired/rows.ts';
import { tables } from '../../desired/tables.ts';
import type { Held } from '../../reconcile/driver.ts';
import { none, type VppDriverParts, type VppSession } from '../session.ts';

/** Own and borrowed addresses of interfaces. */
export const addressParts: VppDriverParts<AddressRow> = {
  async dump(session) {
    const borrowed = await dumpBorrowed(session);
    const borrowers = new Set(borrowed.map((entry) => entry.row?.interface));
    const owners = [...session.handles.interfaces].filter(([name]) => !borrowers.has(name));
    const own = await Promise.all(
      owners.flatMap(([name, swIfIndex]) =>
        [false, true].map((isIpv6) => dumpOwn(session, name, swIfIndex, isIpv6)),
      ),
    );
    return [...borrowed, ...own.flat()];
  },
  async put(session, row) {
    await write(session, row, true);
  },
  async remove(session, _key, from) {
    // An interface that is gone took its addresses with it.
    if (from === undefined || !session.handles.interfaces.has(from.interface)) return;
    await write(session, from, false);
  },
};

/** Permanent neighbours. */
export const neighbourParts: VppDriverParts<NeighbourRow> = {
  async dump(session) {
    const lists = await Promise.all(
      [0, 1].map((af) => session.connection.dump('ip_neighbor_dump', { sw_if_index: none, af })),
    );
    return lists.flat().flatMap(({ neighbor }) => {
      const name = session.handles.nameOf(neighbor.sw_if_index);
      const isStatic = (neighbor.flags & ip_neighbor_flags.IP_API_NEIGHBOR_FLAG_STATIC) !== 0;
      if (name === undefined || !isStatic) return [];
      const row = { interface: name, ip: neighbor.ip_address, mac: neighbor.mac_address };
      return [{ key: tables.neighbours.key(row), row }];
    });
  },
  async put(session, row) {
    await writeNeighbour(session, row, true);
  },
  async remove(session, _key, from) {
    if (from === undefined || !session.handles.interfaces.has(from.interface)) return;
    await writeNeighbour(session, from, false);
  },
};

async function dumpBorrowed(session: VppSession): Promise<Held<AddressRow>[]> {
  const details = await session.connection.dump('ip_unnumbered_dump', { sw_if_index: none });
  return details.flatMap((entry) => {
    const name = session.handles.nameOf(entry.sw_if_index);
    const from = session.handles.nameOf(entry.ip_sw_if_index);
    if (name === undefined || from === undefined) return [];
    const row: AddressRow = { kind: 'borrowed', interface: name, from };
    return [{ key: tables.addresses.key(row), row }];
  });
}

async function dumpOwn(
  session: VppSession,
  name: string,
  swIfIndex: number,
  isIpv6: boolean,
): Promise<Held<AddressRow>[]> {
  const details = await session.connection.dump('ip_address_dump', {
    sw_if_index: swIfIndex,
    is_ipv6: isIpv6,
  });
  return details.map((entry) => {
    const { address, length } = splitAddressWithPrefix(entry.prefix);
    const row: AddressRow = { kind: 'own', interface: name, ip: address, length };
    return { key: tables.addresses.key(row), row };
  });
}

async function write(session: VppSession, row: AddressRow, isAdd: boolean): Promise<void> {
  const swIfIndex = session.handles.need(row.interface);
  if (row.kind === 'own')
    await session.connection.request('sw_interface_add_del_address', {
      sw_if_index: swIfIndex,
      is_add: isAdd,
      del_all: false,
      prefix: addressWithLength(row.ip, row.length),
    });
  else
    await session.connection.request('sw_interface_set_unnumbered', {
      sw_if_index: session.handles.need(row.from),
      unnumbered_sw_if_index: swIfIndex,
      is_add: isAdd,
    });
}

async function writeNeighbour(
  session: VppSession,
  row: NeighbourRow,
  isAdd: boolean,
): Promise<void> {
  await session.connection.request('ip_neighbor_add_del', {
    is_add: isAdd,
    neighbor: {
      sw_if_index: session.handles.need(row.interface),
      flags: ip_neighbor_flags.IP_API_NEIGHBOR_FLAG_STATIC,
      mac_address: row.mac,
      ip_address: row.ip,
    },
  });
}

/** The address that means "none" in VPP's messages. */
export const unspecified: { readonly [F in 4 | 6]: Ip } = { 4: ip('0.0.0.0'), 6: ip('::') };
