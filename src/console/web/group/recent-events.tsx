// What happened to the group lately, as both nodes tell it.
import { useQueries } from '@tanstack/react-query';
import { Anchor, Group, Text, Title } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { Link } from 'wouter';
import type { EventView } from '../../../service/admin-api/schemas.ts';
import { call, nodeRoute } from '../app/api.ts';
import { formatTime } from '../app/format.ts';
import { currentLanguage } from '../app/i18n.ts';
import { LevelIcon } from '../app/ui/level.tsx';
import { EventWords } from '../common/event-words.tsx';
import { useGroupDetail } from './group-detail.tsx';
import { type NodeEventView, newestFirst } from './newest-first.ts';

const SHOWN = 10;

export function RecentEvents() {
  const { t } = useTranslation('group');
  const { overview, nodes: pair } = useGroupDetail();
  const nodes = pair.flatMap(({ id, name }) => (id === null ? [] : [{ id, name }]));
  const answers = useQueries({
    queries: nodes.map(({ id }) => ({
      queryKey: ['events', 'recent', id, overview.name],
      queryFn: async ({ signal }: { signal: AbortSignal }) =>
        call<{ events: readonly EventView[] }>(nodeRoute(id, '/events'), {
          query: { group: overview.name, count: SHOWN },
          signal,
        }),
    })),
  });
  const events = newestFirst(
    nodes.map(({ name }, index) => ({
      node: name,
      events: answers[index]?.data?.events ?? [],
    })),
    SHOWN,
  );
  return (
    <section className="card" aria-labelledby="group-events">
      <Group justify="space-between" mb="sm">
        <Title order={2} size="h4" id="group-events">
          {t('events')}
        </Title>
        <Anchor
          component={Link}
          href={`/events?group=${encodeURIComponent(overview.name)}`}
          size="sm"
        >
          {t('allEvents')}
        </Anchor>
      </Group>
      {events.length === 0 && <Text c="dimmed">{t('noEvents')}</Text>}
      <ol className="events">
        {events.map((event) => (
          <Event key={`${event.node} ${event.id}`} event={event} />
        ))}
      </ol>
    </section>
  );
}

function Event({ event }: { readonly event: NodeEventView }) {
  const { level, at, node, message, code } = event;
  return (
    <li className="event">
      <LevelIcon level={level} size={18} />
      <div className="event-text">
        <EventWords code={code} message={message} />
        <Text size="xs" c="dimmed" className="numbers">
          <time dateTime={at}>{formatTime(at, currentLanguage())}</time> · {node} ·{' '}
          <span className="path">{code}</span>
        </Text>
      </div>
    </li>
  );
}
