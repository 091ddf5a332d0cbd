// The operations of a group, the usual ones in sight. What is not possible now says why.
import { Button, Menu, Text } from '@mantine/core';
import {
  IconArrowsExchange,
  IconBookmark,
  IconChevronDown,
  IconClockPause,
  IconClockPlay,
  IconEqual,
  IconEraser,
  IconFlag,
  IconHandStop,
  IconTrash,
  IconUrgent,
} from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import { mayDo } from '../../app/roles.ts';
import { useSession } from '../../app/session.tsx';
import { OPERATION_KINDS, OPERATION_RULES, type OperationKind } from './operations.ts';
import { useOperations } from './operations-provider.tsx';

const ICONS: Readonly<Record<OperationKind, typeof IconTrash>> = {
  switchover: IconArrowsExchange,
  takeover: IconUrgent,
  yield: IconHandStop,
  accept: IconFlag,
  pause: IconClockPause,
  resume: IconClockPlay,
  'clear-failures': IconEraser,
  verify: IconEqual,
  mark: IconBookmark,
  delete: IconTrash,
};

export function OperationButtons() {
  const { t } = useTranslation('group');
  const { role } = useSession();
  const { ask, hindrance } = useOperations();
  const allowed = OPERATION_KINDS.filter((kind) => mayDo(role, OPERATION_RULES[kind].role));
  if (allowed.length === 0) return null;
  const inMenu = allowed.filter(
    (kind) => kind !== 'switchover' && hindrance(kind) !== 'not-needed',
  );
  return (
    <>
      <Button
        leftSection={<IconArrowsExchange size={16} aria-hidden />}
        disabled={hindrance('switchover') !== null}
        onClick={() => ask('switchover')}
      >
        {t('operation.switchover.button')}
      </Button>
      <Menu position="bottom-end" withinPortal>
        <Menu.Target>
          <Button variant="default" rightSection={<IconChevronDown size={16} aria-hidden />}>
            {t('operation.more')}
          </Button>
        </Menu.Target>
        <Menu.Dropdown maw={360}>
          {inMenu.map((kind) => {
            const why = hindrance(kind);
            const Icon = ICONS[kind];
            return (
              <Menu.Item
                key={kind}
                leftSection={<Icon size={16} aria-hidden />}
                disabled={why !== null}
                onClick={() => ask(kind)}
                className={kind === 'delete' || kind === 'takeover' ? 'dangerous' : ''}
              >
                {t(`operation.${kind}.button`)}
                {why !== null && (
                  <Text size="xs" component="div">
                    {t(`hindrance.${why}`)}
                  </Text>
                )}
              </Menu.Item>
            );
          })}
        </Menu.Dropdown>
      </Menu>
    </>
  );
}
