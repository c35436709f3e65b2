import { type Prefix, prefix } from '../core/ip.ts';
import type { FilterRow, FilterRule } from './rows.ts';

/** All addresses of each family. */
export const everybody: { readonly [F in 4 | 6]: Prefix } = {
  4: prefix('0.0.0.0/0'),
  6: prefix('::/0'),
};

/** One rule for each family, for packets of everybody to everybody. */
export function forEverybody(
  rule: Pick<FilterRule, 'action' | 'protocol' | 'ports'>,
): FilterRule[] {
  return ([4, 6] as const).map((family) => ({
    source: everybody[family],
    destination: everybody[family],
    ...rule,
  }));
}

/** Ends lists that only forbid: what is not forbidden goes on. */
export const permitAll: FilterRow = {
  name: 'permit-all',
  rules: forEverybody({ action: 'permit', protocol: 'any' }),
};
