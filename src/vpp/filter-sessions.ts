import type { VppConnection } from '../../native/vpp-api/client.ts';

/**
 * Sessions that filters have opened and that have not ended; undefined when VPP says it otherwise
 * than it did. In VPP's CLI only (VPP v26.06 `acl/acl.c`, acl_plugin_show_sessions). Where VPP
 * has no room for more it drops what would open one.
 */
export async function filterSessions(
  connection: Pick<VppConnection, 'request'>,
): Promise<number | undefined> {
  const { reply } = await connection.request('cli_inband', { cmd: 'show acl-plugin sessions' });
  const total = /^Sessions total: add \d+ - del \d+ = (\d+)/m.exec(reply)?.[1];
  return total === undefined ? undefined : Number(total);
}
