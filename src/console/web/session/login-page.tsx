import { Alert, Anchor, Button, PasswordInput, Stack, Text, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ApiError, call } from '../app/api.ts';
import { type SessionView, useSessionState } from '../app/session.tsx';
import { useFaultText } from '../app/ui/fault.tsx';
import { Door } from './door.tsx';

export function LoginPage() {
  const { t } = useTranslation('session');
  const { begin } = useSessionState();
  const faultText = useFaultText();
  const [fault, setFault] = useState<string | null>(null);
  const [needsCode, setNeedsCode] = useState(false);
  const [isBusy, setBusy] = useState(false);
  const form = useForm({ initialValues: { name: '', password: '', code: '' } });

  const submit = async ({ name, password, code }: typeof form.values): Promise<void> => {
    setBusy(true);
    setFault(null);
    try {
      const body = { name, password, ...(code.trim() === '' ? {} : { code: code.trim() }) };
      begin(await call<SessionView>('/login', { method: 'POST', body }));
    } catch (thrown) {
      if (thrown instanceof ApiError && thrown.code === 'LOGIN_CODE_NEEDED') setNeedsCode(true);
      else setFault(faultText(thrown));
      form.setFieldValue('code', '');
    } finally {
      setBusy(false);
    }
  };

  return (
    <Door title={t('login.title')}>
      <form onSubmit={form.onSubmit((values) => void submit(values))} noValidate>
        <Stack>
          {fault !== null && (
            <Alert color="red" role="alert">
              {fault}
            </Alert>
          )}
          <div hidden={needsCode}>
            <Stack>
              <TextInput
                label={t('login.name')}
                autoComplete="username"
                autoCapitalize="none"
                spellCheck={false}
                // There is nothing else to do here.
                // oxlint-disable-next-line jsx-a11y/no-autofocus
                autoFocus
                {...form.getInputProps('name')}
              />
              <PasswordInput
                label={t('login.password')}
                autoComplete="current-password"
                visibilityToggleButtonProps={{ 'aria-label': t('show') }}
                {...form.getInputProps('password')}
              />
            </Stack>
          </div>
          {needsCode && <CodeField {...form.getInputProps('code')} />}
          <Button type="submit" loading={isBusy} fullWidth>
            {t('login.submit')}
          </Button>
          {needsCode && (
            <Anchor component="button" type="button" size="sm" onClick={() => setNeedsCode(false)}>
              {t('login.back')}
            </Anchor>
          )}
          <Text size="xs" c="dimmed">
            {t('login.forgotten')}
          </Text>
        </Stack>
      </form>
    </Door>
  );
}

function CodeField(props: { readonly value?: string }) {
  const { t } = useTranslation('session');
  const [element, setElement] = useState<HTMLInputElement | null>(null);
  useEffect(() => element?.focus(), [element]);
  return (
    <TextInput
      label={t('login.code')}
      description={t('login.codeHelp')}
      inputMode="numeric"
      autoComplete="one-time-code"
      maxLength={8}
      ref={setElement}
      {...props}
    />
  );
}
