/** First in, first out, with a limit. */
export interface Waiting<T> {
  /** False when it is full. */
  push(item: T): boolean;
  shift(): T | undefined;
  /** Empties it; returns what was there. */
  clear(): T[];
}

export function createWaiting<T>(limit: number): Waiting<T> {
  let items: (T | undefined)[] = [];
  let head = 0;
  return {
    push(item) {
      if (items.length - head >= limit) return false;
      items.push(item);
      return true;
    },
    shift() {
      const item = items[head];
      if (item === undefined) return undefined;
      items[head++] = undefined; // what has left must not be kept alive by the array
      if (head * 2 > items.length) {
        items = items.slice(head);
        head = 0;
      }
      return item;
    },
    clear() {
      const rest = items.slice(head).filter((item) => item !== undefined);
      items = [];
      head = 0;
      return rest;
    },
  };
}
