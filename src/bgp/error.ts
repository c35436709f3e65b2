/** gRPC status codes that decide something here. Source: grpc/statuscodes.md. */
export const GrpcCode = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
} as const;

/** A call to GoBGP's API failed. */
export class GobgpError extends Error {
  override readonly name = 'GobgpError';
  /** Name of the remote procedure. */
  readonly call: string;
  /** gRPC status code. */
  readonly code: number;

  constructor(call: string, code: number, details: string, options?: ErrorOptions) {
    super(`${call}: ${details} (gRPC code ${code})`, options);
    this.call = call;
    this.code = code;
  }

  /** True when the call says nothing about its arguments: GoBGP was not there to judge them. */
  get isConnectionLoss(): boolean {
    return (
      this.code === GrpcCode.unavailable ||
      this.code === GrpcCode.deadlineExceeded ||
      this.code === GrpcCode.cancelled
    );
  }
}
