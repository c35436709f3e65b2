import { type Parsed, parsed, rejected } from './parsed.ts';

/**
 * BGP communities as canonical text:
 * - standard (RFC 1997) `64512:100`,
 * - large (RFC 8092) `64512:1:2`,
 * - extended (RFC 4360, RFC 5668): `rt:64512:100`, `soo:64512:100`,
 * - link bandwidth (draft-ietf-idr-link-bandwidth) `lb:64512:125000`, in bytes a second.
 */
export type CommunityKind = 'standard' | 'large' | 'extended';

/** IANA registry of well-known communities, and RFC 8326. */
const wellKnown: Readonly<Record<string, string>> = {
  'graceful-shutdown': '65535:0',
  'accept-own': '65535:1',
  'llgr-stale': '65535:6',
  'no-llgr': '65535:7',
  blackhole: '65535:666',
  'no-export': '65535:65281',
  'no-advertise': '65535:65282',
  'no-export-subconfed': '65535:65283',
  'no-peer': '65535:65284',
};

/** RFC 8326: routes that will be gone soon; whoever hears it prefers others. */
export const gracefulShutdown = '65535:0';

/** Reads a community in any of its forms, or a well-known name, or a number of 32 bits. */
export function parseCommunity(text: string): Parsed<string> {
  const known = wellKnown[text.toLowerCase()];
  if (known !== undefined) return parsed(known);
  if (/^\d{1,10}$/.test(text) && Number(text) <= 0xffffffff)
    return parsed(`${Math.floor(Number(text) / 65536)}:${Number(text) % 65536}`);
  const parts = text.split(':');
  const type = /^[a-z]+$/.test(parts[0] ?? '') ? parts.shift() : undefined;
  if (!parts.every((part) => /^\d{1,10}$/.test(part))) return rejected(notOne(text));
  const numbers = parts.map(Number);
  const bound = boundsOf(type, numbers);
  if (bound === undefined || !numbers.every((number, i) => number <= (bound[i] ?? 0)))
    return rejected(notOne(text));
  // RFC 7300; the router marks its own paths by it (src/desired/markers.ts).
  if (type === undefined && numbers.length === 3 && numbers[0] === u32)
    return rejected(`${JSON.stringify(text)} is of AS ${u32}, which is reserved (RFC 7300)`);
  return parsed([...(type === undefined ? [] : [type]), ...numbers].join(':'));
}

const u16 = 0xffff;
const u32 = 0xffffffff;

/** The largest value of each number; undefined when there is no such form. */
function boundsOf(type: string | undefined, numbers: readonly number[]): number[] | undefined {
  if (type === undefined) {
    if (numbers.length === 2) return [u16, u16];
    return numbers.length === 3 ? [u32, u32, u32] : undefined;
  }
  if (numbers.length !== 2) return undefined;
  if (type === 'lb') return [u16, u32];
  if (type !== 'rt' && type !== 'soo') return undefined;
  // RFC 4360 section 3.1 with two bytes of AS, RFC 5668 with four.
  return (numbers[0] ?? 0) <= u16 ? [u16, u32] : [u32, u16];
}

function notOne(text: string): string {
  return `${JSON.stringify(text)} is no community such as 64512:100, 64512:1:2, rt:64512:100 or no-export`;
}

/** Whether a canonical text is `pattern`, of which a part that is `*` stands for any number. */
export function matchesCommunity(pattern: string, community: string): boolean {
  if (!pattern.includes('*')) return pattern === community;
  const [wanted, parts] = [pattern.split(':'), community.split(':')];
  return (
    wanted.length === parts.length && wanted.every((part, i) => part === '*' || part === parts[i])
  );
}

/** The kind of a canonical text, or of a pattern. */
export function communityKind(community: string): CommunityKind {
  if (/^[a-z]/.test(community)) return 'extended';
  return community.split(':').length === 3 ? 'large' : 'standard';
}
