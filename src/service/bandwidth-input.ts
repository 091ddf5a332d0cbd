// The bandwidth limit as people write it, in YAML and on the command line:
//
//   bandwidth: 200 Mbit/s
//   bandwidth: unlimited
//   bandwidth:
//     default: unlimited
//     schedule:
//       - { days: mon-fri, from: "08:00", to: "18:00", bandwidth: 50 Mbit/s }
//
// On the command line a window is `mon-fri 08:00-18:00 50Mbit/s`.
import { z } from 'zod';
import { atField } from '../core/at-field.ts';
import { UnderstudyError } from '../core/errors.ts';
import { formatRate, parseRate } from '../core/units.ts';
import {
  type Bandwidth,
  type BandwidthWindow,
  DAYS,
  findOverlap,
  RATE_MAX,
  RATE_MIN,
  windowText,
} from './bandwidth.ts';
import { parseStrictly } from '../core/strict-config.ts';

const TEXT_MAX = 60;
const rateText = z.string().max(TEXT_MAX);
const daysText = z.union([
  z.string().max(TEXT_MAX),
  z.array(z.string().max(TEXT_MAX)).min(1).max(7),
]);

const windowInputSchema = z.strictObject({
  days: daysText.optional(),
  from: z.string().max(5),
  to: z.string().max(5),
  bandwidth: rateText,
});

const bandwidthInputSchema = z.strictObject({
  default: rateText.optional(),
  schedule: z.array(windowInputSchema).max(64),
});

/**
 * Checks a limit as a person wrote it. `origin` names where. Errors: BANDWIDTH_INVALID, RATE_INVALID.
 */
export function defineBandwidth(input: unknown, origin: string): Omit<Bandwidth, 'revision'> {
  if (typeof input === 'string') {
    return { rate: atField('default', () => parseLimit(input, origin)), schedule: [] };
  }
  const fault = { code: 'BANDWIDTH_INVALID', origin: `${origin}, bandwidth` };
  const parsed = parseStrictly(bandwidthInputSchema, input, fault);
  const schedule = parsed.schedule.map((window, index) =>
    parseWindow(window, `schedule[${index}]`, origin),
  );
  refuseOverlap(schedule, origin);
  const rate = atField('default', () => parseLimit(parsed.default ?? 'unlimited', origin));
  return { rate, schedule };
}

/** `field` is its place in what was written: a fault is shown there. */
function parseWindow(
  { days, from, to, bandwidth }: z.infer<typeof windowInputSchema>,
  field: string,
  origin: string,
): BandwidthWindow {
  const window = {
    days: atField(`${field}.days`, () => parseDays(days ?? 'daily', origin)),
    from: atField(`${field}.from`, () => parseTime(from, origin)),
    to: atField(`${field}.to`, () => parseTime(to, origin)),
    rate: atField(`${field}.bandwidth`, () => parseLimit(bandwidth, origin)),
  };
  if (window.from < 1440 && window.from !== window.to && window.to > 0) return window;
  const why = `"${from}" to "${to}" is no span of time (the whole day: "00:00" to "24:00")`;
  return atField(`${field}.to`, () => {
    throw invalid(origin, why);
  });
}

/** A window of the command line as it would be in YAML. Errors: BANDWIDTH_INVALID. */
export function windowFromText(text: string): z.infer<typeof windowInputSchema> {
  const match = /^\s*(?:(\S+)\s+)?(\d\d?:\d\d)\s*-\s*(\d\d?:\d\d)\s+(\S.*?)\s*$/.exec(text);
  const [, days, from, to, bandwidth] = match ?? [];
  if (from === undefined || to === undefined || bandwidth === undefined) {
    throw invalid(`"${text}"`, 'write for example "mon-fri 08:00-18:00 50Mbit/s"');
  }
  return { ...(days === undefined ? {} : { days }), from, to, bandwidth };
}

function parseLimit(text: string, origin: string): number | null {
  if (text.trim().toLowerCase() === 'unlimited') return null;
  const rate = parseRate(text);
  if (rate >= RATE_MIN && rate <= RATE_MAX) return rate;
  const [least, most] = [formatRate(RATE_MIN), formatRate(RATE_MAX)];
  throw invalid(origin, `"${text}" is not between ${least} and ${most} (or "unlimited")`);
}

function parseDays(input: string | readonly string[], origin: string): number[] {
  const parts = typeof input === 'string' ? input.split(',') : input;
  const days = parts.flatMap((part) => {
    const text = part.trim().toLowerCase();
    if (text === 'daily') return DAYS.map((_, day) => day);
    const [first, last = first] = text.split('-').map((name) => name.slice(0, 3));
    const from = DAYS.findIndex((name) => name === first);
    const to = DAYS.findIndex((name) => name === last);
    if (from >= 0 && to >= 0) {
      const count = ((to - from + 7) % 7) + 1;
      return Array.from({ length: count }, (_, index) => (from + index) % 7);
    }
    throw invalid(
      origin,
      `"${part}" names no days: write for example "mon-fri", "sat,sun", "daily"`,
    );
  });
  return [...new Set(days)].toSorted((a, b) => a - b);
}

function parseTime(text: string, origin: string): number {
  const match = /^(\d\d?):(\d\d)$/.exec(text.trim());
  const minutes = Number(match?.[1]) * 60 + Number(match?.[2]);
  if (match !== null && Number(match[2]) < 60 && minutes <= 1440) return minutes;
  throw invalid(origin, `"${text}" is no time of day: write for example "08:00" (up to "24:00")`);
}

function refuseOverlap(schedule: readonly BandwidthWindow[], origin: string): void {
  const overlap = findOverlap(schedule);
  if (overlap === undefined) return;
  const [one, other] = overlap.map((window) => `"${windowText(window)}"`);
  atField(`schedule[${schedule.indexOf(overlap[1])}].from`, () => {
    throw invalid(origin, `${one} and ${other} overlap: at any time only one can hold`);
  });
}

function invalid(origin: string, why: string): UnderstudyError {
  return new UnderstudyError('BANDWIDTH_INVALID', `${origin}, bandwidth: ${why}`);
}
