import { Anchor, Stack, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { useSessionState } from '../app/session.tsx';
import { Door } from './door.tsx';
import { PasswordForm } from './password-form.tsx';

/** The password was given by somebody else: it is good for choosing another one only. */
export function FirstPasswordPage() {
  const { t } = useTranslation('session');
  const { end } = useSessionState();
  return (
    <Door title={t('first.title')}>
      <Stack>
        <Text size="sm">{t('first.text')}</Text>
        <PasswordForm submitLabel={t('first.submit')} onDone={() => undefined} />
        <Anchor component="button" type="button" size="sm" onClick={() => void end()}>
          {t('first.leave')}
        </Anchor>
      </Stack>
    </Door>
  );
}
