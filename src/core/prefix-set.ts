import {
  addressBits,
  type Family,
  familyOf,
  ipFromBigInt,
  ipToBigInt,
  type Prefix,
  prefixAddress,
  prefixLength,
} from './ip.ts';

/** Sets of addresses as prefixes: exact, never an address more or less. */

interface Span {
  readonly start: bigint;
  readonly length: number;
  /** Where it is known: texts are dear. */
  readonly prefix?: Prefix;
}

/** The fewest prefixes that hold the same addresses, IPv4 first, in numeric order. */
export function compressPrefixes(prefixes: Iterable<Prefix>): Prefix[] {
  const all = [...prefixes];
  return ([4, 6] as const).flatMap((family) => {
    const spans = all.filter((one) => familyOf(one) === family).map(spanOf);
    return mergeSpans(spans, addressBits(family)).map((span) => prefixOfSpan(span, family));
  });
}

/** What of a prefix is left without the others. */
export function subtractPrefixes(from: Prefix, without: Iterable<Prefix>): Prefix[] {
  const family = familyOf(from);
  const bits = addressBits(family);
  const holes = [...without].filter((one) => familyOf(one) === family).map(spanOf);
  const left = subtractSpans(spanOf(from), holes, bits);
  return left.map((span) => prefixOfSpan(span, family));
}

/** The smaller of two prefixes of which one holds the other; otherwise they have nothing in common. */
export function intersectPrefixes(a: Prefix, b: Prefix): Prefix | undefined {
  if (a === b) return a;
  const family = familyOf(a);
  if (family !== familyOf(b)) return undefined;
  const bits = addressBits(family);
  if (holds(spanOf(a), spanOf(b), bits)) return b;
  return holds(spanOf(b), spanOf(a), bits) ? a : undefined;
}

const spans = new Map<Prefix, Span>();
/** Spans that are remembered: the same few prefixes are intersected again and again. */
const spansMax = 100_000;

function spanOf(prefix: Prefix): Span {
  let span = spans.get(prefix);
  if (span === undefined) {
    span = { start: ipToBigInt(prefixAddress(prefix)), length: prefixLength(prefix), prefix };
    if (spans.size >= spansMax) spans.clear();
    spans.set(prefix, span);
  }
  return span;
}

function prefixOfSpan({ start, length, prefix }: Span, family: Family): Prefix {
  return prefix ?? (`${ipFromBigInt(start, family)}/${length}` as Prefix);
}

function holds(outer: Span, inner: Span, bits: number): boolean {
  const host = BigInt(bits - outer.length);
  return outer.length <= inner.length && inner.start >> host === outer.start >> host;
}

/** In the order of their start a prefix can only merge with the one before it. */
function mergeSpans(spans: readonly Span[], bits: number): Span[] {
  const sorted = spans.toSorted((a, b) =>
    a.start === b.start ? a.length - b.length : a.start < b.start ? -1 : 1,
  );
  const merged: Span[] = [];
  for (const span of sorted) {
    const last = merged.at(-1);
    if (last !== undefined && holds(last, span, bits)) continue;
    merged.push(span);
    mergeSiblings(merged, bits);
  }
  return merged;
}

/** While the last two are the halves of one prefix, that prefix takes their place. */
function mergeSiblings(merged: Span[], bits: number): void {
  for (;;) {
    const [low, high] = [merged.at(-2), merged.at(-1)];
    if (low === undefined || high === undefined || low.length !== high.length) return;
    const host = BigInt(bits - low.length + 1);
    if (low.length === 0 || low.start >> host !== high.start >> host) return;
    merged.splice(-2, 2, { start: low.start, length: low.length - 1 });
  }
}

function subtractSpans(from: Span, holes: readonly Span[], bits: number): Span[] {
  if (holes.some((hole) => holds(hole, from, bits))) return [];
  const inside = holes.filter((hole) => holds(from, hole, bits));
  if (inside.length === 0) return [from];
  const length = from.length + 1;
  const half = from.start | (1n << BigInt(bits - length));
  return [from.start, half].flatMap((start) => subtractSpans({ start, length }, inside, bits));
}
