import { Checkbox, NativeSelect, TextInput } from '@mantine/core';
import { IconSearch } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import type { NodeOverview } from '../../fleet/overview.ts';
import { useFleet } from '../app/fleet-data.tsx';
import { type EventFilter, type Span, SPANS } from './event-filter.ts';

export function EventFilters({
  nodes,
  filter,
  onChange,
}: {
  readonly nodes: readonly NodeOverview[];
  readonly filter: EventFilter;
  readonly onChange: (filter: EventFilter) => void;
}) {
  const { t } = useTranslation('events');
  const groups = [...new Set((useFleet().data?.groups ?? []).map(({ name }) => name))].toSorted();
  const isStrange = filter.group !== '' && !groups.includes(filter.group);
  return (
    <search className="card event-filters" aria-label={t('filter')}>
      <TextInput
        label={t('search')}
        type="search"
        leftSection={<IconSearch size={16} aria-hidden />}
        value={filter.text}
        maxLength={200}
        onChange={(event) => onChange({ ...filter, text: event.currentTarget.value })}
      />
      <NativeSelect
        label={t('level')}
        value={filter.level}
        onChange={(event) =>
          onChange({ ...filter, level: event.currentTarget.value as EventFilter['level'] })
        }
        data={[
          { value: 'info', label: t('levels.info') },
          { value: 'warning', label: t('levels.warning') },
          { value: 'error', label: t('levels.error') },
        ]}
      />
      <NativeSelect
        label={t('group')}
        value={filter.group}
        onChange={(event) => onChange({ ...filter, group: event.currentTarget.value })}
        data={[
          { value: '', label: t('allGroups') },
          ...(isStrange ? [filter.group] : []),
          ...groups,
        ]}
      />
      <NativeSelect
        label={t('node')}
        value={filter.node}
        onChange={(event) => onChange({ ...filter, node: event.currentTarget.value })}
        data={[
          { value: '', label: t('allNodes') },
          ...nodes.map(({ id, name }) => ({ value: id, label: name })),
        ]}
      />
      <NativeSelect
        label={t('span')}
        value={filter.span}
        onChange={(event) => onChange({ ...filter, span: event.currentTarget.value as Span })}
        data={SPANS.map((value) => ({ value, label: t(`spans.${value}`) }))}
      />
      <Checkbox
        label={t('onlyOpen')}
        checked={filter.onlyOpen}
        onChange={(event) => onChange({ ...filter, onlyOpen: event.currentTarget.checked })}
      />
    </search>
  );
}
