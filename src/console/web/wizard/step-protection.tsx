// How it is mirrored and who decides about a takeover.
import {
  Alert,
  Radio,
  SimpleGrid,
  Stack,
  Switch,
  Text,
  Textarea,
  TextInput,
  Title,
} from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { ownField } from '../bandwidth/bandwidth-draft.ts';
import { BandwidthFields } from '../bandwidth/bandwidth-fields.tsx';
import { Choice } from '../common/choice.tsx';
import { isManaged, type WizardDraft } from './draft.ts';
import type { StepProps } from './wizard-page.tsx';

const MODES: readonly WizardDraft['mode'][] = ['sync', 'memory', 'async'];
const ARBITERS: readonly WizardDraft['arbiter'][] = ['gateway', 'etcd', 'none'];
/** Of the form's own fields below `failover`; what is said of others stands above. */
const FAILOVER_FIELDS = ['failover.arbiter', 'failover.gateway'];

export function StepProtection(props: StepProps) {
  const { t } = useTranslation('wizard');
  const { draft, faults, change } = props;
  return (
    <Stack gap="lg">
      <Mirroring {...props} />
      <div>
        <Title order={2} size="h4" mb="xs">
          {t('bandwidth')}
        </Title>
        <BandwidthFields
          draft={draft.bandwidth}
          faults={Object.fromEntries(
            Object.entries(faults).map(([field, fault]) => [ownField(field), fault]),
          )}
          onChange={(bandwidth) => change({ bandwidth })}
        />
      </div>
      <Takeover {...props} />
      <TextInput
        label={t('verify')}
        description={t('verifyText')}
        value={draft.verify}
        onChange={(event) => change({ verify: event.currentTarget.value })}
        error={faults['verify']}
        maw={260}
      />
    </Stack>
  );
}

function Mirroring({ draft, faults, change }: StepProps) {
  const { t } = useTranslation('wizard');
  const others = Object.entries(faults).filter(
    ([field]) =>
      field.startsWith('replication') &&
      !field.startsWith('replication.mode') &&
      !field.startsWith('replication.bandwidth'),
  );
  return (
    <Stack>
      {others.map(([field, fault]) => (
        <Alert color="red" key={field}>
          {fault}
        </Alert>
      ))}
      <Radio.Group
        label={t('mode')}
        value={draft.mode}
        onChange={(mode) => change({ mode: mode as WizardDraft['mode'] })}
        error={faults['replication.mode']}
      >
        <Stack gap="xs" mt="xs">
          {MODES.map((mode) => (
            <Radio
              key={mode}
              value={mode}
              label={t(`modes.${mode}`)}
              description={t(`modeText.${mode}`)}
            />
          ))}
        </Stack>
      </Radio.Group>
      {draft.mode !== 'async' && (
        <Radio.Group
          label={t('standbyLoss')}
          value={draft.onStandbyLoss}
          onChange={(value) => change({ onStandbyLoss: value as WizardDraft['onStandbyLoss'] })}
        >
          <Stack gap="xs" mt="xs">
            <Radio value="continue" label={t('lossContinue')} />
            <Radio value="block" label={t('lossBlock')} />
          </Stack>
        </Radio.Group>
      )}
    </Stack>
  );
}

function Takeover({ draft, faults, nodes, change }: StepProps) {
  const { t } = useTranslation('wizard');
  const others = Object.entries(faults).filter(
    ([field]) =>
      (field.startsWith('failover') || field.startsWith('fencing')) &&
      !FAILOVER_FIELDS.includes(field) &&
      !field.startsWith('failover.etcd'),
  );
  return (
    <Stack>
      <Title order={2} size="h4">
        {t('takeover')}
      </Title>
      {others.map(([field, fault]) => (
        <Alert color="red" key={field}>
          {fault}
        </Alert>
      ))}
      <Switch
        label={t('automatic')}
        description={t('automaticText', { node: nodes?.name, peer: nodes?.peerName })}
        checked={draft.isAutomatic}
        onChange={(event) => change({ isAutomatic: event.currentTarget.checked })}
      />
      {isManaged(draft) ? (
        <Arbiter draft={draft} faults={faults} change={change} />
      ) : (
        <Text size="sm" className="soft">
          {t('notManaged')}
        </Text>
      )}
    </Stack>
  );
}

function Arbiter({ draft, faults, change }: Pick<StepProps, 'draft' | 'faults' | 'change'>) {
  const { t } = useTranslation('wizard');
  const etcdFault = Object.entries(faults).find(([field]) =>
    field.startsWith('failover.etcd'),
  )?.[1];
  return (
    <Stack>
      <Radio.Group
        label={t('arbiter')}
        description={t('arbiterText')}
        value={draft.arbiter}
        onChange={(arbiter) => change({ arbiter: arbiter as WizardDraft['arbiter'] })}
        error={faults['failover.arbiter']}
      >
        <Stack gap="xs" mt="xs">
          {ARBITERS.map((arbiter) => (
            <Radio
              key={arbiter}
              value={arbiter}
              label={t(`arbiters.${arbiter}`)}
              description={t(`arbiterTexts.${arbiter}`)}
            />
          ))}
        </Stack>
      </Radio.Group>
      <SimpleGrid cols={{ base: 1, md: 2 }}>
        {draft.arbiter === 'gateway' && (
          <TextInput
            label={t('gateway')}
            description={t('gatewayText')}
            value={draft.gateway}
            onChange={(event) => change({ gateway: event.currentTarget.value })}
            error={faults['failover.gateway']}
          />
        )}
        {draft.arbiter === 'etcd' && (
          <Textarea
            label={t('etcd')}
            description={t('etcdText')}
            placeholder="https://192.0.2.20:2379"
            value={draft.etcd}
            onChange={(event) => change({ etcd: event.currentTarget.value })}
            error={etcdFault}
            autosize
            minRows={2}
          />
        )}
      </SimpleGrid>
      <Choice
        label={t('profile')}
        value={draft.profile}
        description={t('profileText')}
        onChange={(profile) => change({ profile })}
        data={[
          { value: 'default', label: t('profileDefault') },
          { value: 'fast', label: t('profileFast') },
        ]}
      />
    </Stack>
  );
}
