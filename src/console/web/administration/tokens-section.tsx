// Access tokens of a node: for consoles, Prometheus, scripts. The text of one is shown once.
import {
  Alert,
  Button,
  Modal,
  NativeSelect,
  Skeleton,
  Stack,
  Table,
  Text,
  TextInput,
} from '@mantine/core';
import { IconPlus } from '@tabler/icons-react';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { AccessRole } from '../../../service/admin-api/caller.ts';
import type { TokenView } from '../../../service/admin-api/tokens.ts';
import { ApiError, call, nodeRoute } from '../app/api.ts';
import { useFleet } from '../app/fleet-data.tsx';
import { formatTime } from '../app/format.ts';
import { currentLanguage } from '../app/i18n.ts';
import { ROLES } from '../app/roles.ts';
import { Fault, useFaultText } from '../app/ui/fault.tsx';
import { notifyDone } from '../app/ui/notify.ts';
import { ConfirmByName } from '../common/confirm-by-name.tsx';
import { ApiForm, FormActions } from '../common/form.tsx';
import { RemoveButton } from '../common/row-buttons.tsx';
import { SecretLine } from '../common/secret-line.tsx';
import { Section, WideTable } from '../common/section.tsx';
import { useWork } from '../common/use-work.ts';

const DAY_MS = 86_400_000;
/** Days; 0: it does not end. */
const VALIDITIES = [0, 30, 90, 365] as const;

type Made = TokenView & { readonly token: string };

export function TokensSection() {
  const { t } = useTranslation('administration');
  const nodes = (useFleet().data?.nodes ?? []).toSorted((one, other) =>
    one.name.localeCompare(other.name),
  );
  const [wish, setNode] = useState('');
  const node = nodes.find(({ id }) => id === wish) ?? nodes[0];
  if (node === undefined) return <Alert>{t('noNodes')}</Alert>;
  return (
    <Stack>
      <NativeSelect
        label={t('tokensOf')}
        value={node.id}
        onChange={(event) => setNode(event.currentTarget.value)}
        data={nodes.map(({ id, name }) => ({ value: id, label: name }))}
        maw={320}
      />
      <NodeTokens key={node.id} node={node.id} name={node.name} />
    </Stack>
  );
}

function NodeTokens({ node, name }: { readonly node: string; readonly name: string }) {
  const { t } = useTranslation('administration');
  const client = useQueryClient();
  const queryKey = ['tokens', node];
  const [isAdding, setAdding] = useState(false);
  const [made, setMade] = useState<Made | null>(null);
  const [revoked, setRevoked] = useState<TokenView | null>(null);
  const tokens = useQuery({
    queryKey,
    queryFn: async ({ signal }) => call<TokenView[]>(nodeRoute(node, '/tokens'), { signal }),
  });
  const refresh = (): void => void client.invalidateQueries({ queryKey });
  return (
    <Section
      title={t('tokens')}
      actions={
        <Button leftSection={<IconPlus size={16} aria-hidden />} onClick={() => setAdding(true)}>
          {t('addToken')}
        </Button>
      }
    >
      <Stack>
        <Text size="sm" className="soft">
          {t('tokensText')}
        </Text>
        {made !== null && (
          <Alert
            color="teal"
            title={t('tokenTitle', { name: made.name })}
            withCloseButton
            onClose={() => setMade(null)}
            closeButtonLabel={t('close')}
          >
            <Stack gap="xs">
              {t('tokenText')}
              <SecretLine value={made.token} label={t('token')} />
            </Stack>
          </Alert>
        )}
        {tokens.error !== null && <Fault error={tokens.error} />}
        {tokens.data === undefined ? (
          tokens.error === null && <Skeleton height={140} />
        ) : tokens.data.length === 0 ? (
          <Text className="soft">{t('noTokens')}</Text>
        ) : (
          <TokenTable tokens={tokens.data} onRevoke={setRevoked} />
        )}
      </Stack>
      <Modal opened={isAdding} onClose={() => setAdding(false)} title={t('addToken')}>
        {isAdding && (
          <AddToken
            node={node}
            onClose={() => setAdding(false)}
            onAdded={(token) => {
              setMade(token);
              refresh();
            }}
          />
        )}
      </Modal>
      <ConfirmByName
        isOpen={revoked !== null}
        onClose={() => setRevoked(null)}
        title={t('revokeTitle', { name: revoked?.name })}
        consequence={t('revokeText', { name: revoked?.name, node: name })}
        action={t('revoke')}
        work={async () => {
          const route = nodeRoute(node, `/tokens/${encodeURIComponent(revoked?.id ?? '')}`);
          await call(route, { method: 'DELETE' });
          notifyDone(t('revoked', { name: revoked?.name }));
          refresh();
        }}
      />
    </Section>
  );
}

