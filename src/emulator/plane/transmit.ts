import type { Interface } from './interfaces.ts';
import type { Plane } from './plane.ts';

/** The last node: counts a frame and hands it to whatever carries the interface. */
export function transmitFrame(plane: Plane, out: Interface, frame: Buffer): void {
  if (!out.adminUp || !out.linkUp) {
    out.counters.drops++;
    return;
  }
  out.counters.txPackets++;
  out.counters.txBytes += frame.length;
  plane.outputs?.push({ interface: out.name, bytes: Buffer.from(frame) });
  out.transmit?.(frame);
}
