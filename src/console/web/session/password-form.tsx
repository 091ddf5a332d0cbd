// Another password for oneself. The present one is asked for: a window left open is not enough.
import { Button, PasswordInput, Stack, Text } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useTranslation } from 'react-i18next';
import { ApiError, call } from '../app/api.ts';
import { type SessionView, useSessionState } from '../app/session.tsx';
import { useFaultText } from '../app/ui/fault.tsx';
import { useWork } from '../common/use-work.ts';
import { PASSWORD_LENGTH_MIN, passwordFault } from './password-rules.ts';

export function PasswordForm({
  submitLabel,
  onDone,
}: {
  readonly submitLabel: string;
  readonly onDone: () => void;
}) {
  const { t } = useTranslation('session');
  const { begin, session } = useSessionState();
  const faultText = useFaultText();
  const { isBusy, run } = useWork();
  const form = useForm({
    initialValues: { present: '', password: '', again: '' },
    validate: {
      present: (value) => (value === '' ? t('password.presentMissing') : null),
      password: (value, { present }) => {
        const fault = passwordFault(value, { present, name: session?.user ?? '' });
        return fault === null ? null : t(`password.${fault}`, { count: PASSWORD_LENGTH_MIN });
      },
      again: (value, { password }) => (value === password ? null : t('password.notTheSame')),
    },
  });
  const submit = async ({ present, password }: typeof form.values): Promise<void> => {
    try {
      const body = { present, password };
      const view = await call<SessionView>('/account/password', { method: 'POST', body });
      form.reset();
      begin(view);
      onDone();
    } catch (thrown) {
      const isWeak = thrown instanceof ApiError && thrown.code === 'PASSWORD_WEAK';
      form.setFieldError(isWeak ? 'password' : 'present', faultText(thrown));
    }
  };
  const show = { 'aria-label': t('show') };
  return (
    <form onSubmit={form.onSubmit((values) => void run(async () => submit(values)))} noValidate>
      <Stack maw={400}>
        <PasswordInput
          label={t('password.present')}
          autoComplete="current-password"
          visibilityToggleButtonProps={show}
          {...form.getInputProps('present')}
        />
        <PasswordInput
          label={t('password.next')}
          description={t('password.rule', { count: PASSWORD_LENGTH_MIN })}
          autoComplete="new-password"
          visibilityToggleButtonProps={show}
          {...form.getInputProps('password')}
        />
        <PasswordInput
          label={t('password.again')}
          autoComplete="new-password"
          visibilityToggleButtonProps={show}
          {...form.getInputProps('again')}
        />
        <Text size="xs" c="dimmed">
          {t('password.othersEnd')}
        </Text>
        <Button type="submit" loading={isBusy}>
          {submitLabel}
        </Button>
      </Stack>
    </form>
  );
}
