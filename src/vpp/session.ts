import type { VppConnection } from '../../native/vpp-api/client.ts';
import type { Stage, Table } from '../desired/table.ts';
import { type RowTypes, tables } from '../desired/tables.ts';
import { type AnyDriver, type Change, done, failed, type Held } from '../reconcile/driver.ts';
import { createHandles, type Handles } from './handles.ts';

/** Everything that is valid for one connection to one run of VPP. */
export interface VppSession {
  readonly connection: VppConnection;
  readonly handles: Handles;
  /** Our own FIB source: its routes are ours, and only ours. */
  readonly fibSource: number;
  /** Makes the reconciler dump everything again, after something that rows do not describe. */
  readopt(): void;
}

/** The tag that VPP keeps with each of our interfaces: how they are found again. */
export const tagPrefix = 'kvr:';

/** VPP's "no such thing": an unset sw_if_index, or "all" in a dump. */
export const none = 0xffff_ffff;

/** VPP, src/vlib/../vnet/error.h: VNET_API_ERROR_IF_ALREADY_EXISTS. */
export const interfaceAlreadyExists = -79;

/** VNET_API_ERROR_NO_SUCH_ENTRY: what was to be removed is gone already. */
export const noSuchEntry = -6;

/** VNET_API_ERROR_VALUE_EXIST: it is so already. */
export const valueExists = -81;

/** VPP's ids of address families. */
export function familyCode(address: string): 0 | 1 {
  return address.includes(':') ? 1 : 0;
}

/** Priority of our FIB source; a smaller number wins, VPP's own API source has 128. */
const fibSourcePriority = 0xa0;
const fibSourceName = 'kube-vpp-router';

/** Finds or makes what every connection needs. */
export async function openSession(
  connection: VppConnection,
  readopt: () => void,
): Promise<VppSession> {
  const sources = await connection.dump('fib_source_dump', {});
  const own = sources.find((details) => details.src.name === fibSourceName);
  const fibSource =
    own?.src.id ??
    (
      await connection.request('fib_source_add', {
        src: { priority: fibSourcePriority, id: 0, name: fibSourceName },
      })
    ).id;
  return { connection, handles: createHandles(), fibSource, readopt };
}

/** How one table is written to VPP; what is common to all tables is in `vppDriver`. */
export interface VppDriverParts<Row> {
  dump(session: VppSession): Promise<readonly Held<Row>[]>;
  /** Writes a row. Called for all changes of a stage at once, so requests are pipelined. */
  put(session: VppSession, row: Row, from: Row | undefined): Promise<void>;
  /** Removes what the key names; `from` is undefined when only the key is known. */
  remove(session: VppSession, key: string, from: Row | undefined): Promise<void>;
}

/** A driver of one table of VPP. */
export function vppDriver<Name extends Stage>(
  name: Name,
  current: () => VppSession,
  parts: VppDriverParts<RowTypes[Name]>,
): AnyDriver {
  type Row = RowTypes[Name];
  return {
    table: tables[name] as Table<unknown>,
    dump: () => parts.dump(current()),
    async apply(changes) {
      const session = current();
      const write = (change: Change<Row>) =>
        change.to === undefined
          ? parts.remove(session, change.key, change.from)
          : parts.put(session, change.to, change.from);
      return Promise.all(
        (changes as readonly Change<Row>[]).map((change) => write(change).then(() => done, failed)),
      );
    },
  };
}
