// A form made of an agent's schema. What must be written is shown; the rest, which has defaults, is folded away until it is wanted.
import './wizard.css';
import {
  Checkbox,
  NativeSelect,
  PasswordInput,
  SimpleGrid,
  Textarea,
  TextInput,
} from '@mantine/core';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { ParameterField, ParameterValues } from './schema-fields.ts';

export interface ParameterFormProps {
  readonly fields: readonly ParameterField[];
  readonly values: ParameterValues;
  readonly faultOf: (name: string) => string | undefined;
  readonly onChange: (values: ParameterValues) => void;
}

export function ParameterForm({ fields, values, faultOf, onChange }: ParameterFormProps) {
  const { t } = useTranslation('wizard');
  // Taken once: a field in which somebody types must not move to another place.
  const [given] = useState(() => Object.keys(values));
  const first = fields.filter(({ name, isRequired }) => isRequired || given.includes(name));
  const rest = fields.filter((field) => !first.includes(field));
  const isOpen = rest.some(({ name }) => faultOf(name) !== undefined);
  const grid = (some: readonly ParameterField[]) => (
    <SimpleGrid cols={{ base: 1, md: 2 }}>
      {some.map((field) => (
        <Parameter
          key={field.name}
          field={field}
          value={values[field.name]}
          fault={faultOf(field.name)}
          onChange={(value) => onChange({ ...values, [field.name]: value })}
        />
      ))}
    </SimpleGrid>
  );
  // Without one that must be written, none of them is "more".
  if (first.length === 0) return grid(rest);
  return (
    <>
      {grid(first)}
      {rest.length > 0 && (
        <details open={isOpen}>
          <summary>{t('moreParameters', { count: rest.length })}</summary>
          {grid(rest)}
        </details>
      )}
    </>
  );
}

function Parameter({
  field,
  value,
  fault,
  onChange,
}: {
  readonly field: ParameterField;
  readonly value: string | boolean | undefined;
  readonly fault: string | undefined;
  readonly onChange: (value: string | boolean) => void;
}) {
  const { t } = useTranslation('wizard');
  const { name, kind, isRequired, isSecret, description, preset, choices } = field;
  const common = {
    label: name,
    description,
    error: fault,
    required: isRequired,
    'data-parameter': name,
  };
  const text = typeof value === 'string' ? value : '';
  if (kind === 'boolean') {
    return (
      <Checkbox
        {...common}
        checked={value === undefined ? preset === 'true' : value === true}
        onChange={(event) => onChange(event.currentTarget.checked)}
      />
    );
  }
  if (kind === 'choice') {
    const none = preset === '' ? '' : t('preset', { value: preset });
    return (
      <NativeSelect
        {...common}
        value={text}
        onChange={(event) => onChange(event.currentTarget.value)}
        data={[{ value: '', label: none }, ...choices.map((one) => ({ value: one, label: one }))]}
      />
    );
  }
  const written = { ...common, value: text, placeholder: preset };
  if (isSecret) {
    return (
      <PasswordInput
        {...written}
        autoComplete="new-password"
        onChange={(event) => onChange(event.currentTarget.value)}
      />
    );
  }
  if (kind === 'list' || kind === 'json') {
    return (
      <Textarea
        {...written}
        description={`${description} (${t(kind === 'list' ? 'onePerLine' : 'asJson')})`}
        autosize
        minRows={2}
        maxRows={8}
        onChange={(event) => onChange(event.currentTarget.value)}
      />
    );
  }
  return (
    <TextInput
      {...written}
      inputMode={kind === 'number' ? 'decimal' : 'text'}
      onChange={(event) => onChange(event.currentTarget.value)}
    />
  );
}
