import type { WatchEvent } from './path-codec.ts';
import type { PeerState } from './peer-codec.ts';

/** What GoBGP 3 does not say, as far as it can be told from outside. */
export function guessReason({
  enabled,
  overLimit,
  notifications: { received, sent },
}: PeerState): string {
  if (overLimit) return 'prefix limit exceeded';
  if (!enabled) return 'disabled';
  const counts = [received > 0 ? `${received} received` : '', sent > 0 ? `${sent} sent` : ''];
  const some = counts.filter((text) => text !== '');
  return some.length === 0 ? '' : `notifications: ${some.join(', ')}`;
}

/** Ends of sessions. The number of neighbours is small, and that of callers from ranges too. */
export interface Ends {
  note(event: WatchEvent): void;
  /** A new gobgpd has no sessions; what happened before is past. */
  reset(): void;
  of(address: string): { readonly count: number; readonly reason: string };
}

/** GoBGP forgets callers from ranges, so this must. */
const endsMax = 10_000;

export function createEnds(): Ends {
  const established = new Set<string>();
  const ends = new Map<string, { readonly count: number; readonly reason: string }>();
  const none = { count: 0, reason: '' };
  return {
    note(event) {
      if (event.kind !== 'peer' || event.address === undefined) return;
      const { address, reason } = event;
      if (event.established) {
        established.add(address);
        return;
      }
      const before = ends.get(address) ?? none;
      const count = before.count + (established.delete(address) ? 1 : 0);
      if (count === before.count && reason === '') return;
      if (ends.size >= endsMax && !ends.has(address)) ends.clear();
      ends.set(address, { count, reason: reason === '' ? before.reason : reason });
    },
    reset() {
      established.clear();
      ends.clear();
    },
    of: (address) => ends.get(address) ?? none,
  };
}
