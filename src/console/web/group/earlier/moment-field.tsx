// Which moment: a time within what is kept, or a bookmark.
import { Radio, Select, Stack, TextInput } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import type { RewindList } from '../../../../mirror/rewind.ts';
import { formatTime } from '../../app/format.ts';
import { currentLanguage } from '../../app/i18n.ts';
import { localText, type Moment } from './moment.ts';
import { rangeOf } from './range.ts';

export function MomentField({
  moment,
  list,
  onChange,
}: {
  readonly moment: Moment;
  readonly list: RewindList;
  readonly onChange: (moment: Moment) => void;
}) {
  const { t } = useTranslation('group');
  const language = currentLanguage();
  const names = list.bookmarks.filter(({ kept }) => kept).map(({ name }) => name);
  const range = rangeOf(list);
  const limits = range === null ? {} : { min: localText(range.fromMs), max: localText(range.toMs) };
  return (
    <Stack gap="xs">
      {names.length > 0 && (
        <Radio.Group
          label={t('rewind.moment')}
          value={moment.kind}
          onChange={(kind) =>
            onChange(
              kind === 'name'
                ? { kind: 'name', name: names[0] ?? '' }
                : { kind: 'time', text: localText(range?.toMs ?? 0) },
            )
          }
        >
          <Stack gap="xs" mt="xs">
            <Radio value="time" label={t('rewind.byTime')} />
            <Radio value="name" label={t('rewind.byName')} />
          </Stack>
        </Radio.Group>
      )}
      {moment.kind === 'time' ? (
        <TextInput
          type="datetime-local"
          step={1}
          {...limits}
          label={t('rewind.time')}
          description={
            range === null
              ? null
              : t('rewind.between', {
                  from: formatTime(range.fromMs, language),
                  to: formatTime(range.toMs, language),
                })
          }
          value={moment.text}
          onChange={({ currentTarget }) => onChange({ kind: 'time', text: currentTarget.value })}
        />
      ) : (
        <Select
          label={t('rewind.bookmark')}
          data={names}
          value={moment.name}
          allowDeselect={false}
          onChange={(name) => onChange({ kind: 'name', name: name ?? '' })}
        />
      )}
    </Stack>
  );
}
