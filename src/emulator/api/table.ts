import { catalogue, type MessageName } from '../../../native/vpp-api/catalogue/index.ts';
import { nameCrcOf } from '../../../native/vpp-api/codec.ts';
import type { Answers } from './world.ts';

/** Ids of `memclnt.api` never change; those of all other messages depend on the plugins. */
export const fixedIds = { sockclnt_create: 15, sockclnt_create_reply: 16 } as const;

/** First id that is given out. */
const firstId = 100;

export interface MessageTable {
  readonly byId: ReadonlyMap<number, MessageName>;
  readonly idOf: ReadonlyMap<MessageName, number>;
  /** As `sockclnt_create_reply` carries it. */
  readonly entries: readonly { readonly index: number; readonly name: string }[];
}

/**
 * The message table of one run: every message that we answer, and what answers it, under ids in
 * an order that differs from run to run, so that nobody relies on them.
 */
export function createMessageTable(
  answers: Answers,
  events: readonly MessageName[],
  random: () => number,
): MessageTable {
  const names = new Set<MessageName>(events);
  for (const name of Object.keys(answers) as MessageName[]) {
    names.add(name);
    const { reply, details } = catalogue[name];
    if (reply !== undefined) names.add(reply as MessageName);
    if (details !== undefined) names.add(details as MessageName);
  }
  const shuffled = shuffle([...names], random);
  const idOf = new Map<MessageName, number>(Object.entries(fixedIds) as [MessageName, number][]);
  for (const [i, name] of shuffled.entries()) idOf.set(name, firstId + i);
  const entries = [...idOf].map(([name, index]) => ({ index, name: nameCrcOf(name) }));
  return { idOf, byId: new Map([...idOf].map(([name, id]) => [id, name])), entries };
}

function shuffle<T>(items: T[], random: () => number): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    const [a, b] = [items[i] as T, items[j] as T];
    items[i] = b;
    items[j] = a;
  }
  return items;
}
