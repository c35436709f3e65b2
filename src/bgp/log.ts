/** Where this folder says what it decided; pino's loggers fit. */
export interface Log {
  info(fields: object, text: string): void;
  warn(fields: object, text: string): void;
}
