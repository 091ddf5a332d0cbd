// Values of measures in words.
import type { MEASURES } from '../../../service/history/measures.ts';
import { formatBytes, formatDuration, formatPercent, formatRate } from '../app/format.ts';

export type Unit = (typeof MEASURES)[keyof typeof MEASURES]['unit'];

export function formatValue(value: number, unit: Unit, language: string): string {
  switch (unit) {
    case 'bytes':
      return formatBytes(value);
    case 'bytes/s':
      return formatRate(value);
    case 'share':
      return formatPercent(value);
    case 'ms':
      return formatDuration(value, language);
  }
}
