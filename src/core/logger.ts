// What parts log through: a fixed phrase plus fields. pino's loggers have this shape.

export type LogFields = Readonly<Record<string, unknown>>;

export interface Logger {
  debug(fields: LogFields, phrase: string): void;
  info(fields: LogFields, phrase: string): void;
  warn(fields: LogFields, phrase: string): void;
  error(fields: LogFields, phrase: string): void;
}

const nothing = (): void => undefined;

export const silentLogger: Logger = {
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
};
