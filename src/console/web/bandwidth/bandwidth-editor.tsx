// The bandwidth limit of a group or of a node: what holds now and why, and what is to hold from now on.
import { Alert, Button, Group, Skeleton, Stack, Table, Text } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { LimitView, NodeLimitView } from '../../../service/limits.ts';
import { ApiError, call, nodeRoute } from '../app/api.ts';
import { formatRate } from '../app/format.ts';
import { useMay } from '../app/session.tsx';
import { Fault } from '../app/ui/fault.tsx';
import { notifyDone } from '../app/ui/notify.ts';
import { Facts } from '../common/facts.tsx';
import { ApiForm } from '../common/form.tsx';
import { Section, WideTable } from '../common/section.tsx';
import { useWork } from '../common/use-work.ts';
import {
  type BandwidthDraft,
  bandwidthDraft,
  bandwidthInput,
  ownField,
  rateDraft,
} from './bandwidth-draft.ts';
import { BandwidthFields } from './bandwidth-fields.tsx';
import { rateWords } from './week-view.tsx';

/** `node`: the console's id of the node that is asked; for a group best its primary. */
export type BandwidthTarget =
  | { readonly kind: 'group'; readonly node: string; readonly group: string }
  | { readonly kind: 'node'; readonly node: string; readonly name: string };

const REFRESH_MS = 3000;

function routeOf(target: BandwidthTarget): string {
  const path =
    target.kind === 'node' ? '/node/limit' : `/groups/${encodeURIComponent(target.group)}/limit`;
  return nodeRoute(target.node, path);
}

function isOfGroup(limit: LimitView | NodeLimitView): limit is LimitView {
  return 'inForce' in limit;
}

export function BandwidthEditor({ target }: { readonly target: BandwidthTarget }) {
  const { t } = useTranslation('bandwidth');
  const limit = useQuery({
    queryKey: ['limit', routeOf(target)],
    queryFn: async ({ signal }) => call<LimitView | NodeLimitView>(routeOf(target), { signal }),
    refetchInterval: REFRESH_MS,
  });
  if (limit.data === undefined) {
    return limit.error === null ? (
      <Skeleton height={240} />
    ) : (
      <Fault error={limit.error} onRetry={() => void limit.refetch()} />
    );
  }
  return (
    <Stack>
      {limit.error !== null && <Fault error={limit.error} />}
      <Section title={t('inForce')}>
        {isOfGroup(limit.data) ? (
          <GroupForce limit={limit.data} />
        ) : (
          <NodeForce limit={limit.data} />
        )}
      </Section>
      <Section title={t('set')}>
        <Form target={target} limit={limit.data} />
      </Section>
    </Stack>
  );
}

function GroupForce({ limit }: { readonly limit: LimitView }) {
  const { t } = useTranslation('bandwidth');
  const { inForce, wireBytesPerSecond, isTaken } = limit;
  const words = (rate: number | null): string => rateWords(rateDraft(rate), t('unlimited'));
  return (
    <Stack gap="sm">
      <Facts
        facts={[
          [t('limit'), <strong key="rate">{inForce === null ? '–' : words(inForce.rate)}</strong>],
          [t('because'), inForce === null ? t('noPrimary') : t(`from.${inForce.from}`)],
          [t('sends'), wireBytesPerSecond === null ? '–' : formatRate(wireBytesPerSecond)],
          [t('primary'), inForce?.node ?? '–'],
        ]}
      />
      {!isTaken && <Alert color="yellow">{t('notTaken')}</Alert>}
    </Stack>
  );
}

function NodeForce({ limit }: { readonly limit: NodeLimitView }) {
  const { t } = useTranslation('bandwidth');
  return (
    <Stack gap="sm">
      <Facts
        facts={[
          [
            t('limit'),
            <strong key="rate">{rateWords(rateDraft(limit.rate), t('unlimited'))}</strong>,
          ],
        ]}
      />
      {limit.shares.length > 0 && limit.rate !== null && (
        <WideTable label={t('shares')} minWidth={360} head={[t('group'), t('share'), t('sends')]}>
          {limit.shares.map(({ group, share, sent }) => (
            <Table.Tr key={group}>
              <Table.Th scope="row" fw={500}>
                {group}
              </Table.Th>
              <Table.Td>{rateWords(rateDraft(share), t('unlimited'))}</Table.Td>
              <Table.Td>{formatRate(sent)}</Table.Td>
            </Table.Tr>
          ))}
        </WideTable>
      )}
    </Stack>
  );
}

function Form({
  target,
  limit,
}: {
  readonly target: BandwidthTarget;
  readonly limit: LimitView | NodeLimitView;
}) {
  const { t } = useTranslation('bandwidth');
  const may = useMay('operator');
  const client = useQueryClient();
  // Null: nothing is being typed, and what is set is shown, whoever has set it.
  const [edited, setEdited] = useState<BandwidthDraft | null>(null);
  const draft = edited ?? bandwidthDraft(limit.set);
  const isChanged = edited !== null;
  const work = useWork();
  const faults = faultsByField(work.error);
  const isAtFields = Object.keys(faults).length > 0;
  const save = async (): Promise<void> => {
    const body = { bandwidth: bandwidthInput(draft) };
    const now = await call<LimitView | NodeLimitView>(routeOf(target), { method: 'PUT', body });
    client.setQueryData(['limit', routeOf(target)], now);
    setEdited(null);
    notifyDone(t('saved'));
  };
  return (
    <ApiForm onSubmit={() => void work.run(save)}>
      <Stack>
        <Text size="sm" className="soft">
          {t(target.kind === 'node' ? 'nodeText' : 'groupText')} {t('zone')}
        </Text>
        <BandwidthFields draft={draft} faults={faults} disabled={!may} onChange={setEdited} />
        {work.error !== null && !isAtFields && <Fault error={work.error} />}
        {may && (
          <Group>
            <Button type="submit" loading={work.isBusy} disabled={!isChanged}>
              {t('save')}
            </Button>
            {isChanged && (
              <Button
                variant="default"
                onClick={() => {
                  setEdited(null);
                  work.clear();
                }}
              >
                {t('reset')}
              </Button>
            )}
          </Group>
        )}
      </Stack>
    </ApiForm>
  );
}

function faultsByField(error: unknown): Readonly<Record<string, string>> {
  if (!(error instanceof ApiError)) return {};
  return Object.fromEntries(
    Object.entries(error.faults).map(([field, fault]) => [ownField(field), fault]),
  );
}
