// The applications of the group as the primary's probes see them, with what was seen while this page was open.
import { Text, Title, Tooltip } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import type { AgentView } from '../../../service/node-protocol.ts';
import { formatDuration, formatTime } from '../app/format.ts';
import { currentLanguage } from '../app/i18n.ts';
import { LevelIcon } from '../app/ui/level.tsx';
import { agentLevel, agentState, probeLevel } from './agent-state.ts';
import { useGroupDetail } from './group-detail.tsx';
import { primaryAgents } from './probe-history.ts';

export function Agents() {
  const { t } = useTranslation('group');
  const { status } = useGroupDetail();
  const agents = primaryAgents(status);
  if (agents.length === 0) return null;
  return (
    <section className="card" aria-labelledby="group-agents">
      <Title order={2} size="h4" id="group-agents" mb="sm">
        {t('agents')}
      </Title>
      <ul className="agents">
        {agents.map((agent) => (
          <Agent key={agent.name} agent={agent} />
        ))}
      </ul>
    </section>
  );
}

function Agent({ agent }: { readonly agent: AgentView }) {
  const { t } = useTranslation('group');
  const language = currentLanguage();
  const { name, use: kind, seen, fault, restarts, restartsMax } = agent;
  return (
    <li className="agent">
      <LevelIcon level={agentLevel(agent)} size={20} />
      <div className="agent-name">
        <Text fw={600} component="span">
          {name}
        </Text>{' '}
        {name !== kind && (
          <Text size="sm" c="dimmed" component="span">
            {kind}
          </Text>
        )}
        <Text size="sm">
          {t(`agent.${agentState(agent)}`)}
          {restarts > 0 && ` · ${t('restarts', { count: restarts, max: restartsMax })}`}
        </Text>
      </div>
      <div className="agent-seen">
        <Text size="sm">{fault ?? seen?.sentence ?? ''}</Text>
        {seen !== null && (
          <Text size="xs" c="dimmed" className="numbers">
            {t('probed', {
              at: formatTime(seen.at, language),
              took: formatDuration(Math.max(1, seen.ms), language),
            })}
          </Text>
        )}
      </div>
      <Ticks agent={name} />
    </li>
  );
}

/** One mark per probe: how long it took, and by its colour and its foot whether it was well. */
function Ticks({ agent }: { readonly agent: string }) {
  const { t } = useTranslation('group');
  const { probes } = useGroupDetail();
  const seen = probes[agent] ?? [];
  const longest = Math.max(1, ...seen.map(({ ms }) => ms));
  const bad = seen.filter(({ state }) => probeLevel(state) !== 'ok').length;
  return (
    <Tooltip label={t('probesSeen', { count: seen.length, bad })}>
      <div className="ticks" role="img" aria-label={t('probesSeen', { count: seen.length, bad })}>
        {seen.map(({ at, ms, state }) => (
          <span
            key={at}
            className="tick"
            data-level={probeLevel(state)}
            style={{ height: `${20 + (ms / longest) * 80}%` }}
          />
        ))}
      </div>
    </Tooltip>
  );
}
