import type { Clock } from '../../core/clock.ts';
import type { Plane } from '../plane/plane.ts';
import { statEntries } from './entries.ts';
import { createStatsSegment } from './segment.ts';
import { serveDescriptor } from './socket.ts';

/** Time between two updates of the segment, milliseconds: VPP collects every 10 s. */
const updateMs = 1000;

/** Serves the stats segment of a data plane at `path`. */
export function serveStats(plane: Plane, path: string, clock: Clock): Disposable {
  const segment = createStatsSegment();
  const bootSeconds = Math.floor(clock.now() / 1000);
  let heartbeats = 0;
  const update = () => {
    segment.write(statEntries(plane, { heartbeats: heartbeats++, bootSeconds }));
    timer = clock.after(updateMs, update);
  };
  segment.write(statEntries(plane, { heartbeats: heartbeats++, bootSeconds }));
  let timer = clock.after(updateMs, update);
  const stopServing = serveDescriptor(path, segment.fd);
  return {
    [Symbol.dispose]() {
      timer.cancel();
      stopServing();
      segment.close();
    },
  };
}
