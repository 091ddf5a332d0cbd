// One node in the drawing: its role, whether it works, and what it has of the group.
import { Badge, Text } from '@mantine/core';
import { IconNetwork, IconServer2 } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import { Link } from 'wouter';
import { useNode } from '../app/fleet-data.tsx';
import { LevelIcon } from '../app/ui/level.tsx';
import { agentLevel, agentState } from './agent-state.ts';
import { useGroupDetail } from './group-detail.tsx';
import type { Place } from './topology-state.ts';

export function NodeBox({ place }: { readonly place: Place }) {
  const { t } = useTranslation('group');
  const { name, id, role, view } = place;
  const node = useNode(id);
  const isSilent = view === null || node?.isReachable === false;
  if (name === null) {
    return (
      <div className="node-box" data-role="none">
        <Text c="dimmed">{t('noPartner')}</Text>
      </div>
    );
  }
  return (
    <div className="node-box" data-role={role ?? 'unknown'} data-silent={isSilent}>
      <div className="node-box-head">
        <IconServer2 size={20} stroke={1.6} aria-hidden />
        {id === null ? (
          <span className="node-box-name">{name}</span>
        ) : (
          <Link href={`/nodes/${id}`} className="node-box-name">
            {name}
          </Link>
        )}
        {role !== null && (
          <Badge
            variant={role === 'primary' ? 'filled' : 'outline'}
            color={role === 'primary' ? 'petrol' : 'gray'}
            tt="none"
            className={role === 'primary' ? 'role-badge' : 'role-badge level-badge'}
          >
            {t(`role.${role}`)}
          </Badge>
        )}
      </div>
      <Text size="sm">
        {isSilent ? t('silent') : t(`process.${view.process}`)}
        {view?.changing === true && ` · ${t('changing')}`}
      </Text>
      {role === 'primary' && <PrimaryHas place={place} />}
      {role === 'standby' && <StandbyHas />}
    </div>
  );
}

function PrimaryHas({ place: { view } }: { readonly place: Place }) {
  const { t } = useTranslation('group');
  const { definition } = useGroupDetail();
  const addressState = view?.failover?.['address'];
  const isHeld = addressState === undefined || addressState === 'held';
  return (
    <ul className="node-box-has">
      {(definition?.addresses ?? []).map((address) => (
        <li key={address.ip}>
          <IconNetwork size={16} stroke={1.6} aria-hidden />
          <span className="numbers">{address.ip}</span>
          {!isHeld && (
            <Text size="xs" component="span" c="dimmed">
              {t('addressNotHeld')}
            </Text>
          )}
        </li>
      ))}
      {(view?.agents ?? []).map((agent) => (
        <li key={agent.name}>
          <LevelIcon level={agentLevel(agent)} size={16} />
          <span>{agent.name}</span>
          <Text size="xs" component="span" c="dimmed">
            {t(`agent.${agentState(agent)}`)}
          </Text>
        </li>
      ))}
    </ul>
  );
}

function StandbyHas() {
  const { t } = useTranslation('group');
  const { overview } = useGroupDetail();
  return (
    <ul className="node-box-has">
      <li>{t(`copy.${overview.copy}`, { defaultValue: overview.copy })}</li>
      {overview.isManaged && (
        <li>{t(overview.isPaused ? 'takesOverPaused' : takesOver(overview.problems))}</li>
      )}
    </ul>
  );
}

const takesOver = (problems: readonly { readonly code: string }[]): string =>
  problems.some(({ code }) => code === 'NO_TAKEOVER' || code === 'NO_STANDBY')
    ? 'takesOverNot'
    : 'takesOver';
