/** Bytes that are not the message they should be, or a value that does not fit its field. */
export class WireError extends Error {
  override readonly name = 'WireError';
}
