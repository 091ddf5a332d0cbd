// The addresses under which clients find the application, wherever it runs. Whether somebody has one already is asked on the network.
import {
  Alert,
  Button,
  Fieldset,
  Group,
  NativeSelect,
  SimpleGrid,
  Stack,
  Text,
  TextInput,
} from '@mantine/core';
import { IconRadar } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { AddressAnswer } from '../../../service/admin-api/address-check.ts';
import type { NodeHealth } from '../../../service/node-health/node-health.ts';
import { ApiError, call, nodeRoute } from '../app/api.ts';
import { useFaultText } from '../app/ui/fault.tsx';
import { LevelBadge } from '../app/ui/level.tsx';
import { AddButton, RemoveButton } from '../common/row-buttons.tsx';
import { useWork } from '../common/use-work.ts';
import { type AddressDraft, type Faults, nextKey } from './draft.ts';
import type { WizardNodes } from './wizard-nodes.ts';
import type { StepProps } from './wizard-page.tsx';

export function StepAddress({ draft, faults, nodes, change }: StepProps) {
  const { t } = useTranslation('wizard');
  const { addresses } = draft;
  if (nodes === null) return null;
  return (
    <Stack>
      <Text size="sm" className="soft">
        {t('addressText')}
      </Text>
      {faults['addresses'] !== undefined && <Alert color="red">{faults['addresses']}</Alert>}
      {addresses.length === 0 && <Alert>{t('noAddresses')}</Alert>}
      {addresses.map((address, index) => (
        <AddressFields
          key={address.key}
          address={address}
          index={index}
          faults={faults}
          nodes={nodes}
          onChange={(changed) => change({ addresses: addresses.with(index, changed) })}
          onRemove={() => change({ addresses: addresses.toSpliced(index, 1) })}
        />
      ))}
      <Group>
        <AddButton
          text={t('addAddress')}
          onClick={() =>
            change({
              addresses: [
                ...addresses,
                { key: nextKey(addresses), ip: '', interface: '', peerInterface: '' },
              ],
            })
          }
        />
      </Group>
    </Stack>
  );
}

function AddressFields({
  address,
  index,
  faults,
  nodes,
  onChange,
  onRemove,
}: {
  readonly address: AddressDraft;
  readonly index: number;
  readonly faults: Faults;
  readonly nodes: WizardNodes;
  readonly onChange: (address: AddressDraft) => void;
  readonly onRemove: () => void;
}) {
  const { t } = useTranslation('wizard');
  const field = `addresses[${index}]`;
  const [checked, setChecked] = useState<(AddressAnswer & { readonly asked: string }) | null>(null);
  const work = useWork();
  const faultText = useFaultText();
  const asked = `${address.ip} ${address.interface}`;
  const said = work.error instanceof ApiError ? work.error : null;
  const check = async (): Promise<void> => {
    const body = { ip: address.ip.trim(), interface: address.interface };
    const route = nodeRoute(nodes.id, '/address-check');
    setChecked({ ...(await call<AddressAnswer>(route, { method: 'POST', body })), asked });
  };
  const cardFault = faults[`${field}.interface`] ?? said?.faults['interface'];
  const ipFault =
    faults[`${field}.ip`] ??
    said?.faults['ip'] ??
    (said !== null && cardFault === undefined ? faultText(said) : undefined);
  return (
    <Fieldset legend={t('addressNumber', { number: index + 1 })} data-address={index}>
      <Stack gap="sm">
        <SimpleGrid cols={{ base: 1, sm: 2, lg: 3 }}>
          <TextInput
            label={t('ip')}
            description={t('ipText')}
            placeholder="192.0.2.10/24"
            value={address.ip}
            onChange={(event) => {
              work.clear();
              onChange({ ...address, ip: event.currentTarget.value });
            }}
            error={ipFault}
            required
          />
          <CardField
            label={t('cardOn', { node: nodes.name })}
            node={nodes.id}
            value={address.interface}
            none={t('chooseCard')}
            error={cardFault}
            onChange={(card) => {
              work.clear();
              onChange({ ...address, interface: card });
            }}
            isRequired
          />
          <CardField
            label={t('cardOn', { node: nodes.peerName })}
            node={nodes.peerId}
            value={address.peerInterface}
            none={t('sameCard')}
            error={undefined}
            onChange={(peerInterface) => onChange({ ...address, peerInterface })}
          />
        </SimpleGrid>
        <Group gap="sm" aria-live="polite">
          <Button
            variant="default"
            leftSection={<IconRadar size={16} aria-hidden />}
            loading={work.isBusy}
            disabled={address.ip.trim() === '' || address.interface === ''}
            onClick={() => void work.run(check)}
          >
            {t('checkAddress')}
          </Button>
          {checked !== null && checked.asked === asked && <Answer answer={checked} />}
          <RemoveButton text={t('removeAddress', { number: index + 1 })} onClick={onRemove} />
        </Group>
      </Stack>
    </Fieldset>
  );
}

function Answer({ answer }: { readonly answer: AddressAnswer }) {
  const { t } = useTranslation('wizard');
  const { isFree, occupant } = answer;
  if (isFree) return <LevelBadge level="ok" label={t('addressFree')} />;
  const key = occupant?.kind === 'this-node' ? 'addressOwn' : 'addressTaken';
  return <LevelBadge level="error" label={t(key, { mac: occupant?.mac ?? '?' })} />;
}

/** Without an answer of the node the name is typed. */
function CardField({
  label,
  node,
  value,
  none,
  error,
  onChange,
  isRequired = false,
}: {
  readonly label: string;
  readonly node: string | null;
  readonly value: string;
  readonly none: string;
  readonly error: string | undefined;
  readonly onChange: (card: string) => void;
  readonly isRequired?: boolean;
}) {
  const { t } = useTranslation('wizard');
  const health = useQuery({
    queryKey: ['health', node],
    queryFn: async ({ signal }) => call<NodeHealth>(nodeRoute(node ?? '', '/node'), { signal }),
    enabled: node !== null,
    staleTime: 30_000,
  });
  const cards = health.data?.networkCards.filter(({ loopback }) => !loopback);
  if (cards === undefined) {
    return (
      <TextInput
        label={label}
        description={t('cardText')}
        value={value}
        onChange={(event) => onChange(event.currentTarget.value)}
        error={error}
        required={isRequired}
      />
    );
  }
  const known = cards.map(({ name, addresses, link }) => ({
    value: name,
    label: [name, ...addresses, ...(link ? [] : [t('noLink')])].join(' · '),
  }));
  const isStrange = value !== '' && !cards.some(({ name }) => name === value);
  return (
    <NativeSelect
      label={label}
      description={t('cardText')}
      value={value}
      onChange={(event) => onChange(event.currentTarget.value)}
      data={[{ value: '', label: none }, ...known, ...(isStrange ? [{ value, label: value }] : [])]}
      error={error}
      required={isRequired}
    />
  );
}
