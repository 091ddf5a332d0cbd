// One error class for everything an operator may read: what failed, on what, and the way out.

/** Values that survive JSON and a thread border. */
export type ErrorDetails = Readonly<Record<string, string | number | boolean | readonly string[]>>;

/** Shape of an error on the wire and across threads. */
export interface SerializedError {
  readonly code: string;
  readonly message: string;
  readonly details?: ErrorDetails;
}

/**
 * An expected failure with a stable `code` (upper snake case, listed in `docs/errors.md`), a message
 * that names the thing and the way out, and typed details.
 */
export class UnderstudyError extends Error {
  override readonly name = 'UnderstudyError';
  readonly code: string;
  readonly details: ErrorDetails;

  constructor(
    code: string,
    message: string,
    options: { details?: ErrorDetails; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
  }

  serialize(): SerializedError {
    return { code: this.code, message: this.message, details: this.details };
  }

  static from(serialized: SerializedError): UnderstudyError {
    const options = serialized.details === undefined ? {} : { details: serialized.details };
    return new UnderstudyError(serialized.code, serialized.message, options);
  }
}

/** Codes of that ending which are about files and replies of programs, not about what somebody has just written. */
const FOUND_INVALID = new Set([
  'HEARTBEAT_KEY_INVALID',
  'IDENTITY_INVALID',
  'NODE_REPLY_INVALID',
  'REPLY_INVALID',
  'SPEC_INVALID',
  'STATE_FILE_INVALID',
]);

/** Whether a code says that a value of the request is written wrongly: the same again cannot succeed. */
export function isWrittenWrongly(code: string): boolean {
  return code.endsWith('_INVALID') && !FOUND_INVALID.has(code);
}

/**
 * What a caller lacks who is not root: the system's error in a sentence, or undefined where it is another one. Root meets it only on
 * file systems that refuse even root, where that sentence would be wrong.
 */
export function asNotRoot(thrown: unknown): UnderstudyError | undefined {
  const { code, path, address } = thrown as NodeJS.ErrnoException & { readonly address?: string };
  if (process.geteuid?.() === 0 || (code !== 'EACCES' && code !== 'EPERM')) return undefined;
  const what = path ?? address ?? messageOf(thrown);
  return new UnderstudyError('NOT_ROOT', `${what} is for root only: run this as root`, {
    cause: thrown,
  });
}

/** The message of anything that was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
