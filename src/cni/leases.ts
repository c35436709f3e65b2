import type { Attachment } from '../model/facts.ts';
import { type AttachmentState, freedMax } from './attachment-file.ts';

/** The attachments, and with them the addresses in use, in memory. */
export interface Leases {
  readonly state: AttachmentState;
  /** Adds or replaces. */
  take(attachment: Attachment): void;
  /** The addresses go to the end of the freed ones. */
  release(key: string): void;
}

export function createLeases(initial: AttachmentState): Leases {
  let state = initial;
  return {
    get state() {
      return state;
    },
    take(attachment) {
      const attachments = new Map(state.attachments).set(attachment.key, attachment);
      const taken = new Set(attachment.ips);
      state = { attachments, freed: state.freed.filter((ip) => !taken.has(ip)) };
    },
    release(key) {
      const ips = state.attachments.get(key)?.ips ?? [];
      const attachments = new Map(state.attachments);
      attachments.delete(key);
      state = { attachments, freed: [...state.freed, ...ips].slice(-freedMax) };
    },
  };
}
