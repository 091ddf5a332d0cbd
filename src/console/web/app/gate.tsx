// What there is to see depends on the session: the login, the choice of a password, or the console.
import { Center, Loader } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { later } from './later.tsx';
import { useSessionState } from './session.tsx';
import { Shell } from './shell.tsx';
import { Fault } from './ui/fault.tsx';

export const LoginPage = later(async () => (await import('../session/login-page.tsx')).LoginPage);
const FirstPasswordPage = later(
  async () => (await import('../session/first-password-page.tsx')).FirstPasswordPage,
);

export function Gate() {
  const { session, isLoading, fault } = useSessionState();
  return isLoading ? <Wait /> : <Inside session={session} fault={fault} />;
}

function Inside({ session, fault }: Pick<ReturnType<typeof useSessionState>, 'session' | 'fault'>) {
  if (fault !== null) return <Fault error={fault} onRetry={() => location.reload()} />;
  if (session === null) return <LoginPage waiting={<Wait />} />;
  return session.mustChangePassword ? <FirstPasswordPage waiting={<Wait />} /> : <Shell />;
}

function Wait() {
  const { t } = useTranslation();
  return (
    <Center mih="60vh" role="status" aria-label={t('loading')}>
      <Loader />
    </Center>
  );
}
