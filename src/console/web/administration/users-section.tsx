import {
  Alert,
  Badge,
  Button,
  Menu,
  Modal,
  NativeSelect,
  Skeleton,
  Stack,
  Table,
  TextInput,
} from '@mantine/core';
import { IconDots, IconPlus } from '@tabler/icons-react';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { AccessRole } from '../../../service/admin-api/caller.ts';
import type { UserView } from '../../access/users.ts';
import { ApiError, call } from '../app/api.ts';
import { formatTime } from '../app/format.ts';
import { currentLanguage } from '../app/i18n.ts';
import { ROLES } from '../app/roles.ts';
import { useSession } from '../app/session.tsx';
import { Fault, useFaultText } from '../app/ui/fault.tsx';
import { notifyDone, notifyFault } from '../app/ui/notify.ts';
import { ConfirmByName } from '../common/confirm-by-name.tsx';
import { ApiForm, FormActions } from '../common/form.tsx';
import { SecretLine } from '../common/secret-line.tsx';
import { Section, WideTable } from '../common/section.tsx';
import { useWork } from '../common/use-work.ts';

interface Given {
  readonly name: string;
  readonly oneTimePassword: string | null;
}

const USERS_KEY = ['users'] as const;

export function UsersSection() {
  const { t } = useTranslation('administration');
  const [isAdding, setAdding] = useState(false);
  const [given, setGiven] = useState<Given | null>(null);
  const [removed, setRemoved] = useState<string | null>(null);
  const client = useQueryClient();
  const refresh = (): void => void client.invalidateQueries({ queryKey: USERS_KEY });
  const users = useQuery({
    queryKey: USERS_KEY,
    queryFn: async () => call<UserView[]>('/users'),
  });
  const take = (answer: Given): void => {
    setGiven(answer.oneTimePassword === null ? null : answer);
    refresh();
  };
  return (
    <Section
      title={t('users')}
      actions={
        <Button leftSection={<IconPlus size={16} aria-hidden />} onClick={() => setAdding(true)}>
          {t('addUser')}
        </Button>
      }
    >
      <Stack>
        {given !== null && <OneTimePassword given={given} onClose={() => setGiven(null)} />}
        {users.error !== null && <Fault error={users.error} />}
        {users.data === undefined ? (
          users.error === null && <Skeleton height={160} />
        ) : (
          <WideTable
            label={t('users')}
            minWidth={680}
            head={[
              t('name'),
              t('role'),
              t('secondFactor'),
              t('lastLogin'),
              t('created'),
              t('actions'),
            ]}
          >
            {users.data.map((user) => (
              <UserRow
                key={user.name}
                user={user}
                onChanged={take}
                onRemove={() => setRemoved(user.name)}
              />
            ))}
          </WideTable>
        )}
      </Stack>
      <Modal opened={isAdding} onClose={() => setAdding(false)} title={t('addUser')}>
        {isAdding && <AddUser onClose={() => setAdding(false)} onAdded={take} />}
      </Modal>
      <ConfirmByName
        isOpen={removed !== null}
        onClose={() => setRemoved(null)}
        title={t('removeUser', { name: removed })}
        consequence={t('removeUserText', { name: removed })}
        {...(removed === null ? {} : { name: removed })}
        action={t('remove')}
        work={async () => {
          await call(`/users/${encodeURIComponent(removed ?? '')}`, { method: 'DELETE' });
          notifyDone(t('userRemoved', { name: removed }));
          refresh();
        }}
      />
    </Section>
  );
}

function OneTimePassword({
  given,
  onClose,
}: {
  readonly given: Given;
  readonly onClose: () => void;
}) {
  const { t } = useTranslation('administration');
  return (
    <Alert
      color="teal"
      title={t('oneTimeTitle', { name: given.name })}
      withCloseButton
      onClose={onClose}
      closeButtonLabel={t('close')}
    >
      <Stack gap="xs">
        {t('oneTimeText')}
        <SecretLine value={given.oneTimePassword ?? ''} label={t('oneTimePassword')} />
      </Stack>
    </Alert>
  );
}

