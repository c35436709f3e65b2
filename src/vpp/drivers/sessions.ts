import type { SessionPauseRow } from '../../desired/rows.ts';
import type { VppDriverParts, VppSession } from '../session.ts';

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
  put: (session) => switchScan(session, false),
  remove: (session) => switchScan(session, true),
};

/** Starts or stops the scan of sessions. */
export async function switchScan(session: VppSession, on: boolean): Promise<void> {
  await session.connection.request('cli_inband', { cmd: `test cnat scanner ${on ? 'on' : 'off'}` });
}
