import { ActionIcon, Anchor, Badge, Tooltip } from '@mantine/core';
import { IconCheck } from '@tabler/icons-react';
import { memo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Link } from 'wouter';
import { useFleet } from '../app/fleet-data.tsx';
import { formatTime } from '../app/format.ts';
import { currentLanguage } from '../app/i18n.ts';
import { LevelIcon } from '../app/ui/level.tsx';
import { EventWords } from '../common/event-words.tsx';
import type { NodeEvent } from './use-events.ts';

export interface EventListProps {
  readonly events: readonly NodeEvent[];
  readonly mayAcknowledge: boolean;
  readonly onAcknowledge: (event: NodeEvent) => Promise<void>;
}

export function EventList({ events, mayAcknowledge, onAcknowledge }: EventListProps) {
  const { t } = useTranslation('events');
  const groups = new Map(
    (useFleet().data?.groups ?? []).map(({ name, groupId }) => [name, groupId]),
  );
  if (events.length === 0) return null;
  return (
    <ol className="events card" aria-label={t('title')}>
      {events.map((one) => {
        const group = one.event.details['group'];
        return (
          <EventRow
            key={`${one.node} ${one.event.id}`}
            one={one}
            groupId={typeof group === 'string' ? groups.get(group) : undefined}
            onAcknowledge={mayAcknowledge ? onAcknowledge : undefined}
          />
        );
      })}
    </ol>
  );
}

interface EventRowProps {
  readonly one: NodeEvent;
  readonly groupId: string | undefined;
  readonly onAcknowledge: ((event: NodeEvent) => Promise<void>) | undefined;
}

const EventRow = memo(function EventRow({ one, groupId, onAcknowledge }: EventRowProps) {
  const { t } = useTranslation('events');
  const { node, nodeName, event } = one;
  const { level, at, code, message, acknowledged, details } = event;
  const language = currentLanguage();
  return (
    <li data-level={level} data-open={acknowledged === null}>
      <LevelIcon level={level} size={18} />
      <div className="event-body">
        <EventWords code={code} message={message} />
        <div className="event-facts numbers">
          <time dateTime={at}>{formatTime(at, language)}</time>
          <Anchor component={Link} href={`/nodes/${node}`} size="xs" underline="always">
            {nodeName}
          </Anchor>
          {groupId !== undefined && (
            <Anchor component={Link} href={`/groups/${groupId}`} size="xs" underline="always">
              {String(details['group'])}
            </Anchor>
          )}
          <span className="path">{code}</span>
          {acknowledged !== null && (
            <Badge variant="light" color="gray" tt="none" size="sm" className="level-badge">
              {t('seenBy', { by: acknowledged.by, at: formatTime(acknowledged.at, language) })}
            </Badge>
          )}
        </div>
      </div>
      {acknowledged === null && onAcknowledge !== undefined && (
        <Acknowledge one={one} onAcknowledge={onAcknowledge} />
      )}
    </li>
  );
});

function Acknowledge({
  one,
  onAcknowledge,
}: {
  readonly one: NodeEvent;
  readonly onAcknowledge: (event: NodeEvent) => Promise<void>;
}) {
  const { t } = useTranslation('events');
  const [isBusy, setBusy] = useState(false);
  const acknowledge = async (): Promise<void> => {
    setBusy(true);
    try {
      await onAcknowledge(one);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Tooltip label={t('acknowledge')}>
      <ActionIcon
        variant="default"
        size="lg"
        loading={isBusy}
        aria-label={t('acknowledgeOne', { message: one.event.message.slice(0, 80) })}
        onClick={() => void acknowledge()}
      >
        <IconCheck size={16} aria-hidden />
      </ActionIcon>
    </Tooltip>
  );
}
