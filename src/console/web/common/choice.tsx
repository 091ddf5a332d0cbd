// One of a few, all in sight, with its name above.
import { SegmentedControl, Text } from '@mantine/core';
import { useId } from 'react';

export function Choice<T extends string>({
  label,
  value,
  data,
  description,
  onChange,
}: {
  readonly label: string;
  readonly value: T;
  readonly data: readonly { readonly value: T; readonly label: string }[];
  readonly description?: string;
  readonly onChange: (value: T) => void;
}) {
  const id = useId();
  return (
    <div>
      <Text size="sm" fw={500} mb={6} id={id}>
        {label}
      </Text>
      <SegmentedControl
        aria-labelledby={id}
        value={value}
        onChange={(chosen) => onChange(chosen as T)}
        data={data.map((one) => ({ ...one }))}
      />
      {description !== undefined && (
        <Text size="xs" className="soft" mt={4}>
          {description}
        </Text>
      )}
    </div>
  );
}
