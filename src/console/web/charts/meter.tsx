// How full something is: a bar, always with the same in words.
import './charts.css';
import { useId } from 'react';
import { LevelIcon } from '../app/ui/level.tsx';

export interface MeterProps {
  readonly label: string;
  /** 0 to 1; null: not known. */
  readonly share: number | null;
  /** `31 GiB of 64 GiB`. */
  readonly text: string;
  /** From these shares on it is a warning, an error. */
  readonly warnAt?: number;
  readonly failAt?: number;
}

export type MeterLevel = 'ok' | 'warning' | 'error';

export function meterLevel(share: number | null, warnAt: number, failAt: number): MeterLevel {
  if (share === null) return 'ok';
  if (share >= failAt) return 'error';
  return share >= warnAt ? 'warning' : 'ok';
}

export function Meter({ label, share, text, warnAt = 0.8, failAt = 0.93 }: MeterProps) {
  const id = useId();
  const level = meterLevel(share, warnAt, failAt);
  const percent = Math.round(Math.min(1, Math.max(0, share ?? 0)) * 100);
  return (
    <div className="meter">
      <div className="meter-head">
        <span id={id}>{label}</span>
        <span className="numbers">
          {level !== 'ok' && <LevelIcon level={level} size={14} />} {text}
        </span>
      </div>
      <div
        className="meter-track"
        role="meter"
        aria-labelledby={id}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={percent}
        aria-valuetext={text}
      >
        <div className="meter-fill" data-level={level} style={{ width: `${percent}%` }} />
      </div>
    </div>
  );
}
