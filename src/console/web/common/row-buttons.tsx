// Buttons of lists: one more, one less.
import { Button } from '@mantine/core';
import { IconPlus, IconTrash } from '@tabler/icons-react';

interface RowButtonProps {
  readonly text: string;
  /** For who hears the page, where the text does not say which one. */
  readonly label?: string;
  readonly onClick: () => void;
}

export function AddButton({ text, onClick }: Omit<RowButtonProps, 'label'>) {
  return (
    <Button variant="default" leftSection={<IconPlus size={16} aria-hidden />} onClick={onClick}>
      {text}
    </Button>
  );
}

export function RemoveButton({ text, label, onClick }: RowButtonProps) {
  return (
    <Button
      variant="subtle"
      color="red"
      size="compact-sm"
      leftSection={<IconTrash size={14} aria-hidden />}
      onClick={onClick}
      aria-label={label}
    >
      {text}
    </Button>
  );
}
