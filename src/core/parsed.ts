/** The result of reading untrusted input: a value, or the reason why there is none. */
export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problem: string };

export function parsed<T>(value: T): Parsed<T> {
  return { ok: true, value };
}

export function rejected<T>(problem: string): Parsed<T> {
  return { ok: false, problem };
}
