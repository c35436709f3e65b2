/** The API server refused a request, or could not be reached or understood. */
export class KubeError extends Error {
  override readonly name = 'KubeError';
  /** HTTP status; 0 when there was no answer. */
  readonly status: number;

  constructor(message: string, options: ErrorOptions & { readonly status?: number } = {}) {
    super(message, options);
    this.status = options.status ?? 0;
  }
}

/** Message and causes in one line. */
export function formatError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // A refused connection is an AggregateError without a message of its own.
  const code = (error as NodeJS.ErrnoException).code ?? error.name;
  const text = error.message === '' ? code : error.message;
  return error.cause === undefined ? text : `${text}: ${formatError(error.cause)}`;
}
