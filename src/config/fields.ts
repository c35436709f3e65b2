import { z } from 'zod';
import { parseCommunity } from '../core/community.ts';
import { type Ip, type Prefix, parseIp, parsePrefix } from '../core/ip.ts';

/** Kinds of fields that several sections of the schema use. */
export interface FieldMeta {
  readonly description: string;
  readonly restart?: boolean;
  readonly examples?: readonly string[];
}

/** sun_path holds 108 bytes with the closing NUL (unix(7)). */
export const socketPathMaxBytes = 107;
/** One more than that is never useful and each entry costs a row. */
export const listMax = 256;

export function meta<Schema extends z.ZodType>(schema: Schema, fields: FieldMeta): Schema {
  return schema.meta({ ...fields });
}

export const absolutePath = z
  .string()
  .refine((text) => text.startsWith('/'), 'must be an absolute path')
  .refine((text) => !text.includes('\0'), 'must not contain NUL');

export const socketPath = absolutePath.refine(
  (text) => Buffer.byteLength(text) <= socketPathMaxBytes,
  `must be at most ${socketPathMaxBytes} bytes, the kernel's limit for a unix socket`,
);

export const portNumber = z.int().min(1).max(65535);

/** `30000-32767`. */
export const portRange = z.string().transform((text, context): readonly [number, number] => {
  const [first, last] = text.split('-').map(Number);
  const inside = (value: number | undefined) =>
    Number.isInteger(value) && Number(value) >= 1 && Number(value) <= 65535;
  if (first !== undefined && last !== undefined && inside(first) && inside(last) && first <= last)
    return [first, last];
  context.addIssue({
    code: 'custom',
    message: `not a range of ports such as 30000-32767: ${JSON.stringify(text)}`,
  });
  return z.NEVER;
});

export const address = z.string().transform((text, context): Ip => {
  const value = parseIp(text);
  if (value !== undefined) return value;
  context.addIssue({ code: 'custom', message: `not an IP address: ${JSON.stringify(text)}` });
  return z.NEVER;
});

export const prefix = z.string().transform((text, context): Prefix => {
  const value = parsePrefix(text);
  if (value !== undefined) return value;
  context.addIssue({
    code: 'custom',
    message: `not a prefix such as 10.0.0.0/8 or fd00::/64: ${JSON.stringify(text)}`,
  });
  return z.NEVER;
});

/** RFC 1123 subdomain, as Kubernetes demands of a Node's name. */
export const nodeName = z
  .string()
  .max(253)
  .regex(/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/, 'must be the name of a Node (RFC 1123, lower case)');

/** Linux: IFNAMSIZ is 16 with the closing NUL; no slash, no white space, not `.` or `..`. */
export const interfaceName = z
  .string()
  .regex(/^(?!\.{1,2}$)[^\s/:]{1,15}$/, 'must be a network interface name of 1 to 15 bytes');

export const serverUrl = z
  .string()
  .refine(
    (text) => text === '' || /^(https?:\/\/\S+|unix:\/\S+)$/.test(text),
    'must be https://…, http://… or unix:/path',
  );

export const routerId = z.string().refine((text) => {
  const value = parseIp(text);
  return text === '' || (value !== undefined && !value.includes(':') && value !== '0.0.0.0');
}, 'must be an IPv4 address other than 0.0.0.0 (RFC 6286)');

export const prefixes = z.array(prefix).max(listMax);
export const addresses = z.array(address).max(listMax);

export const labels = z.record(z.string().max(317), z.string().max(63));

const communityField = z.string().transform((text, context): string => {
  const read = parseCommunity(text);
  if (read.ok) return read.value;
  context.addIssue({ code: 'custom', message: read.problem });
  return z.NEVER;
});

/** A path must fit a message of 4,096 bytes (RFC 4271), with all that is added on its way. */
const communitiesMax = 32;

export const communities = z.array(communityField).max(communitiesMax);
