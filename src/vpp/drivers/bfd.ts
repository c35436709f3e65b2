import type { FieldsOf } from '../../../native/vpp-api/codec.ts';
import type { BfdSessionRow } from '../../desired/rows.ts';
import type { Held } from '../../reconcile/driver.ts';
import type { VppDriverParts, VppSession } from '../session.ts';

/** VNET_API_ERROR_BFD_ENOENT: no such session. */
const noSuchSession = -102;

/**
 * BFD sessions of single hops. VPP tells sessions apart by interface and both addresses; we have
 * one a neighbour, so another local address replaces the session.
 */
export const bfdParts: VppDriverParts<BfdSessionRow> = {
  async dump(session) {
    const all = await session.connection.dump('bfd_udp_session_dump', {});
    return all.flatMap((entry): Held<BfdSessionRow>[] => {
      const name = session.handles.nameOf(entry.sw_if_index);
      // Sessions of others: on interfaces that are not ours, or of several hops.
      if (name === undefined) return [];
      const row: BfdSessionRow = {
        interface: name,
        local: entry.local_addr,
        peer: entry.peer_addr,
        minTxMs: entry.desired_min_tx / 1000,
        minRxMs: entry.required_min_rx / 1000,
        multiplier: entry.detect_mult,
      };
      return [{ key: row.peer, row }];
    });
  },
  async put(session, row, from) {
    if (from !== undefined && (from.interface !== row.interface || from.local !== row.local))
      await remove(session, from);
    // Adds the session, or changes its timers without bringing it down.
    await session.connection.request('bfd_udp_upd', {
      ...addressesOf(session, row),
      desired_min_tx: row.minTxMs * 1000,
      required_min_rx: row.minRxMs * 1000,
      detect_mult: row.multiplier,
      is_authenticated: false,
      bfd_key_id: 0,
      conf_key_id: 0,
    });
  },
  async remove(session, _key, from) {
    if (from !== undefined) await remove(session, from);
  },
};

async function remove(session: VppSession, row: BfdSessionRow): Promise<void> {
  // An interface that is gone took its sessions with it.
  if (!session.handles.interfaces.has(row.interface)) return;
  await session.connection.request('bfd_udp_del', addressesOf(session, row), {
    allow: [noSuchSession],
  });
}

function addressesOf(session: VppSession, row: BfdSessionRow): FieldsOf<'bfd_udp_del'> {
  return {
    sw_if_index: session.handles.need(row.interface),
    local_addr: row.local,
    peer_addr: row.peer,
  };
}
