import { type Logger, pino } from 'pino';
import type { LogLevel } from '../model/config.ts';

/**
 * One JSON line per decision, to standard output, where Kubernetes looks for it.
 *
 * Written synchronously: a line that explains a crash is out before the process is. There is a
 * line per decision and none per packet, so the cost does not matter.
 */
export function createLog(level: LogLevel, node: string): Logger {
  const options = {
    level,
    base: { node },
    timestamp: pino.stdTimeFunctions.isoTime,
    messageKey: 'message',
    formatters: { level: (label: string) => ({ level: label }) },
  };
  return pino(options, pino.destination({ fd: 1, sync: true }));
}
