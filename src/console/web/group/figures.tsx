// The numbers that matter, each with what it means.
import { Text } from '@mantine/core';
import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import type { VerifyReportData } from '../../../mirror/verify-report.ts';
import { formatBytes, formatDuration, formatRate, formatTime } from '../app/format.ts';
import { currentLanguage } from '../app/i18n.ts';
import { rateDraft } from '../bandwidth/bandwidth-draft.ts';
import { rateWords } from '../bandwidth/week-view.tsx';
import { Meter } from '../charts/meter.tsx';
import { Sparkline } from '../charts/sparkline.tsx';
import { type GroupDetail, limitInForce, useGroupDetail } from './group-detail.tsx';

/** Less is none to speak of. */
const RATIO_SHOWN_MIN = 1.05;

export function Figures() {
  const { t } = useTranslation('group');
  const detail = useGroupDetail();
  const { overview, status } = detail;
  return (
    <div className="figures">
      <Figure
        title={t('figure.copy')}
        value={t(`copyWord.${overview.copy}`, { defaultValue: overview.copy })}
      >
        {t(`copyMeans.${overview.copy}`, { defaultValue: '' })}
      </Figure>
      <Lag detail={detail} />
      <Throughput detail={detail} />
      <Journal detail={detail} />
      <Compared verify={status?.verify ?? null} />
    </div>
  );
}

function Figure({
  title,
  value,
  children,
}: {
  readonly title: string;
  readonly value: ReactNode;
  readonly children?: ReactNode;
}) {
  return (
    <section className="figure card">
      <h2 className="figure-title">{title}</h2>
      <p className="figure-value numbers">{value}</p>
      <Text size="sm" c="dimmed" component="div">
        {children}
      </Text>
    </section>
  );
}

function Lag({ detail: { overview, traffic } }: { readonly detail: GroupDetail }) {
  const { t } = useTranslation('group');
  const last = traffic.at(-1)?.groups.find(({ name }) => name === overview.name);
  const lagMs = last?.lagMs ?? overview.lagMs;
  const backlog = last?.backlogBytes ?? overview.backlogBytes;
  if (lagMs === null)
    return <Figure title={t('figure.lag')} value={t('unknown', { ns: 'common' })} />;
  return (
    <Figure title={t('figure.lag')} value={formatDuration(lagMs, currentLanguage())}>
      {backlog === null || backlog === 0
        ? t('figure.nothingWaits')
        : t('figure.waits', { bytes: formatBytes(backlog) })}
    </Figure>
  );
}

function Throughput({ detail }: { readonly detail: GroupDetail }) {
  const { t } = useTranslation('group');
  const { overview, status, traffic } = detail;
  const { rate: limited, from } = limitInForce(detail) ?? { rate: null, from: 'limit' };
  const limit = rateDraft(limited);
  const rates = traffic.flatMap(
    ({ groups }) => groups.find(({ name }) => name === overview.name)?.wireBytesPerSecond ?? [],
  );
  const rate = rates.at(-1) ?? overview.wireBytesPerSecond;
  const ratio = status?.compressionRatio ?? null;
  return (
    <Figure
      title={t('figure.throughput')}
      value={rate === null ? t('unknown', { ns: 'common' }) : formatRate(rate)}
    >
      {rates.length > 1 && <Sparkline values={rates} label={t('figure.lastMinutes')} />}
      <div>
        {limit.isLimited
          ? t('figure.limit', {
              rate: rateWords(limit, ''),
              from: t(`from.${from}`, { ns: 'bandwidth' }),
            })
          : t('figure.noLimit')}
      </div>
      {ratio !== null && ratio >= RATIO_SHOWN_MIN && <div>{t('figure.compressed', { ratio })}</div>}
    </Figure>
  );
}

function Journal({ detail: { overview, definition, viewOf } }: { readonly detail: GroupDetail }) {
  const { t } = useTranslation('group');
  const used = viewOf(overview.standby)?.status?.['journalBytes'];
  const most = definition?.replication.journalBytesMax ?? 0;
  const backlogMost = definition?.replication.backlogBytesMax ?? 0;
  const backlog = overview.backlogBytes;
  const isKnown = typeof used === 'number' && most > 0;
  const of = (bytes: number, total: number): string =>
    t('figure.of', { bytes: formatBytes(bytes), total: formatBytes(total) });
  return (
    <section className="figure figure-wide card">
      <h2 className="figure-title">{t('figure.journal')}</h2>
      <Meter
        label={t('figure.journalStandby')}
        share={isKnown ? used / most : null}
        text={isKnown ? of(used, most) : t('unknown', { ns: 'common' })}
      />
      <Meter
        label={t('figure.backlogPrimary')}
        share={backlog === null || backlogMost === 0 ? null : backlog / backlogMost}
        text={backlog === null ? t('unknown', { ns: 'common' }) : of(backlog, backlogMost)}
      />
    </section>
  );
}

function Compared({ verify }: { readonly verify: VerifyReportData | null }) {
  const { t } = useTranslation('group');
  const language = currentLanguage();
  const state = verify?.state ?? 'none';
  const when = verify === null || verify.endedAtMs === 0 ? null : verify.endedAtMs;
  return (
    <Figure
      title={t('figure.compared')}
      value={t(`verify.${state}`, { count: verify?.count ?? 0 })}
    >
      {verify !== null && when !== null && (
        <>
          <div>{formatTime(when, language)}</div>
          <div>
            {t('verify.seen', {
              count: verify.objects,
              objects: new Intl.NumberFormat(language).format(verify.objects),
              bytes: formatBytes(verify.bytes),
            })}
          </div>
        </>
      )}
    </Figure>
  );
}
