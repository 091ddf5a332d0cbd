// What there is to see depends on the session: the login, the choice of a password, or the console.
import { Center, Loader } from '@mantine/core';
import { lazy, Suspense } from 'react';
import { useTranslation } from 'react-i18next';
import { useSessionState } from './session.tsx';
import { Fault } from './ui/fault.tsx';

const LoginPage = lazy(async () => ({
  default: (await import('../session/login-page.tsx')).LoginPage,
}));
const FirstPasswordPage = lazy(async () => ({
  default: (await import('../session/first-password-page.tsx')).FirstPasswordPage,
}));
const Shell = lazy(async () => ({ default: (await import('./shell.tsx')).Shell }));

export function Gate() {
  const { session, isLoading, fault } = useSessionState();
  return (
    <Suspense fallback={<Wait />}>
      {isLoading ? <Wait /> : <Inside session={session} fault={fault} />}
    </Suspense>
  );
}

function Inside({ session, fault }: Pick<ReturnType<typeof useSessionState>, 'session' | 'fault'>) {
  if (fault !== null) return <Fault error={fault} onRetry={() => location.reload()} />;
  if (session === null) return <LoginPage />;
  return session.mustChangePassword ? <FirstPasswordPage /> : <Shell />;
}

function Wait() {
  const { t } = useTranslation();
  return (
    <Center mih="60vh" role="status" aria-label={t('loading')}>
      <Loader />
    </Center>
  );
}
