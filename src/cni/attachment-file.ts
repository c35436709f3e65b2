import { readIfPresent, writeDurably } from '../core/durable-file.ts';
import { type Ip, parseIp } from '../core/ip.ts';
import { type Parsed, parsed, rejected } from '../core/parsed.ts';
import type { Attachment } from '../model/facts.ts';

/**
 * The pods' attachments and address leases on disk: one small JSON file.
 *
 * The leases are the attachments' addresses, so the two cannot disagree. The file is written
 * whole and durably before anything is made for a new attachment. Callers in parallel share
 * writes: one is under way, one waits, and whoever comes meanwhile joins the waiting one. A
 * file that cannot be read in full is refused with everything in it: starting from nothing
 * would give addresses of running pods a second time.
 */
export interface AttachmentState {
  readonly attachments: ReadonlyMap<string, Attachment>;
  /** Addresses given back, oldest first; at most `freedMax`. */
  readonly freed: readonly Ip[];
}

/** Beyond this the oldest may be given out again like never used. */
export const freedMax = 1024;

export interface AttachmentFile {
  /** What `state` returns when the write starts is on disk when the promise resolves. */
  save(): Promise<void>;
}

export function createAttachmentFile(path: string, state: () => AttachmentState): AttachmentFile {
  let running: Promise<void> = Promise.resolve();
  let waiting: Promise<void> | undefined;
  return {
    save() {
      waiting ??= running
        // A failed write was reported to those who waited for it; the next one is on its own.
        .catch(() => undefined)
        .then(() => {
          waiting = undefined;
          return writeDurably(path, formatAttachmentState(state()));
        });
      running = waiting;
      return waiting;
    },
  };
}

/** No file is an empty state; a damaged one is an error. */
export async function loadAttachmentState(path: string): Promise<AttachmentState> {
  const text = await readIfPresent(path);
  if (text === undefined) return { attachments: new Map(), freed: [] };
  const state = parseAttachmentState(text);
  if (!state.ok) {
    throw new Error(
      `${path} is damaged: ${state.problem}. No pod can be attached safely; restore the file, or delete it after deleting this node's pods`,
    );
  }
  return state.value;
}

export function formatAttachmentState(state: AttachmentState): string {
  const attachments = [...state.attachments.values()].toSorted((a, b) => (a.key < b.key ? -1 : 1));
  return `${JSON.stringify({ version: 1, attachments, freed: state.freed }, undefined, 1)}\n`;
}

export function parseAttachmentState(text: string): Parsed<AttachmentState> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return rejected(`not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (!isObject(value)) return rejected('not an object');
  if (value.version !== 1) return rejected(`version ${String(value.version)} is not 1`);
  const { attachments, freed } = value;
  if (!Array.isArray(attachments)) return rejected('attachments is not a list');
  if (!Array.isArray(freed) || !freed.every(isIp)) return rejected('freed is not a list of IPs');
  const byKey = new Map<string, Attachment>();
  const owners = new Map<string, string>();
  for (const [i, entry] of attachments.entries()) {
    if (!isAttachment(entry)) return rejected(`attachments[${i}] is damaged`);
    if (byKey.has(entry.key)) return rejected(`attachments[${i}]: ${entry.key} twice`);
    for (const ip of entry.ips) {
      const owner = owners.get(ip);
      if (owner !== undefined) return rejected(`${ip} belongs to ${owner} and to ${entry.key}`);
      owners.set(ip, entry.key);
    }
    byKey.set(entry.key, entry);
  }
  return parsed({ attachments: byKey, freed });
}

const textFields = [
  'key',
  'containerId',
  'ifName',
  'pod',
  'podUid',
  'hostInterface',
  'netns',
  'mac',
  'gatewayMac',
] as const;

function isAttachment(value: unknown): value is Attachment {
  if (!isObject(value)) return false;
  const { ips, kind, mtu } = value;
  return (
    textFields.every((field) => typeof value[field] === 'string') &&
    value.key === `${String(value.containerId)}/${String(value.ifName)}` &&
    (kind === 'veth' || kind === 'tap') &&
    Number.isInteger(mtu) &&
    Array.isArray(ips) &&
    ips.length > 0 &&
    ips.every(isIp)
  );
}

function isIp(value: unknown): value is Ip {
  return typeof value === 'string' && parseIp(value) === value;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
