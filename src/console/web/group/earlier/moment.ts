// A moment as it is chosen in a form, and as the API takes it. Pure but for the zone of the browser.
import type { RewindWish } from '../../../../mirror/rewind.ts';

export type Moment =
  /** As an `input` of the type `datetime-local` has it: local time, with seconds. */
  | { readonly kind: 'time'; readonly text: string }
  | { readonly kind: 'name'; readonly name: string };

export function wishOf(moment: Moment): RewindWish | null {
  if (moment.kind === 'name') return moment.name === '' ? null : moment;
  const atMs = new Date(moment.text).getTime();
  return Number.isNaN(atMs) ? null : { kind: 'time', atMs };
}

const two = (value: number): string => String(value).padStart(2, '0');

/** The local time of a moment, for such an `input`. */
export function localText(at: string | number): string {
  const date = new Date(at);
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day}T${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}
