// Numbers as the API takes them in words, exactly. Pure.
const DURATION_UNITS: readonly (readonly [string, number])[] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1000],
  ['ms', 1],
];
const SIZE_UNITS: readonly (readonly [string, number])[] = [
  ['GiB', 1024 ** 3],
  ['MiB', 1024 ** 2],
  ['KiB', 1024],
  ['B', 1],
];

/** `90_000` → `90s`, in the largest unit that it is a whole number of. */
export const durationText = (ms: number): string => inUnits(ms, DURATION_UNITS, '');
/** `4_294_967_296` → `4 GiB`. */
export const sizeText = (bytes: number): string => inUnits(bytes, SIZE_UNITS, ' ');

function inUnits(
  value: number,
  units: readonly (readonly [string, number])[],
  between: string,
): string {
  const smallest = units.at(-1) ?? ['', 1];
  const [name, size] = units.find(([, one]) => value >= one && value % one === 0) ?? smallest;
  return `${value / size}${between}${name}`;
}

/** What is no number goes as it is: the API says what is wrong with it. */
export function numberOr(text: string): number | string {
  const number = Number(text);
  return text.trim() === '' || !Number.isFinite(number) ? text : number;
}
