import { type AddressRange, parseRange } from '../core/address-range.ts';
import { type Parsed, parsed } from '../core/parsed.ts';
import type { PoolConfig } from '../model/config.ts';
import type { Labels, Service } from '../model/facts.ts';
import { hasLabels } from '../model/labels.ts';

/** Addresses from which load balancers get theirs, and who may have them. */
export interface Pool {
  readonly name: string;
  readonly ranges: readonly AddressRange[];
  readonly config: PoolConfig;
}

/** Reads the ranges of a pool: prefixes, or first and last address. */
export function parsePool(config: PoolConfig): Parsed<Pool> {
  const ranges: AddressRange[] = [];
  for (const text of config.addresses) {
    const range = parseRange(text);
    if (!range.ok) return range;
    ranges.push(range.value);
  }
  return parsed({ name: config.name, ranges, config });
}

/** Whether a pool may serve a Service. */
export function admits(
  { config }: Pool,
  service: Service,
  namespaceLabels: Labels | undefined,
): boolean {
  const namespace = service.key.slice(0, service.key.indexOf('/'));
  const { namespaces } = config;
  return (
    (namespaces.length === 0 || namespaces.includes(namespace)) &&
    hasLabels(namespaceLabels ?? {}, config.namespaceLabels) &&
    hasLabels(service.labels, config.serviceLabels)
  );
}
