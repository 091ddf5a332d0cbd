// File systems with their space, disks with what SMART says.
import { Badge, Stack, Table, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import type { NodeHealth } from '../../../service/node-health/node-health.ts';
import { formatBytes, formatCount, formatPercent } from '../app/format.ts';
import { currentLanguage } from '../app/i18n.ts';
import { LevelBadge } from '../app/ui/level.tsx';
import { Meter } from '../charts/meter.tsx';
import { Section, WideTable } from '../common/section.tsx';

type FileSystem = NodeHealth['fileSystems'][number];
type Disk = NodeHealth['disks'][number];

export function DisksSection({ health }: { readonly health: NodeHealth }) {
  const { t } = useTranslation('node');
  return (
    <>
      <Section title={t('fileSystems')}>
        <WideTable
          label={t('fileSystems')}
          minWidth={640}
          head={[t('mountPoint'), t('type'), t('source'), t('space'), t('files')]}
        >
          {health.fileSystems.map((one) => (
            <FileSystemRow key={one.mountPoint} fileSystem={one} />
          ))}
        </WideTable>
      </Section>
      <Section title={t('disks')}>
        {health.disks.length === 0 ? (
          <Text size="sm" className="soft">
            {t('noDisks')}
          </Text>
        ) : (
          <WideTable
            label={t('disks')}
            minWidth={640}
            head={[t('disk'), t('model'), t('size'), t('smart'), t('smartDetails')]}
          >
            {health.disks.map((one) => (
              <DiskRow key={one.name} disk={one} />
            ))}
          </WideTable>
        )}
      </Section>
    </>
  );
}

function FileSystemRow({ fileSystem }: { readonly fileSystem: FileSystem }) {
  const { t } = useTranslation('node');
  const { mountPoint, type, source, readOnly, totalBytes, freeBytes, files, filesFree } =
    fileSystem;
  return (
    <Table.Tr>
      <Table.Th scope="row" fw={500}>
        <span className="path">{mountPoint}</span>
        {readOnly && (
          <Badge ml="xs" size="sm" variant="outline" color="gray" tt="none">
            {t('readOnly')}
          </Badge>
        )}
      </Table.Th>
      <Table.Td>{type}</Table.Td>
      <Table.Td>
        <span className="path">{source}</span>
      </Table.Td>
      <Table.Td miw={200}>
        {totalBytes === null || freeBytes === null ? (
          <LevelBadge level="warning" label={t('noAnswer')} />
        ) : (
          <Meter
            label={t('free', { bytes: formatBytes(freeBytes) })}
            share={totalBytes === 0 ? 0 : 1 - freeBytes / totalBytes}
            text={t('ofTotal', { total: formatBytes(totalBytes) })}
            warnAt={0.8}
            failAt={0.95}
          />
        )}
      </Table.Td>
      <Table.Td>
        {files === null || filesFree === null
          ? '–'
          : t('filesFree', { share: formatPercent(filesFree / Math.max(1, files)) })}
      </Table.Td>
    </Table.Tr>
  );
}

function DiskRow({ disk }: { readonly disk: Disk }) {
  const { t } = useTranslation('node');
  const { name, model, serial, bytes, rotating, removable, smart } = disk;
  return (
    <Table.Tr>
      <Table.Th scope="row" fw={500}>
        <span className="path">{name}</span>
        <Text size="xs" className="soft">
          {[t(rotating ? 'rotating' : 'solid'), ...(removable ? [t('removable')] : [])].join(', ')}
        </Text>
      </Table.Th>
      <Table.Td>
        {model ?? '–'}
        {serial !== null && (
          <Text size="xs" className="soft path">
            {serial}
          </Text>
        )}
      </Table.Td>
      <Table.Td>{formatBytes(bytes)}</Table.Td>
      <Table.Td>
        {smart === null || smart.passed === null ? (
          <span className="soft">{t('smartUnknown')}</span>
        ) : (
          <LevelBadge
            level={smart.passed ? 'ok' : 'error'}
            label={t(smart.passed ? 'smartPassed' : 'smartFailed')}
          />
        )}
      </Table.Td>
      <Table.Td>
        <Stack gap={0}>{smart === null ? '–' : <SmartFacts smart={smart} />}</Stack>
      </Table.Td>
    </Table.Tr>
  );
}

function SmartFacts({ smart }: { readonly smart: NonNullable<Disk['smart']> }) {
  const { t } = useTranslation('node');
  const language = currentLanguage();
  const count = (value: number): string => formatCount(value, language);
  const facts: (readonly [string, number | null, (value: number) => string])[] = [
    ['temperature', smart.temperatureCelsius, (value) => `${value} °C`],
    ['powerOn', smart.powerOnHours, (value) => t('hours', { count: value })],
    ['reallocated', smart.reallocatedSectors, count],
    ['pending', smart.pendingSectors, count],
    ['wear', smart.wearPercent, (value) => `${value} %`],
  ];
  return facts.flatMap(([name, value, shown]) =>
    value === null
      ? []
      : [
          <span key={name}>
            {t(name)}: {shown(value)}
          </span>,
        ],
  );
}
