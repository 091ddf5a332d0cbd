// Processor, memory, load: bars with the same in words.
import { SimpleGrid } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import type { NodeHealth } from '../../../service/node-health/node-health.ts';
import { formatBytes, formatDuration, formatPercent, formatTime } from '../app/format.ts';
import { currentLanguage } from '../app/i18n.ts';
import { Meter } from '../charts/meter.tsx';
import { Facts } from '../common/facts.tsx';
import { Section } from '../common/section.tsx';

export function HealthSection({ health }: { readonly health: NodeHealth }) {
  const { t } = useTranslation('node');
  const language = currentLanguage();
  const { processor, memory, versions, hostname, at } = health;
  const usedBytes = memory.totalBytes - memory.availableBytes;
  const swapUsed = memory.swapTotalBytes - memory.swapFreeBytes;
  const [one = 0, five = 0, fifteen = 0] = processor.load;
  const bytesOf = (used: number, total: number): string =>
    t('of', { used: formatBytes(used), total: formatBytes(total) });
  return (
    <Section title={t('health')}>
      <SimpleGrid cols={{ base: 1, sm: 2, lg: 4 }} spacing="lg" mb="lg">
        <Meter
          label={t('processor')}
          share={processor.usedShare}
          text={processor.usedShare === null ? '–' : formatPercent(processor.usedShare)}
          warnAt={0.9}
          failAt={1.01}
        />
        <Meter
          label={t('memory')}
          share={usedBytes / memory.totalBytes}
          text={bytesOf(usedBytes, memory.totalBytes)}
          warnAt={0.9}
          failAt={0.97}
        />
        <Meter
          label={t('load')}
          share={Math.min(1, one / Math.max(1, processor.cores) / 2)}
          text={[one, five, fifteen].map((value) => value.toFixed(2)).join(' · ')}
          warnAt={0.75}
          failAt={1.01}
        />
        {memory.swapTotalBytes === 0 ? (
          <Meter label={t('swap')} share={0} text={t('none')} />
        ) : (
          <Meter
            label={t('swap')}
            share={swapUsed / memory.swapTotalBytes}
            text={bytesOf(swapUsed, memory.swapTotalBytes)}
          />
        )}
      </SimpleGrid>
      <Facts
        facts={[
          [t('hostname'), hostname],
          [t('cores'), `${processor.cores} × ${processor.model || '?'}`],
          [t('uptime'), formatDuration(processor.uptimeSeconds * 1000, language)],
          [
            t('waitingForDisk'),
            processor.waitingForDiskShare === null
              ? '–'
              : formatPercent(processor.waitingForDiskShare),
          ],
          ['Understudy', versions.understudy],
          ['Node.js', versions.node],
          [t('kernel'), versions.kernel],
          [t('asOf'), formatTime(at, language)],
        ]}
      />
    </Section>
  );
}
