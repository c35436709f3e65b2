import { type AddressRange, parseRange, rangesContain } from '../core/address-range.ts';
import type { Config, PoolBgpConfig } from '../model/config.ts';
import type { Service } from '../model/facts.ts';

interface Pool {
  readonly name: string;
  readonly ranges: readonly AddressRange[];
  readonly bgp: PoolBgpConfig;
}

/** The pools of a configuration, which never changes as a value, are read once. */
const known = new WeakMap<Config, readonly Pool[]>();

function poolsOf(config: Config): readonly Pool[] {
  let pools = known.get(config);
  if (pools === undefined) {
    pools = config.loadBalancer.pools.map((pool) => ({
      name: pool.name,
      ranges: pool.addresses.flatMap((text) => {
        const range = parseRange(text);
        return range.ok ? [range.value] : [];
      }),
      bgp: pool.bgp,
    }));
    known.set(config, pools);
  }
  return pools;
}

/** The pool that a Service's address is of, and how it wants it announced. */
export function poolOf(config: Config, service: Service): Pool | undefined {
  const pools = poolsOf(config);
  const address = service.ingress[0]?.ip;
  if (address === undefined || pools.length === 0) return undefined;
  return pools.find((pool) => rangesContain(pool.ranges, address));
}
