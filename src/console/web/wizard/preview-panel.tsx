// What would be mirrored, and what would be left out: files, bytes, some names.
import { Loader, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { formatBytes, formatCount } from '../app/format.ts';
import { currentLanguage } from '../app/i18n.ts';
import { LevelBadge } from '../app/ui/level.tsx';
import { type PreviewWish, usePreview } from './use-preview.ts';

const NAMES_MAX = 12;

export function PreviewPanel(wish: PreviewWish) {
  const { t } = useTranslation('wizard');
  const { isLooking, seen, result, error } = usePreview(wish);
  if (!wish.dir.startsWith('/')) return null;
  return (
    <div className="preview" aria-live="polite" data-preview={isLooking ? 'looking' : 'done'}>
      {error !== null && (
        <Text size="sm" c="var(--mantine-color-error)">
          {error.message}
        </Text>
      )}
      {isLooking && result === null && (
        <Text size="sm">
          <Loader size={14} mr={8} aria-hidden />
          {t('looking', { count: seen, files: count(seen) })}
        </Text>
      )}
      {result !== null && (
        <>
          <div className="preview-columns">
            <Part
              title={t('mirrored', {
                count: result.files,
                files: count(result.files),
                bytes: formatBytes(result.bytes),
              })}
              names={result.samples}
              more={result.files}
            />
            <Part
              title={t('leftOut', {
                count: result.leftOutFiles,
                files: count(result.leftOutFiles),
                bytes: formatBytes(result.leftOutBytes),
              })}
              names={result.leftOutSamples}
              more={result.leftOutFiles}
            />
          </div>
          {!result.isComplete && <LevelBadge level="info" label={t('notComplete')} />}
          {result.unreadable > 0 && (
            <LevelBadge level="warning" label={t('unreadable', { count: result.unreadable })} />
          )}
        </>
      )}
    </div>
  );
}

function count(files: number): string {
  return formatCount(files, currentLanguage());
}

function Part({
  title,
  names,
  more,
}: {
  readonly title: string;
  readonly names: readonly string[];
  readonly more: number;
}) {
  const { t } = useTranslation('wizard');
  const shown = names.slice(0, NAMES_MAX);
  const rest = more - shown.length;
  return (
    <div>
      <Text size="sm" fw={600} className="numbers">
        {title}
      </Text>
      <ul>
        {shown.map((name, index) => (
          <li key={`${index} ${name}`} className="path">
            {name}
          </li>
        ))}
        {rest > 0 && <li className="soft">{t('andMore', { count: rest })}</li>}
      </ul>
    </div>
  );
}
