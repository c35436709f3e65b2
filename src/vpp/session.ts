import type { ReplyOf, RequestName } from '../../native/vpp-api/catalogue/index.ts';
import type { VppConnection } from '../../native/vpp-api/client.ts';
import type { FieldsOf } from '../../native/vpp-api/codec.ts';
import type { Stage, Table } from '../desired/table.ts';
import { type RowTypes, tables } from '../desired/tables.ts';
import {
  type AnyDriver,
  type Change,
  done,
  failed,
  type Held,
  type Outcome,
} from '../reconcile/driver.ts';
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
  await prepareFilters(connection);
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

/**
 * VPP's acl plugin: a session that its filters would not open any more ends at its next packet,
 * and matches of rules are counted. Both are switches of the whole plugin, off in a fresh VPP,
 * and may be set at any time: VPP has the counters of an ACL whether it counts or not (VPP,
 * src/plugins/acl/acl.c, validate_and_reset_acl_counters). The first is in VPP's CLI only.
 */
async function prepareFilters(connection: VppConnection): Promise<void> {
  const commands = [
    'set acl-plugin reclassify-sessions 1',
    `set acl-plugin session timeout udp idle ${udpIdleSeconds}`,
    `set acl-plugin session timeout tcp transient ${tcpTransientSeconds}`,
  ];
  const [said] = await Promise.all([
    Promise.all(commands.map((cmd) => connection.request('cli_inband', { cmd }))),
    connection.request('acl_stats_intf_counters_enable', { enable: true }),
  ]);
  for (const [i, { reply }] of said.entries())
    if (reply !== '') throw new Error(`VPP does not ${commands[i]}: ${reply}`);
}

/**
 * As long as Linux remembers a UDP stream (nf_conntrack_udp_timeout_stream). VPP's own 600 s fill
 * its table, which all pods share, with answered questions for names.
 */
const udpIdleSeconds = 120;

/**
 * When lists change, VPP opens the session of a connection anew at its next packet. It has not seen
 * its SYN then and keeps it as long as one that is not established, by default 120 s: an idle
 * connection would end by a change that allows it. Of these, VPP drops the oldest when the table is
 * full, so that closed connections take nobody's place.
 */
const tcpTransientSeconds = 1800;

/** A row as one request: how large tables are written. */
export interface BulkParts<Row, N extends RequestName> {
  readonly message: N;
  /** The request that puts a row; throws when the row must wait. */
  fields(session: VppSession, row: Row): FieldsOf<N>;
  /** What the reply says, such as a number that VPP gave. */
  learn?(session: VppSession, row: Row, reply: FieldsOf<ReplyOf<N>>): void;
  /** Whether `from` can become `to` by that one request; the others go through `put`. */
  suits?(session: VppSession, from: Row | undefined, to: Row): boolean;
}

/** How one table is written to VPP; what is common to all tables is in `vppDriver`. */
export interface VppDriverParts<Row> {
  dump(session: VppSession): Promise<readonly Held<Row>[]>;
  /** Writes a row. Called for all changes of a stage at once, so requests are pipelined. */
  put(session: VppSession, row: Row, from: Row | undefined): Promise<void>;
  /** Removes what the key names; `from` is undefined when only the key is known. */
  remove(session: VppSession, key: string, from: Row | undefined): Promise<void>;
}

/**
 * A driver of one table of VPP. Puts that one request can do go out together, without a Promise
 * for each; the other changes are calls of their own, all at once.
 */
export function vppDriver<Name extends Stage, N extends RequestName = RequestName>(
  name: Name,
  current: () => VppSession,
  parts: VppDriverParts<RowTypes[Name]> & { readonly bulk?: BulkParts<RowTypes[Name], N> },
): AnyDriver {
  type Row = RowTypes[Name];
  return {
    table: tables[name] as Table<unknown>,
    dump: () => parts.dump(current()),
    async apply(given) {
      const changes = given as readonly Change<Row>[];
      const session = current();
      const outcomes: Outcome[] = new Array(changes.length);
      const { bulk } = parts;
      const inBulk = (change: Change<Row>) =>
        bulk !== undefined &&
        change.to !== undefined &&
        bulk.suits?.(session, change.from, change.to) !== false;
      const write = async (index: number, { key, from, to }: Change<Row>) => {
        const written =
          to === undefined ? parts.remove(session, key, from) : parts.put(session, to, from);
        outcomes[index] = await written.then(() => done, failed);
      };
      const bulky: number[] = [];
      const others: Promise<void>[] = [];
      for (const [index, change] of changes.entries())
        if (inBulk(change)) bulky.push(index);
        else others.push(write(index, change));
      if (bulk !== undefined && bulky.length > 0)
        others.push(writeBulk(session, bulk, { changes, bulky, outcomes }));
      await Promise.all(others);
      return outcomes;
    },
  };
}

/** Puts the changes at the indices `bulky`, and writes their outcomes. */
function writeBulk<Row, N extends RequestName>(
  session: VppSession,
  bulk: BulkParts<Row, N>,
  given: {
    readonly changes: readonly Change<Row>[];
    readonly bulky: readonly number[];
    readonly outcomes: Outcome[];
  },
): Promise<void> {
  const { changes, bulky, outcomes } = given;
  const rowAt = (index: number) => changes[bulky[index] ?? 0]?.to as Row;
  return session.connection.requestAll(bulk.message, {
    length: bulky.length,
    fieldsOf: (index) => bulk.fields(session, rowAt(index)),
    done(index, reply) {
      bulk.learn?.(session, rowAt(index), reply);
      outcomes[bulky[index] ?? 0] = done;
    },
    failed(index, error) {
      outcomes[bulky[index] ?? 0] = failed(error);
    },
  });
}
