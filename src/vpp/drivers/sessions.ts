import type { VppConnection } from '../../../native/vpp-api/client.ts';
import type { SessionPauseRow } from '../../desired/rows.ts';
import type { VppDriverParts } from '../session.ts';
import { protocolName } from './nat.ts';

/**
 * Whether cnat looks for sessions to end.
 *
 * A session ends when its time is over, or when the path that it was given to is no longer in
 * its translation; both are found by one scan (VPP, src/plugins/cnat/cnat_session.c). There is no
 * call to take a path out for new connections only. So while endpoints terminate the scan rests:
 * new connections go elsewhere, open ones go on. The scan has a switch only in VPP's CLI.
 */
export const sessionPauseParts: VppDriverParts<SessionPauseRow> = {
  // It cannot be read back. Shown as there, so that a daemon that starts switches the scan on.
  dump: () => Promise.resolve([{ key: 'scan', row: undefined }]),
  put: ({ connection }) => switchScan(connection, false),
  remove: ({ connection }) => switchScan(connection, true),
};

/** Starts or stops the scan of sessions. */
export async function switchScan(connection: VppConnection, on: boolean): Promise<void> {
  await connection.request('cli_inband', { cmd: `test cnat scanner ${on ? 'on' : 'off'}` });
}

/**
 * `address port protocol` of what sessions were opened to: frontends, and everything else that
 * somebody talks to. Reads all sessions of VPP.
 */
export async function sessionTargets(connection: VppConnection): Promise<Set<string>> {
  const targets = new Set<string>();
  for (const { session } of await connection.dump('cnat_session_dump', {})) {
    const { addr, port, ip_proto: number } = session.tuple;
    targets.add(`${addr[1] ?? ''} ${swapped(port[1] ?? 0)} ${protocolName(number)}`);
  }
  return targets;
}

/** VPP 26.06 writes the ports of sessions in the wrong byte order (cnat_5tuple_encode). */
export function swapped(port: number): number {
  return ((port & 0xff) << 8) | (port >> 8);
}
