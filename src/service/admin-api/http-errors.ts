// How failures look over HTTP: a status, and {"error":{"code","message","details"}}.
import type { FastifyError } from 'fastify';
import { isWrittenWrongly, messageOf, UnderstudyError } from '../../core/errors.ts';

const STATUS_BY_CODE: Readonly<Record<string, number>> = {
  LOGIN_NEEDED: 401,
  LOGIN_FAILED: 401,
  ROLE_INSUFFICIENT: 403,
  NOT_TRUSTED: 403,
  CSRF_TOKEN_WRONG: 403,
  METHOD_UNKNOWN: 404,
  REQUEST_TOO_LARGE: 413,
  LOGIN_TRIES_EXCEEDED: 429,
  REQUESTS_TOO_MANY: 429,
  INTERNAL: 500,
  NODE_UNREACHABLE: 502,
  NODE_IDENTITY_WRONG: 502,
  NODE_REPLY_INVALID: 502,
};

/** 400 for what is written wrongly, 404 for what there is not, 409 for what is not possible now. */
export function statusOf({ code }: UnderstudyError): number {
  const known = STATUS_BY_CODE[code];
  if (known !== undefined) return known;
  if (isWrittenWrongly(code)) return 400;
  return code.endsWith('_UNKNOWN') ? 404 : 409;
}

/** What fastify or a handler threw, as one of ours. */
export function asUnderstudyError(error: FastifyError): UnderstudyError {
  if (error instanceof UnderstudyError) return error;
  const options = { cause: error };
  const status = error.statusCode ?? 500;
  const message = messageOf(error).slice(0, 2000);
  if (status === 413) {
    return new UnderstudyError(
      'REQUEST_TOO_LARGE',
      `the request is too large: ${message}`,
      options,
    );
  }
  return new UnderstudyError(status < 500 ? 'REQUEST_INVALID' : 'INTERNAL', message, options);
}
