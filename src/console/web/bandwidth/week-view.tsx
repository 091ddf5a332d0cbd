// The week of a schedule as a picture: a row for each day, a block for each window.
import './bandwidth.css';
import { useTranslation } from 'react-i18next';
import { currentLanguage } from '../app/i18n.ts';
import {
  type Block,
  blocksOf,
  type RateDraft,
  rateDraft,
  type WindowDraft,
} from './bandwidth-draft.ts';

const HOURS = [0, 6, 12, 18, 24];
/** A Monday. */
const MONDAY_MS = Date.UTC(2024, 0, 1, 12);
const DAY_MS = 86_400_000;
const DAY_MINUTES = 1440;

export function dayNames(style: 'short' | 'long'): string[] {
  const format = new Intl.DateTimeFormat(currentLanguage(), { weekday: style, timeZone: 'UTC' });
  return Array.from({ length: 7 }, (_, day) => format.format(MONDAY_MS + day * DAY_MS));
}

export function rateWords({ isLimited, value, unit }: RateDraft, unlimited: string): string {
  return isLimited ? `${value} ${unit}` : unlimited;
}

export function WeekView({
  schedule,
  otherwise,
}: {
  readonly schedule: readonly WindowDraft[];
  readonly otherwise: RateDraft;
}) {
  const { t } = useTranslation('bandwidth');
  const blocks = blocksOf(schedule);
  const days = dayNames('short');
  const words = (rate: RateDraft): string => rateWords(rate, t('unlimited'));
  const summary = schedule.map(({ days: some, from, to, rate }) =>
    t('windowSummary', {
      days: some.map((day) => days[day]).join(', '),
      from,
      to,
      rate: words(rate),
    }),
  );
  const label = [...summary, t('otherwise', { rate: words(otherwise) })].join('; ');
  return (
    <div className="week" role="img" aria-label={label}>
      {days.map((name, day) => (
        <div className="week-row" key={name}>
          <span className="week-day">{name}</span>
          <div className="week-track">
            {blocks.filter((block) => block.day === day).map(toBlock)}
          </div>
        </div>
      ))}
      <div className="week-row">
        <span className="week-day" />
        <div className="week-hours numbers">
          {HOURS.map((hour) => (
            <span key={hour} style={{ left: `${(hour / 24) * 100}%` }}>
              {hour}
            </span>
          ))}
        </div>
      </div>
      <p className="week-otherwise">{t('otherwise', { rate: words(otherwise) })}</p>
    </div>
  );
}

function toBlock({ from, to, rate, index }: Block) {
  const draft = rateDraft(rate);
  return (
    <span
      key={`${index} ${from}`}
      className="week-block"
      data-kind={index % 4}
      style={{
        left: `${(from / DAY_MINUTES) * 100}%`,
        width: `${((to - from) / DAY_MINUTES) * 100}%`,
      }}
    >
      {draft.isLimited ? `${draft.value} ${draft.unit}` : '∞'}
    </span>
  );
}
