/**
 * Error codes of the CNI specification 1.1.0, sections "Error" and "STATUS". What is wrong with
 * a call is a value; see `Outcome`.
 */
export const cniCode = {
  incompatibleVersion: 1,
  unsupportedField: 2,
  unknownContainer: 3,
  invalidEnvironment: 4,
  io: 5,
  decode: 6,
  invalidConfig: 7,
  tryAgainLater: 11,
  notAvailable: 50,
} as const;
export type CniCode = (typeof cniCode)[keyof typeof cniCode];

export interface CniFailure {
  readonly ok: false;
  readonly code: CniCode;
  /** One sentence that names the field. */
  readonly problem: string;
}

/** A value, or why there is none in CNI's words. */
export type Outcome<T> = { readonly ok: true; readonly value: T } | CniFailure;

export function succeeded<T>(value: T): Outcome<T> {
  return { ok: true, value };
}

export function refused(code: CniCode, problem: string): CniFailure {
  return { ok: false, code, problem };
}
