const offset = 0x811c9dc5;
const prime = 0x01000193;

/**
 * FNV-1a of the UTF-16 units of a text, 32 bits without sign: the same on every node and in every
 * run, and no secret. `seed` continues the hash of what came before.
 * Source: draft-eastlake-fnv.
 */
export function fnv1a(text: string, seed = offset): number {
  let hash = seed;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), prime);
  return hash >>> 0;
}
