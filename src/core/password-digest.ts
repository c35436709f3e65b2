import { createHash } from 'node:crypto';

/** What facts and rows hold in place of a password: SHA-256 in hexadecimal digits. */
export function passwordDigest(password: string): string {
  return createHash('sha256').update(password).digest('hex');
}
