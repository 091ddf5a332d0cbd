// A first copy, a resync or a comparison that goes on: how far, how fast, how long still.
import { Progress, Text, Title } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import type { CopyProgress } from '../../../service/status.ts';
import { shareOf } from '../app/copy-progress.ts';
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatPercent,
  formatRate,
} from '../app/format.ts';
import { currentLanguage } from '../app/i18n.ts';
import { useGroupDetail } from './group-detail.tsx';

export function CopyProgressCard() {
  const { t } = useTranslation('group');
  const { overview, status } = useGroupDetail();
  const scan = status?.scan ?? overview.scan;
  const verifying = status?.verifying ?? null;
  const isFirst = overview.copy === 'syncing' || overview.copy === 'empty';
  return (
    <>
      {scan !== null && <One title={t(isFirst ? 'scan.first' : 'scan.resync')} progress={scan} />}
      {verifying !== null && <One title={t('scan.verify')} progress={verifying} />}
    </>
  );
}

function One({ title, progress }: { readonly title: string; readonly progress: CopyProgress }) {
  const { t } = useTranslation('group');
  const language = currentLanguage();
  const { files, filesTotal, bytes, bytesTotal, rateBytesPerSecond, secondsLeft } = progress;
  const isKnown = filesTotal > 0;
  const share = shareOf(progress);
  const count = (value: number): string => formatCount(value, language);
  const parts = [
    isKnown
      ? t('scan.filesOf', { count: filesTotal, done: count(files), total: count(filesTotal) })
      : t('scan.files', { count: files, done: count(files) }),
    isKnown ? `${formatBytes(bytes)} / ${formatBytes(bytesTotal)}` : formatBytes(bytes),
    formatRate(rateBytesPerSecond),
    ...(secondsLeft === null
      ? []
      : [t('timeLeft', { time: formatDuration(secondsLeft * 1000, language) })]),
  ];
  return (
    <section className="card">
      <div className="progress-head">
        <Title order={2} size="h5">
          {title}
        </Title>
        {isKnown && (
          <Text fw={650} className="numbers">
            {formatPercent(share)}
          </Text>
        )}
      </div>
      <Progress
        value={isKnown ? share * 100 : 100}
        animated={!isKnown}
        size="lg"
        aria-label={title}
        my="xs"
      />
      <Text size="sm" c="dimmed" className="numbers">
        {parts.join(' · ')}
      </Text>
    </section>
  );
}