function UserRow({
  user,
  onChanged,
  onRemove,
}: {
  readonly user: UserView;
  readonly onChanged: (answer: Given) => void;
  readonly onRemove: () => void;
}) {
  const { t } = useTranslation('administration');
  const { t: common } = useTranslation();
  const self = useSession().user;
  const work = useWork();
  const faultText = useFaultText();
  const language = currentLanguage();
  const { name, role, mustChangePassword, hasTotp, lastLoginAt, createdAt } = user;
  const isSelf = self === name;
  const change = async (body: object, said: string): Promise<void> => {
    try {
      const path = `/users/${encodeURIComponent(name)}`;
      onChanged(await call<Given>(path, { method: 'PATCH', body }));
      notifyDone(said);
    } catch (thrown) {
      notifyFault(faultText(thrown));
    }
  };
  return (
    <Table.Tr>
      <Table.Th scope="row" fw={500}>
        {name}
        {isSelf && (
          <Badge ml="xs" size="sm" variant="light" color="gray" tt="none" className="level-badge">
            {t('you')}
          </Badge>
        )}
      </Table.Th>
      <Table.Td>
        <NativeSelect
          aria-label={t('roleOf', { name })}
          value={role}
          disabled={isSelf || work.isBusy}
          onChange={(event) => {
            const wish = event.currentTarget.value;
            void work.run(async () => change({ role: wish }, t('roleChanged', { name })));
          }}
          data={ROLES.map((one) => ({ value: one, label: common(`role.${one}`) }))}
          w={170}
        />
      </Table.Td>
      <Table.Td>{t(hasTotp ? 'totpOn' : 'totpOff')}</Table.Td>
      <Table.Td>
        {lastLoginAt === null ? t('never') : formatTime(lastLoginAt, language)}
        {mustChangePassword && (
          <Badge ml="xs" size="sm" variant="light" color="yellow" tt="none" className="level-badge">
            {t('mustChange')}
          </Badge>
        )}
      </Table.Td>
      <Table.Td>{formatTime(createdAt, language)}</Table.Td>
      <Table.Td>
        {!isSelf && (
          <Menu position="bottom-end" withinPortal>
            <Menu.Target>
              <Button
                variant="default"
                size="compact-sm"
                aria-label={t('moreOf', { name })}
                loading={work.isBusy}
              >
                <IconDots size={16} aria-hidden />
              </Button>
            </Menu.Target>
            <Menu.Dropdown>
              <Menu.Item
                onClick={() =>
                  void work.run(async () =>
                    change({ resetPassword: true }, t('passwordReset', { name })),
                  )
                }
              >
                {t('resetPassword')}
              </Menu.Item>
              {hasTotp && (
                <Menu.Item
                  onClick={() =>
                    void work.run(async () =>
                      change({ removeTotp: true }, t('totpRemoved', { name })),
                    )
                  }
                >
                  {t('removeTotp')}
                </Menu.Item>
              )}
              <Menu.Item color="red" onClick={onRemove}>
                {t('remove')}
              </Menu.Item>
            </Menu.Dropdown>
          </Menu>
        )}
      </Table.Td>
    </Table.Tr>
  );
}

function AddUser({
  onClose,
  onAdded,
}: {
  readonly onClose: () => void;
  readonly onAdded: (answer: Given) => void;
}) {
  const { t } = useTranslation('administration');
  const { t: common } = useTranslation();
  const [name, setName] = useState('');
  const [role, setRole] = useState<AccessRole>('viewer');
  const work = useWork();
  const faultText = useFaultText();
  const error = work.error instanceof ApiError ? work.error : null;
  const add = async (): Promise<void> => {
    onAdded(await call<Given>('/users', { method: 'POST', body: { name: name.trim(), role } }));
    onClose();
  };
  return (
    <ApiForm onSubmit={() => void work.run(add)}>
      <Stack>
        <TextInput
          label={t('name')}
          description={t('nameText')}
          value={name}
          autoComplete="off"
          onChange={(event) => setName(event.currentTarget.value)}
          // What is said of the whole is about the name: that there is one already.
          error={error === null ? undefined : (error.faults['name'] ?? faultText(error))}
          data-autofocus
          required
        />
        <NativeSelect
          label={t('role')}
          description={t(`roleText.${role}`)}
          value={role}
          onChange={(event) => setRole(event.currentTarget.value as AccessRole)}
          data={ROLES.map((one) => ({ value: one, label: common(`role.${one}`) }))}
        />
        <FormActions submit={t('add')} isBusy={work.isBusy} onClose={onClose} />
      </Stack>
    </ApiForm>
  );
}
