// Earlier states of the copy: which can be reached, to look at one, to go back to one.
import { useQuery } from '@tanstack/react-query';
import { Badge, Button, Group, Skeleton, Stack, Text, Title } from '@mantine/core';
import { IconArrowBackUp, IconBookmark, IconFolderSearch } from '@tabler/icons-react';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { RewindList } from '../../../../mirror/rewind.ts';
import { call, nodeRoute } from '../../app/api.ts';
import { formatBytes, formatDuration, formatTime } from '../../app/format.ts';
import { currentLanguage } from '../../app/i18n.ts';
import { useMay } from '../../app/session.tsx';
import { Fault } from '../../app/ui/fault.tsx';
import { Facts } from '../../common/facts.tsx';
import { useGroupDetail } from '../group-detail.tsx';
import { useOperations } from '../operations/operations-provider.tsx';
import { BrowseDialog } from './browse-dialog.tsx';
import { localText, type Moment } from './moment.ts';
import { type ReachableRange, rangeOf } from './range.ts';
import { RestoreDialog } from './restore-dialog.tsx';

const REFRESH_MS = 15_000;

type What = 'browse' | 'restore';
type Choose = (what: What, moment: Moment) => void;

/** As it was when it was asked for: the roles may change while it is carried out. */
interface Asked {
  readonly what: What;
  readonly moment: Moment;
  readonly list: RewindList;
  readonly standbyId: string;
}

export function RewindSection() {
  const { t } = useTranslation('group');
  const { overview } = useGroupDetail();
  const { standbyId, name } = overview;
  const [asked, setAsked] = useState<Asked | null>(null);
  const close = (): void => setAsked(null);
  const list = useQuery({
    queryKey: ['rewind', standbyId, name],
    queryFn: async ({ signal }) =>
      call<RewindList>(nodeRoute(standbyId ?? '', `/groups/${name}/rewind`), { signal }),
    enabled: standbyId !== null,
    refetchInterval: REFRESH_MS,
  });
  return (
    <section className="card" aria-labelledby="group-rewind">
      <Title order={2} size="h4" id="group-rewind" mb="xs">
        {t('rewind.title')}
      </Title>
      <Text size="sm" c="dimmed" mb="sm">
        {t('rewind.text')}
      </Text>
      {standbyId === null && <Text>{t('hindrance.no-node')}</Text>}
      {list.error !== null && <Fault error={list.error} onRetry={() => void list.refetch()} />}
      {list.isLoading && <Skeleton height={120} />}
      {list.data !== undefined && standbyId !== null && (
        <Moments
          list={list.data}
          onChoose={(what, moment) => setAsked({ what, moment, list: list.data, standbyId })}
        />
      )}
      {asked?.what === 'browse' && <BrowseDialog {...asked} onClose={close} />}
      {asked?.what === 'restore' && <RestoreDialog {...asked} onClose={close} />}
    </section>
  );
}

function Moments({ list, onChoose }: { readonly list: RewindList; readonly onChoose: Choose }) {
  const { t } = useTranslation('group');
  const mayOperate = useMay('operator');
  const mayBrowse = useMay('administrator');
  const { ask, isPossible } = useOperations();
  const range = rangeOf(list);
  const latest: Moment = { kind: 'time', text: localText(range?.toMs ?? 0) };
  return (
    <Stack gap="md">
      {range === null ? <Text>{t('rewind.none')}</Text> : <Reachable list={list} range={range} />}
      {mayOperate && (
        <Group gap="xs">
          {mayBrowse && (
            <Button
              variant="default"
              leftSection={<IconFolderSearch size={16} aria-hidden />}
              disabled={range === null}
              onClick={() => onChoose('browse', latest)}
            >
              {t('rewind.browseAny')}
            </Button>
          )}
          <Button
            variant="default"
            leftSection={<IconArrowBackUp size={16} aria-hidden />}
            disabled={range === null}
            onClick={() => onChoose('restore', latest)}
          >
            {t('rewind.restoreAny')}
          </Button>
          <Button
            variant="default"
            leftSection={<IconBookmark size={16} aria-hidden />}
            disabled={!isPossible('mark')}
            onClick={() => ask('mark')}
          >
            {t('operation.mark.button')}
          </Button>
        </Group>
      )}
      <Bookmarks list={list} onChoose={mayOperate ? onChoose : null} />
    </Stack>
  );
}

function Reachable({
  list,
  range: { fromMs, toMs },
}: {
  readonly list: RewindList;
  readonly range: ReachableRange;
}) {
  const { t } = useTranslation('group');
  const language = currentLanguage();
  return (
    <Facts
      facts={[
        [t('rewind.from'), formatTime(fromMs, language)],
        [t('rewind.to'), formatTime(toMs, language)],
        [t('rewind.span'), formatDuration(toMs - fromMs, language)],
        [t('rewind.kept'), formatBytes(list.bytes)],
      ]}
    />
  );
}

function Bookmarks({
  list,
  onChoose,
}: {
  readonly list: RewindList;
  readonly onChoose: Choose | null;
}) {
  const { t } = useTranslation('group');
  const language = currentLanguage();
  const mayBrowse = useMay('administrator');
  if (list.bookmarks.length === 0) {
    return (
      <Text size="sm" c="dimmed">
        {t('rewind.noBookmarks')}
      </Text>
    );
  }
  return (
    <div>
      <Title order={3} size="h5" mb="xs">
        {t('rewind.bookmarks')}
      </Title>
      <ul className="bookmarks">
        {list.bookmarks.map(({ name, at, kept }) => (
          <li key={name}>
            <IconBookmark size={16} aria-hidden />
            <div className="bookmark-name">
              <Text size="sm" fw={600}>
                {name}
              </Text>
              <Text size="xs" c="dimmed" className="numbers">
                {at === null ? t('unknown', { ns: 'common' }) : formatTime(at, language)}
              </Text>
            </div>
            {!kept && (
              <Badge variant="light" color="gray" tt="none" className="level-badge">
                {t('rewind.gone')}
              </Badge>
            )}
            {kept && onChoose !== null && (
              <Group gap="xs">
                {mayBrowse && (
                  <Button
                    size="compact-sm"
                    variant="default"
                    onClick={() => onChoose('browse', { kind: 'name', name })}
                  >
                    {t('rewind.browse')}
                  </Button>
                )}
                <Button
                  size="compact-sm"
                  variant="default"
                  onClick={() => onChoose('restore', { kind: 'name', name })}
                >
                  {t('rewind.restore')}
                </Button>
              </Group>
            )}
          </li>
        ))}
      </ul>
    </div>
  );
}
