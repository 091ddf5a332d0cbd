// What only one node had when the other one replaced it: to be looked at, copied out, or removed for good.
import { useQueries, useQueryClient } from '@tanstack/react-query';
import { Button, Group, Text, Title } from '@mantine/core';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { SalvageSummary } from '../../../../mirror/salvage/salvage-report.ts';
import { call, nodeRoute } from '../../app/api.ts';
import { formatBytes, formatTime } from '../../app/format.ts';
import { currentLanguage } from '../../app/i18n.ts';
import { useMay } from '../../app/session.tsx';
import { useGroupDetail } from '../group-detail.tsx';
import { SalvageExport } from './salvage-export.tsx';
import { SalvageRemove } from './salvage-remove.tsx';
import { SalvageShow } from './salvage-show.tsx';

type Told = SalvageSummary | { readonly name: string; readonly fault: string };

/** One of them, and where it is. */
export interface Salvaged {
  readonly node: { readonly id: string; readonly name: string };
  readonly group: string;
  readonly told: Told;
}

type Wish = { readonly what: 'show' | 'export' | 'remove'; readonly salvaged: Salvaged };

export function SalvageSection() {
  const { t } = useTranslation('group');
  const client = useQueryClient();
  const { overview, nodes: pair } = useGroupDetail();
  const [wish, setWish] = useState<Wish | null>(null);
  const nodes = pair.flatMap(({ id, name }) => (id === null ? [] : [{ id, name }]));
  const answers = useQueries({
    queries: nodes.map(({ id }) => ({
      queryKey: ['salvages', id, overview.name],
      queryFn: async ({ signal }: { signal: AbortSignal }) =>
        call<readonly Told[]>(nodeRoute(id, `/groups/${overview.name}/salvages`), { signal }),
    })),
  });
  const kept = nodes.flatMap((node, index) =>
    (answers[index]?.data ?? []).map((told): Salvaged => ({ node, told, group: overview.name })),
  );
  const close = (): void => {
    setWish(null);
    void client.invalidateQueries({ queryKey: ['salvages'] });
  };
  return (
    <section className="card" aria-labelledby="group-salvage">
      <Title order={2} size="h4" id="group-salvage" mb="xs">
        {t('salvage.title')}
      </Title>
      <Text size="sm" c="dimmed" mb="sm">
        {t('salvage.text')}
      </Text>
      {kept.length === 0 && <Text size="sm">{t('salvage.none')}</Text>}
      <ul className="bookmarks">
        {kept.map((salvaged) => (
          <Item
            key={`${salvaged.node.id} ${salvaged.told.name}`}
            salvaged={salvaged}
            onWish={setWish}
          />
        ))}
      </ul>
      {wish?.what === 'show' && <SalvageShow salvaged={wish.salvaged} onClose={close} />}
      {wish?.what === 'export' && <SalvageExport salvaged={wish.salvaged} onClose={close} />}
      {wish?.what === 'remove' && <SalvageRemove salvaged={wish.salvaged} onClose={close} />}
    </section>
  );
}

function Item({
  salvaged,
  onWish,
}: {
  readonly salvaged: Salvaged;
  readonly onWish: (wish: Wish) => void;
}) {
  const { t } = useTranslation('group');
  const language = currentLanguage();
  const mayOperate = useMay('operator');
  const { told, node } = salvaged;
  const button = (what: Wish['what']) => (
    <Button size="compact-sm" variant="default" onClick={() => onWish({ what, salvaged })}>
      {t(`salvage.${what}`)}
    </Button>
  );
  return (
    <li>
      <div className="bookmark-name">
        <Text size="sm" fw={600}>
          {'at' in told ? formatTime(told.at, language) : told.name} · {node.name}
        </Text>
        <Text size="xs" c="dimmed" className="numbers">
          {'fault' in told
            ? told.fault
            : t('salvage.holds', {
                count: told.counts.paths,
                bytes: formatBytes(told.counts.changedBytes),
              })}
        </Text>
      </div>
      <Group gap="xs">
        {'at' in told && button('show')}
        {mayOperate && button('export')}
        {mayOperate && button('remove')}
      </Group>
    </li>
  );
}
