import { formatRetval } from './retval.ts';

/** VPP refused a request, did not answer it, or is gone. */
export class VppError extends Error {
  override readonly name: string = 'VppError';
  /** The message that failed. */
  readonly request: string;
  /** VPP's error number, or 0 when it gave none. */
  readonly retval: number;

  constructor(request: string, text: string, options: { retval?: number; cause?: unknown } = {}) {
    const retval = options.retval ?? 0;
    super(`${request}: ${text}`, options.cause === undefined ? {} : { cause: options.cause });
    this.request = request;
    this.retval = retval;
  }
}

/** A reply whose retval is negative. */
export function createRetvalError(request: string, retval: number): VppError {
  return new VppError(request, formatRetval(retval), { retval });
}

/** No reply came in time: VPP gives none to a message that it cannot read. */
export class VppTimeoutError extends VppError {
  override readonly name = 'VppTimeoutError';
}

/** The connection ended before the reply came. */
export class VppClosedError extends VppError {
  override readonly name = 'VppClosedError';
}

/** This VPP does not have a message, or has it with other fields. */
export class VppUnsupportedError extends VppError {
  override readonly name = 'VppUnsupportedError';
  /** The missing messages with their CRCs, as they would stand in VPP's table. */
  readonly missing: readonly string[];

  constructor(request: string, missing: readonly string[], version: string) {
    super(request, `VPP ${version || '(unknown version)'} does not have ${missing.join(', ')}`);
    this.missing = missing;
  }
}

/** A request that would crash VPP, or that VPP accepts although it makes no sense. Never sent. */
export class HazardError extends VppError {
  override readonly name = 'HazardError';
  /** The field that is wrong. */
  readonly field: string;
  readonly reason: string;

  constructor(request: string, field: string, reason: string) {
    super(request, `not sent: ${field} ${reason}`);
    this.field = field;
    this.reason = reason;
  }
}
