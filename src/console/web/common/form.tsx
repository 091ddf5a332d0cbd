// A form, and the two buttons at its end. Its fields are judged by the API, not by the browser.
import { Button, Group } from '@mantine/core';
import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';

export function ApiForm({
  onSubmit,
  children,
}: {
  readonly onSubmit: () => void;
  readonly children: ReactNode;
}) {
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        onSubmit();
      }}
      noValidate
    >
      {children}
    </form>
  );
}

/** `submit`: what the button that sends it says. */
export function FormActions({
  submit,
  isBusy,
  isDisabled = false,
  isDangerous = false,
  onClose,
}: {
  readonly submit: string;
  readonly isBusy: boolean;
  readonly isDisabled?: boolean;
  readonly isDangerous?: boolean;
  readonly onClose: () => void;
}) {
  const { t } = useTranslation();
  return (
    <Group justify="flex-end">
      <Button variant="default" onClick={onClose}>
        {t('cancel')}
      </Button>
      <Button
        type="submit"
        loading={isBusy}
        disabled={isDisabled}
        {...(isDangerous ? { color: 'red' } : {})}
      >
        {submit}
      </Button>
    </Group>
  );
}
