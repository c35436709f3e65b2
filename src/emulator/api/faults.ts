import type { MessageName } from '../../../native/vpp-api/catalogue/index.ts';

/** Something that goes wrong with a message, on purpose. */
export type Fault =
  /** No reply, as for a message that VPP could not decode. */
  | { readonly kind: 'silence' }
  | { readonly kind: 'retval'; readonly retval: number }
  | { readonly kind: 'disconnect' };

interface Rule {
  readonly name: MessageName | undefined;
  readonly fault: Fault;
  /** Messages that still pass before the fault. */
  skip: number;
  /** Messages that still get it. */
  count: number;
}

/** Faults waiting for their messages. */
export interface Faults {
  /** Lets `skip` messages (of that name, or of any) pass, then makes `count` of them fail. */
  add(fault: Fault, options?: { name?: MessageName; skip?: number; count?: number }): void;
  clear(): void;
  next(name: MessageName): Fault | undefined;
}

export function createFaults(): Faults {
  let rules: Rule[] = [];
  return {
    add(fault, options = {}) {
      const { name, skip = 0, count = 1 } = options;
      rules.push({ name, fault, skip, count });
    },
    clear() {
      rules = [];
    },
    next(name) {
      for (const rule of rules) {
        if (rule.name !== undefined && rule.name !== name) continue;
        if (rule.skip > 0) {
          rule.skip--;
          continue;
        }
        rule.count--;
        if (rule.count <= 0) rules = rules.filter((other) => other !== rule);
        return rule.fault;
      }
      return undefined;
    },
  };
}
