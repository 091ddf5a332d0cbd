// What is wrong, and beside it what can be done about it.
import { Button, Group, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import type { Problem } from '../../fleet/problems.ts';
import { useProblemText } from '../app/problem-text.ts';
import { useMay } from '../app/session.tsx';
import { LevelIcon } from '../app/ui/level.tsx';
import { useGroupDetail } from './group-detail.tsx';
import { useOperations } from './operations/operations-provider.tsx';
import type { OperationKind } from './operations/operations.ts';

/** What helps against what. */
const REMEDIES: Readonly<Record<string, readonly OperationKind[]>> = {
  SPLIT_BRAIN: ['yield'],
  NO_PRIMARY: ['takeover'],
  PRIMARY_WAITS: ['takeover'],
  HALTED: ['accept'],
  COPY_DIFFERS: ['verify'],
  PAUSED: ['resume'],
};

export function Problems() {
  const { t } = useTranslation('group');
  const { overview } = useGroupDetail();
  if (overview.problems.length === 0) return null;
  return (
    <section aria-label={t('problems')} aria-live="polite">
      <ul className="problems">
        {overview.problems.map((problem, index) => (
          <Item key={`${problem.code} ${index}`} problem={problem} />
        ))}
      </ul>
    </section>
  );
}

function Item({ problem }: { readonly problem: Problem }) {
  const { t } = useTranslation('group');
  const text = useProblemText();
  const { ask, isPossible } = useOperations();
  const mayOperate = useMay('operator');
  const remedies = (REMEDIES[problem.code] ?? []).filter((kind) => isPossible(kind));
  return (
    <li className="problem" data-level={problem.level}>
      <LevelIcon level={problem.level} size={20} />
      <Text size="sm" className="problem-text">
        {text(problem)}
      </Text>
      {mayOperate && remedies.length > 0 && (
        <Group gap="xs">
          {remedies.map((kind) => (
            <Button key={kind} size="compact-sm" variant="default" onClick={() => ask(kind)}>
              {t(`operation.${kind}.button`)}
            </Button>
          ))}
        </Group>
      )}
    </li>
  );
}
