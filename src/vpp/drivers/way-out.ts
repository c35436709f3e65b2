import { fib_path_type } from '../../../native/vpp-api/catalogue/fib-types.ts';
import { prefix } from '../../core/ip.ts';
import { farEndAddresses } from '../../core/link-addresses.ts';
import { wayOutName } from '../../desired/names.ts';
import type { VppSession } from '../session.ts';
import { fibPath } from './routes.ts';

/**
 * The way of packets that leave by VXLAN.
 *
 * cnat of VPP 26.06 knows a packet by a mark that it keeps while the packet is wrapped. So on the
 * uplink it takes the outer UDP header for the flow inside, and translates the source of that flow
 * once more: a NodePort's second packet is lost (test/contract/tunnels.contract.ts). Outer packets
 * of IPIP and GRE are no flows to cnat, those of VXLAN are. A table of their own therefore leads
 * them to a loopback, on which they arrive again and are looked up as what they are then.
 */
export const wayOutTable = 4789;

const families = [
  { family: 4, everything: prefix('0.0.0.0/0') },
  { family: 6, everything: prefix('::/0') },
] as const;

/** Ways of a session that are being made or are made, by the loopback: tunnels share them. */
const ways = new WeakMap<VppSession, Map<number, Promise<void>>>();

/** Makes the way over the loopback, unless it is there. */
export function openWayOut(session: VppSession): Promise<void> {
  const loopback = session.handles.need(wayOutName);
  const known = ways.get(session) ?? new Map<number, Promise<void>>();
  ways.set(session, known);
  const open = known.get(loopback) ?? prepare(session, loopback);
  known.set(loopback, open);
  open.catch(() => known.delete(loopback));
  return open;
}

/** A loopback is about to go. */
export function forgetWayOut(session: VppSession, loopback: number): void {
  ways.get(session)?.delete(loopback);
}

async function prepare(session: VppSession, loopback: number): Promise<void> {
  const { connection } = session;
  await Promise.all(
    families.map(async ({ family, everything }) => {
      await lookUpOn(session, loopback, family);
      const table = { table_id: wayOutTable, is_ip6: family === 6, name: 'kvr-vxlan' };
      await connection.request('ip_table_add_del', { is_add: true, table });
      const normal = fib_path_type.FIB_API_PATH_TYPE_NORMAL;
      await connection.request('ip_route_add_del_v2', {
        is_add: true,
        is_multipath: false,
        route: {
          table_id: wayOutTable,
          stats_index: 0,
          prefix: everything,
          src: session.fibSource,
          paths: [fibPath(loopback, normal, family, farEndAddresses[family])],
        },
      });
    }),
  );
}

/** VPP counts how often a feature is enabled, so it is asked first. */
async function lookUpOn(session: VppSession, loopback: number, family: 4 | 6): Promise<void> {
  const feature = {
    sw_if_index: loopback,
    arc_name: `ip${family}-unicast`,
    feature_name: `cnat-lookup-ip${family}`,
  };
  const { is_enabled: isEnabled } = await session.connection.request('feature_is_enabled', feature);
  if (!isEnabled)
    await session.connection.request('feature_enable_disable', { ...feature, enable: true });
}
