import type { Addr } from '../address.ts';

/** One way that a source gave a prefix. */
export interface FibPath {
  /** VPP's `fib_path_type`: 0 normal, 1 local, 2 drop, 5 unreachable, 6 prohibit, 9 interface-rx. */
  readonly type: number;
  /** Undefined: recursive through the next hop. */
  readonly interface: number | undefined;
  /** Undefined: the interface leads there by itself. */
  readonly nextHop: Addr | undefined;
  readonly weight: number;
  readonly preference: number;
  readonly flags: number;
  readonly tableId: number;
}

/** What one bucket of a prefix does with a packet. */
export type Target =
  | { readonly kind: 'drop'; readonly why: string }
  | { readonly kind: 'unreachable' }
  | { readonly kind: 'prohibit' }
  | { readonly kind: 'local' }
  | { readonly kind: 'adjacency'; readonly interface: number; readonly nextHop: Addr }
  /** The destination itself is a neighbour on this interface. */
  | { readonly kind: 'attached'; readonly interface: number }
  | { readonly kind: 'tunnel'; readonly interface: number }
  /** The packet is received again, on this interface. */
  | { readonly kind: 'receive'; readonly interface: number };
