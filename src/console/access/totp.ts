// One-time codes of an authenticator app (RFC 6238), as a second factor: six digits, 30 s, one period of tolerance on either
// side. A code works once.
import { Secret, TOTP } from 'otpauth';

const PERIOD_SECONDS = 30;
const DIGITS = 6;
const TOLERANCE = 1;

export interface TotpSecret {
  /** Base32, for people who type it. */
  readonly secret: string;
  /** `otpauth://…`, for the picture that an app reads. */
  readonly uri: string;
}

export function makeTotp(user: string, issuer: string): TotpSecret {
  const totp = totpOf(new Secret({ size: 20 }).base32, user, issuer);
  return { secret: totp.secret.base32, uri: totp.toString() };
}

/**
 * The period whose code this is, or null when it is none, or not later than `usedPeriod`. `nowMs`: wall clock.
 */
export function periodOf(
  code: string,
  secret: string,
  { usedPeriod, nowMs }: { readonly usedPeriod: number; readonly nowMs: number },
): number | null {
  if (!/^\d{6}$/.test(code)) return null;
  const delta = totpOf(secret, '', '').validate({
    token: code,
    timestamp: nowMs,
    window: TOLERANCE,
  });
  if (delta === null) return null;
  const period = Math.floor(nowMs / 1000 / PERIOD_SECONDS) + delta;
  return period > usedPeriod ? period : null;
}

function totpOf(secret: string, label: string, issuer: string): TOTP {
  return new TOTP({
    secret: Secret.fromBase32(secret),
    label,
    issuer,
    algorithm: 'SHA1',
    digits: DIGITS,
    period: PERIOD_SECONDS,
  });
}
