import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Capture } from '../plane/drops.ts';
import { type Answers, Retval, type World } from './world.ts';

/** Bounds of VPP on what is kept of a packet. */
const bytesMin = 32;
const bytesMax = 9000;

/**
 * Captures of dropped packets; there is one at a time. Written when it is switched off, into
 * VPP's /tmp. Source: VPP v26.06 `vnet/interface_cli.c`, `vnet_pcap_dispatch_trace_configure`.
 */
export function captureAnswers(world: World): Answers {
  const { drops, interfaces } = world.plane;
  return {
    pcap_trace_on(fields) {
      const name = /^\s*(\S+)/.exec(fields.filename)?.[1];
      if (name === undefined || name.includes('/') || name.includes('..'))
        return { retval: Retval.illegalName };
      if (interfaces.get(fields.sw_if_index) === undefined)
        return { retval: Retval.invalidSwIfIndex };
      const on = fields.capture_rx || fields.capture_tx || fields.capture_drop;
      if (!on) return { retval: drops.capture === undefined ? Retval.valueExist : write(world) };
      if (drops.capture !== undefined) return { retval: Retval.invalidValue };
      if (fields.max_bytes_per_packet < bytesMin || fields.max_bytes_per_packet > bytesMax)
        return { retval: Retval.invalidMemorySize };
      drops.capture = {
        path: join(world.tmpDirectory, name),
        packetsMax: fields.capture_drop ? fields.max_packets : 0,
        bytesMax: fields.max_bytes_per_packet,
        packets: [],
      };
      return { retval: 0 };
    },
    pcap_trace_off: () => ({
      retval: drops.capture === undefined ? Retval.valueExist : write(world),
    }),
  };
}

/** What `pcap trace status` says. */
export function formatCapture({ plane }: World): string {
  const { capture } = plane.drops;
  if (capture === undefined) return 'pcap dispatch capture disabled\n';
  return `pcap drop dispatch capture enabled: ${capture.packets.length} of ${capture.packetsMax} pkts...\ncapture to file ${capture.path}\n`;
}

function write({ plane }: World): number {
  const { capture } = plane.drops;
  plane.drops.capture = undefined;
  if (capture === undefined || capture.packets.length === 0) return Retval.noSuchEntry;
  try {
    writeFileSync(capture.path, captureFile(capture), { mode: 0o664 });
    return 0;
  } catch {
    // VPP reports it and says that the system call failed.
    return Retval.syscallError1;
  }
}

/** The file format of libpcap, in the byte order of the machine; Ethernet. */
function captureFile({ packets }: Capture): Buffer {
  const head = Buffer.alloc(24);
  head.writeUInt32LE(0xa1b2c3d4, 0);
  head.writeUInt16LE(2, 4);
  head.writeUInt16LE(4, 6);
  head.writeUInt32LE(65_536, 16);
  head.writeUInt32LE(1, 20);
  const parts = packets.flatMap(({ seconds, bytes, length }) => {
    const record = Buffer.alloc(16);
    record.writeUInt32LE(Math.floor(seconds), 0);
    record.writeUInt32LE(Math.floor((seconds % 1) * 1e6), 4);
    record.writeUInt32LE(bytes.length, 8);
    record.writeUInt32LE(length, 12);
    return [record, bytes];
  });
  return Buffer.concat([head, ...parts]);
}
