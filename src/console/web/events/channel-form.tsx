// A channel is made or changed. Secrets are never shown: a field that is left empty keeps the one that there is.
import {
  Checkbox,
  Modal,
  NativeSelect,
  NumberInput,
  PasswordInput,
  SimpleGrid,
  Stack,
  Switch,
  Textarea,
  TextInput,
} from '@mantine/core';
import { useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { NodeOverview } from '../../fleet/overview.ts';
import { ApiError, call, nodeRoute } from '../app/api.ts';
import { Fault } from '../app/ui/fault.tsx';
import { notifyDone } from '../app/ui/notify.ts';
import { Choice } from '../common/choice.tsx';
import { ApiForm, FormActions } from '../common/form.tsx';
import { useWork } from '../common/use-work.ts';
import {
  type ChannelDraft,
  channelDraft,
  channelField,
  channelInput,
  type ChannelKind,
  hasSecret,
  KINDS,
  NEW_CHANNEL,
  type ShownChannel,
} from './channel-draft.ts';

export interface ChannelFormProps {
  readonly node: NodeOverview;
  /** Null: it is closed. */
  readonly channel: ShownChannel | 'new' | null;
  readonly onClose: () => void;
  readonly onSaved: () => void;
}

export function ChannelForm(props: ChannelFormProps) {
  const { t } = useTranslation('alerts');
  const { channel, onClose, node } = props;
  const title = channel === 'new' ? t('addOn', { node: node.name }) : t('editTitle');
  return (
    <Modal opened={channel !== null} onClose={onClose} title={title} size="lg">
      {channel !== null && <Form {...props} channel={channel} />}
    </Modal>
  );
}

type Faults = Readonly<Record<string, string>>;

function Form({
  node,
  channel,
  onClose,
  onSaved,
}: ChannelFormProps & { readonly channel: ShownChannel | 'new' }) {
  const { t } = useTranslation('alerts');
  const shown = channel === 'new' ? null : channel;
  const [draft, setDraft] = useState<ChannelDraft>(
    shown === null ? NEW_CHANNEL : channelDraft(shown),
  );
  const [isForBoth, setForBoth] = useState(true);
  const work = useWork();
  // When it could be made on one node only, another try must not make it there twice.
  const madeOn = useRef(new Set<string>());
  const faults = faultsOf(work.error);
  const change = (part: Partial<ChannelDraft>): void => setDraft({ ...draft, ...part });
  const save = async (): Promise<void> => {
    const body = channelInput(draft);
    if (shown === null) {
      const wanted = [node.id, ...(isForBoth && node.peerId !== null ? [node.peerId] : [])];
      for (const id of wanted.filter((one) => !madeOn.current.has(one))) {
        await call(nodeRoute(id, '/alerts/channels'), { method: 'POST', body });
        madeOn.current.add(id);
      }
    } else {
      const route = nodeRoute(node.id, `/alerts/channels/${shown.id}`);
      await call(route, { method: 'PUT', body });
    }
    notifyDone(t('saved', { name: draft.name }));
    onSaved();
    onClose();
  };
  return (
    <ApiForm onSubmit={() => void work.run(save)}>
      <Stack>
        <SimpleGrid cols={{ base: 1, sm: 2 }}>
          <NativeSelect
            label={t('kind')}
            value={draft.kind}
            onChange={(event) => change({ kind: event.currentTarget.value as ChannelKind })}
            data={KINDS.map((kind) => ({ value: kind, label: t(`kinds.${kind}`) }))}
            disabled={shown !== null}
            data-autofocus
          />
          <TextInput
            label={t('name')}
            value={draft.name}
            onChange={(event) => change({ name: event.currentTarget.value })}
            error={faults['name']}
            required
          />
        </SimpleGrid>
        {draft.kind === 'email' ? (
          <EmailFields draft={draft} faults={faults} shown={shown} change={change} />
        ) : (
          <HookFields draft={draft} faults={faults} shown={shown} change={change} />
        )}
        <Choice
          label={t('level')}
          value={draft.level}
          onChange={(level) => change({ level })}
          data={[
            { value: 'warning', label: t('levels.warning') },
            { value: 'error', label: t('levels.error') },
          ]}
        />
        <Switch
          label={t('enabled')}
          checked={draft.enabled}
          onChange={(event) => change({ enabled: event.currentTarget.checked })}
        />
        {shown === null && node.peerId !== null && (
          <Checkbox
            label={t('alsoOn', { peer: node.peerName })}
            description={t('alsoOnText')}
            checked={isForBoth}
            onChange={(event) => setForBoth(event.currentTarget.checked)}
          />
        )}
        {work.error !== null && Object.keys(faults).length === 0 && <Fault error={work.error} />}
        <FormActions submit={t('save')} isBusy={work.isBusy} onClose={onClose} />
      </Stack>
    </ApiForm>
  );
}

function faultsOf(error: unknown): Faults {
  if (!(error instanceof ApiError)) return {};
  return Object.fromEntries(
    Object.entries(error.faults).map(([field, fault]) => [channelField(field), fault]),
  );
}

interface FieldProps {
  readonly draft: ChannelDraft;
  readonly faults: Faults;
  readonly shown: ShownChannel | null;
  readonly change: (part: Partial<ChannelDraft>) => void;
}

function EmailFields({ draft, faults, shown, change }: FieldProps) {
  const { t } = useTranslation('alerts');
  return (
    <>
      <SimpleGrid cols={{ base: 1, sm: 3 }}>
        <TextInput
          label={t('host')}
          placeholder="mail.example.net"
          value={draft.host}
          onChange={(event) => change({ host: event.currentTarget.value })}
          error={faults['host']}
          required
        />
        <NumberInput
          label={t('port')}
          value={draft.port}
          onChange={(port) => change({ port })}
          error={faults['port']}
          hideControls
        />
        <NativeSelect
          label={t('security')}
          value={draft.security}
          onChange={(event) =>
            change({ security: event.currentTarget.value as ChannelDraft['security'] })
          }
          data={(['starttls', 'tls', 'none'] as const).map((value) => ({
            value,
            label: t(`securities.${value}`),
          }))}
          error={faults['security']}
        />
      </SimpleGrid>
      <SimpleGrid cols={{ base: 1, sm: 2 }}>
        <TextInput
          label={t('user')}
          value={draft.user}
          autoComplete="off"
          onChange={(event) => change({ user: event.currentTarget.value })}
          error={faults['user']}
        />
        <PasswordInput
          label={t('password')}
          description={shown?.hasPassword === true ? t('kept') : undefined}
          value={draft.password}
          autoComplete="new-password"
          onChange={(event) => change({ password: event.currentTarget.value })}
          error={faults['password']}
        />
      </SimpleGrid>
      <TextInput
        label={t('from')}
        placeholder="understudy@example.net"
        value={draft.from}
        onChange={(event) => change({ from: event.currentTarget.value })}
        error={faults['from']}
        required
      />
      <Textarea
        label={t('recipients')}
        description={t('recipientsText')}
        value={draft.to}
        onChange={(event) => change({ to: event.currentTarget.value })}
        error={faults['to']}
        autosize
        minRows={2}
        required
      />
    </>
  );
}

function HookFields({ draft, faults, shown, change }: FieldProps) {
  const { t } = useTranslation('alerts');
  const isRobot = draft.kind !== 'webhook';
  return (
    <>
      <TextInput
        label={t(isRobot ? 'robotUrl' : 'url')}
        description={isRobot && shown !== null ? t('urlKept') : t(`urlText.${draft.kind}`)}
        placeholder="https://…"
        value={draft.url}
        onChange={(event) => change({ url: event.currentTarget.value })}
        error={faults['url']}
        required
      />
      {hasSecret(draft.kind) && (
        <PasswordInput
          label={t('secret')}
          description={shown?.hasSecret === true ? t('kept') : t(`secretText.${draft.kind}`)}
          value={draft.secret}
          autoComplete="new-password"
          onChange={(event) => change({ secret: event.currentTarget.value })}
          error={faults['secret']}
        />
      )}
    </>
  );
}