function TokenTable({
  tokens,
  onRevoke,
}: {
  readonly tokens: readonly TokenView[];
  readonly onRevoke: (token: TokenView) => void;
}) {
  const { t } = useTranslation('administration');
  const { t: common } = useTranslation();
  return (
    <WideTable
      label={t('tokens')}
      minWidth={720}
      head={[
        t('name'),
        t('role'),
        t('createdBy'),
        t('created'),
        t('used'),
        t('expires'),
        t('actions'),
      ]}
    >
      {tokens.map((token) => (
        <Table.Tr key={token.id}>
          <Table.Th scope="row" fw={500}>
            {token.name}
          </Table.Th>
          <Table.Td>{common(`role.${token.role}`)}</Table.Td>
          <Table.Td>{token.createdBy}</Table.Td>
          <Table.Td>{timeOr(token.createdAt, '')}</Table.Td>
          <Table.Td>{timeOr(token.usedAt, t('never'))}</Table.Td>
          <Table.Td>{timeOr(token.expiresAt, t('noEnd'))}</Table.Td>
          <Table.Td>
            <RemoveButton
              text={t('revoke')}
              label={t('revokeTitle', { name: token.name })}
              onClick={() => onRevoke(token)}
            />
          </Table.Td>
        </Table.Tr>
      ))}
    </WideTable>
  );
}

function timeOr(at: string | null, otherwise: string): string {
  return at === null ? otherwise : formatTime(at, currentLanguage());
}

function AddToken({
  node,
  onClose,
  onAdded,
}: {
  readonly node: string;
  readonly onClose: () => void;
  readonly onAdded: (token: Made) => void;
}) {
  const { t } = useTranslation('administration');
  const { t: common } = useTranslation();
  const [name, setName] = useState('');
  const [role, setRole] = useState<AccessRole>('viewer');
  const [days, setDays] = useState(0);
  const work = useWork();
  const faultText = useFaultText();
  const error = work.error instanceof ApiError ? work.error : null;
  const add = async (): Promise<void> => {
    const validMs = days === 0 ? null : days * DAY_MS;
    const body = { name: name.trim(), role, validMs };
    onAdded(await call<Made>(nodeRoute(node, '/tokens'), { method: 'POST', body }));
    onClose();
  };
  return (
    <ApiForm onSubmit={() => void work.run(add)}>
      <Stack>
        <TextInput
          label={t('name')}
          description={t('tokenNameText')}
          placeholder="prometheus"
          value={name}
          autoComplete="off"
          onChange={(event) => setName(event.currentTarget.value)}
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
        <NativeSelect
          label={t('validity')}
          value={String(days)}
          onChange={(event) => setDays(Number(event.currentTarget.value))}
          data={VALIDITIES.map((value) => ({
            value: String(value),
            label: value === 0 ? t('noEnd') : t('days', { count: value }),
          }))}
        />
        <FormActions submit={t('add')} isBusy={work.isBusy} onClose={onClose} />
      </Stack>
    </ApiForm>
  );
}
