import { createConnection, type Socket } from 'node:net';
import type { MessageName, RequestName } from '../native/vpp-api/catalogue/index.ts';
import { encodeFrame, type FieldsOf } from '../native/vpp-api/codec.ts';
import { type MessageTable, shakeHands } from '../native/vpp-api/handshake.ts';
import { realClock } from '../src/core/clock.ts';
import { ip, prefix } from '../src/core/ip.ts';

/** A request of a bench, by its number. */
export interface Workload<N extends RequestName = RequestName> {
  readonly name: N;
  fields(index: number): FieldsOf<N>;
}

const none = 0xffff_ffff;

/** The `index`th address of `net.0.0.0/8`; from 1, for a network's own address is no host's. */
export function address(index: number, net: number) {
  const number = index + 1;
  return ip(`${net}.${(number >> 16) & 255}.${(number >> 8) & 255}.${number & 255}`);
}

export const pings: Workload<'control_ping'> = { name: 'control_ping', fields: () => ({}) };

export const routes: Workload<'ip_route_add_del_v2'> = {
  name: 'ip_route_add_del_v2',
  fields: (index) => ({
    is_add: true,
    is_multipath: false,
    route: {
      table_id: 0,
      stats_index: 0,
      prefix: prefix(`${address(index, 10)}/32`),
      src: 0,
      paths: [
        {
          sw_if_index: none,
          table_id: 0,
          rpf_id: none,
          weight: 1,
          preference: 0,
          type: 2,
          flags: 0,
          proto: 0,
          nh: { address: ip('0.0.0.0'), via_label: 0, obj_id: 0, classify_table_index: 0 },
          n_labels: 0,
          label_stack: [],
        },
      ],
    },
  }),
};

export const acls: Workload<'acl_add_replace'> = {
  name: 'acl_add_replace',
  fields: (index) => ({
    acl_index: none,
    tag: `bench-${index}`,
    r: Array.from({ length: 10 }, (_, rule) => ({
      is_permit: 2,
      src_prefix: prefix(`${address(index * 16 + rule, 10)}/32`),
      dst_prefix: prefix('0.0.0.0/0'),
      proto: 6,
      srcport_or_icmptype_first: 0,
      srcport_or_icmptype_last: 65_535,
      dstport_or_icmpcode_first: 80,
      dstport_or_icmpcode_last: 80,
      tcp_flags_mask: 0,
      tcp_flags_value: 0,
    })),
  }),
};

/** The translation of one Service, as src/vpp writes it. */
export const translations: Workload<'cnat_translation_update'> = {
  name: 'cnat_translation_update',
  fields: (index) => ({
    translation: {
      vip: { addr: address(index, 11), sw_if_index: none, if_af: 0, port: 80 },
      id: none,
      ip_proto: 6,
      is_real_ip: 0,
      flags: 9,
      lb_type: 0,
      flow_hash_config: 0,
      paths: Array.from({ length: 10 }, (_, path) => ({
        dst_ep: { addr: address(index * 10 + path, 12), sw_if_index: none, if_af: 0, port: 8080 },
        src_ep: { addr: ip('0.0.0.0'), sw_if_index: none, if_af: 0, port: 0 },
        flags: 0,
      })),
    },
  }),
};

/** Frames of many requests, in chunks of a socket's size, encoded before the time is taken. */
export interface Replay extends AsyncDisposable {
  /** Writes all of them and waits for as many replies; milliseconds. */
  run(workload: Workload, count: number): Promise<number>;
}

const chunkBytes = 65_536;

/** A raw socket that writes what is encoded and counts what comes back: the limit. */
export async function openReplay(apiSocket: string): Promise<Replay> {
  const socket = createConnection(apiSocket);
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve).once('error', reject);
  });
  const timeoutMs = 5_000;
  const table = await shakeHands(socket, { name: 'replay', clock: realClock, timeoutMs });
  return {
    run: (workload, count) => replay(socket, encodeAll(table, workload, count), count),
    async [Symbol.asyncDispose]() {
      await new Promise<void>((resolve) => {
        socket.once('close', () => resolve());
        socket.destroy();
      });
    },
  };
}

function encodeAll(table: MessageTable, workload: Workload, count: number): Buffer[] {
  const id = table.idOf(workload.name as MessageName);
  if (id === undefined) throw new Error(`this data plane has no ${workload.name}`);
  const chunks: Buffer[] = [];
  let frames: Buffer[] = [];
  let bytes = 0;
  for (let index = 0; index < count; index++) {
    const header = { id, clientIndex: table.clientIndex, context: index };
    const frame = encodeFrame(workload.name, header, workload.fields(index));
    frames.push(frame);
    bytes += frame.length;
    if (bytes >= chunkBytes || index === count - 1) {
      chunks.push(Buffer.concat(frames));
      frames = [];
      bytes = 0;
    }
  }
  return chunks;
}

/** Reads while it writes; a frame is 16 bytes of header, with the length at 8, and the message. */
function replay(socket: Socket, chunks: readonly Buffer[], count: number): Promise<number> {
  return new Promise((resolve, reject) => {
    let replies = 0;
    let rest: Buffer = Buffer.alloc(0);
    const startMs = performance.now();
    const read = (chunk: Buffer) => {
      const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      let at = 0;
      while (bytes.length - at >= 16) {
        const end = at + 16 + bytes.readUInt32BE(at + 8);
        if (end > bytes.length) break;
        at = end;
        replies++;
      }
      rest = bytes.subarray(at);
      if (replies < count) return;
      socket.off('data', read).off('error', reject);
      socket.pause();
      resolve(performance.now() - startMs);
    };
    socket.on('data', read).once('error', reject);
    socket.resume();
    writeAll(socket, chunks).catch(reject);
  });
}

async function writeAll(socket: Socket, chunks: readonly Buffer[]): Promise<void> {
  for (const chunk of chunks)
    if (!socket.write(chunk)) await new Promise((resolve) => socket.once('drain', resolve));
}
