// The fields of the form, by the names that the API has for them.
import { NativeSelect, Switch, TextInput } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import type { SettingName, SettingTexts } from './settings-draft.ts';

export interface FieldsProps {
  readonly texts: SettingTexts;
  readonly faults: Readonly<Record<string, string>>;
  readonly onChange: (name: SettingName, text: string) => void;
}
interface FieldProps extends FieldsProps {
  readonly name: SettingName;
}

const lastOf = (name: string): string => name.slice(name.lastIndexOf('.') + 1);

/** A time, a size or a number, as text: `2s`, `8 GiB`. */
export function TextSetting({
  name,
  texts,
  faults,
  isNumber = false,
  onChange,
}: FieldProps & { readonly isNumber?: boolean }) {
  const { t } = useTranslation('group');
  return (
    <TextInput
      label={t(`settings.label.${lastOf(name)}`)}
      description={t(`settings.help.${lastOf(name)}`)}
      value={texts[name]}
      onChange={({ currentTarget }) => onChange(name, currentTarget.value)}
      error={faults[name]}
      inputMode={isNumber ? 'decimal' : 'text'}
      autoComplete="off"
      spellCheck={false}
      data-setting={name}
    />
  );
}

export function ChoiceSetting({
  name,
  texts,
  faults,
  choices,
  help,
  isDisabled = false,
  onChange,
}: FieldProps & {
  readonly choices: readonly { readonly value: string; readonly label: string }[];
  readonly help: string;
  readonly isDisabled?: boolean;
}) {
  const { t } = useTranslation('group');
  return (
    <NativeSelect
      label={t(`settings.label.${lastOf(name)}`)}
      description={help}
      value={texts[name]}
      onChange={({ currentTarget }) => onChange(name, currentTarget.value)}
      data={choices.map((one) => ({ ...one }))}
      error={faults[name]}
      disabled={isDisabled}
      data-setting={name}
    />
  );
}

export function SwitchSetting({ name, texts, faults, onChange }: FieldProps) {
  const { t } = useTranslation('group');
  return (
    <Switch
      label={t(`settings.label.${lastOf(name)}`)}
      description={t(`settings.help.${lastOf(name)}`)}
      checked={texts[name] === 'on'}
      onChange={({ currentTarget }) => onChange(name, currentTarget.checked ? 'on' : 'off')}
      error={faults[name]}
      data-setting={name}
    />
  );
}
