// What happened on all nodes, newest first: filtered, acknowledged, taken away as a file. Messages hold names and reasons from files and
// programs: they are shown as text, whatever is in them.
import './events.css';
import { Alert, Button, Group, Menu, Skeleton, Stack, Text } from '@mantine/core';
import { IconChecks, IconDownload } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import { nodeRoute, urlOf } from '../app/api.ts';
import { useFleet } from '../app/fleet-data.tsx';
import { useMay } from '../app/session.tsx';
import { Fault } from '../app/ui/fault.tsx';
import { notifyDone } from '../app/ui/notify.ts';
import { Page } from '../app/ui/page.tsx';
import { useWork } from '../common/use-work.ts';
import { EventFilters } from './event-filters.tsx';
import { EventList } from './event-list.tsx';
import { queryOf } from './event-filter.ts';
import { useEventFilter } from './use-event-filter.ts';
import { useEvents } from './use-events.ts';

export function EventsPage() {
  const { t } = useTranslation('events');
  const nodes = useFleet().data?.nodes ?? [];
  const [filter, setFilter] = useEventFilter();
  const asked = nodes.filter(({ id }) => filter.node === '' || filter.node === id);
  const { events, missing, error, isLoading, more, acknowledge } = useEvents(asked, filter);
  const may = useMay('operator');
  const work = useWork();
  const open = events.filter(({ event }) => event.acknowledged === null);
  const acknowledgeAll = async (): Promise<void> => {
    await acknowledge(open);
    notifyDone(t('acknowledged', { count: open.length }));
  };
  return (
    <Page
      title={t('title')}
      subtitle={t('text')}
      actions={
        <>
          <Export nodes={asked} query={queryOf(filter)} />
          {may && (
            <Button
              variant="default"
              leftSection={<IconChecks size={16} aria-hidden />}
              disabled={open.length === 0}
              loading={work.isBusy}
              onClick={() => void work.run(acknowledgeAll)}
            >
              {t('acknowledgeShown', { count: open.length })}
            </Button>
          )}
        </>
      }
    >
      <EventFilters nodes={nodes} filter={filter} onChange={setFilter} />
      {missing.length > 0 && (
        <Alert color="yellow">{t('missing', { nodes: missing.join(', ') })}</Alert>
      )}
      {error !== null && <Fault error={error} />}
      {work.error !== null && <Fault error={work.error} />}
      {isLoading ? (
        <Skeleton height={300} />
      ) : (
        <Stack>
          {events.length === 0 && error === null && <Text className="soft">{t('none')}</Text>}
          <EventList
            events={events}
            mayAcknowledge={may}
            onAcknowledge={async (one) => acknowledge([one])}
          />
          {more !== null && (
            <Group justify="center">
              <Button variant="default" onClick={more.load} loading={more.isLoading}>
                {t('more')}
              </Button>
            </Group>
          )}
        </Stack>
      )}
    </Page>
  );
}

function Export({
  nodes,
  query,
}: {
  readonly nodes: readonly { readonly id: string; readonly name: string }[];
  readonly query: Readonly<Record<string, string | undefined>>;
}) {
  const { t } = useTranslation('events');
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <Button variant="default" leftSection={<IconDownload size={16} aria-hidden />}>
          {t('export')}
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        {nodes.map(({ id, name }) =>
          (['csv', 'jsonl'] as const).map((format) => (
            <Menu.Item
              key={`${id} ${format}`}
              component="a"
              href={urlOf(nodeRoute(id, '/events/export'), { ...query, format })}
              download
            >
              {t('exportOf', { node: name, format: t(`format.${format}`) })}
            </Menu.Item>
          )),
        )}
      </Menu.Dropdown>
    </Menu>
  );
}
