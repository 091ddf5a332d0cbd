import { SegmentedControl, Stack, Text, Title, useMantineColorScheme } from '@mantine/core';
import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { changeLanguage } from '../app/i18n.ts';
import { type Language, LANGUAGE_NAMES, LANGUAGES } from '../app/languages.ts';
import { useSession } from '../app/session.tsx';
import { notifyDone } from '../app/ui/notify.ts';
import { Page } from '../app/ui/page.tsx';
import { PasswordForm } from './password-form.tsx';
import { TotpSection } from './totp-section.tsx';

export function AccountPage() {
  const { t } = useTranslation('session');
  const { user, role } = useSession();
  return (
    <Page title={t('account.title')} subtitle={`${user} · ${t(`role.${role}`, { ns: 'common' })}`}>
      <Section title={t('account.look')}>
        <Look />
      </Section>
      <Section title={t('account.password')}>
        <PasswordForm
          submitLabel={t('account.change')}
          onDone={() => notifyDone(t('account.changed'))}
        />
      </Section>
      <Section title={t('totp.title')}>
        <TotpSection />
      </Section>
    </Page>
  );
}

function Section({ title, children }: { readonly title: string; readonly children: ReactNode }) {
  return (
    <section className="card">
      <Title order={2} size="h4" mb="sm">
        {title}
      </Title>
      {children}
    </section>
  );
}

function Look() {
  const { t, i18n } = useTranslation('session');
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return (
    <Stack gap="md" align="flex-start">
      <div>
        <Text size="sm" fw={500} mb={4} id="account-language">
          {t('look.language', { ns: 'common' })}
        </Text>
        <SegmentedControl
          aria-labelledby="account-language"
          value={i18n.language}
          onChange={(language) => void changeLanguage(language as Language)}
          data={LANGUAGES.map((value) => ({ value, label: LANGUAGE_NAMES[value] }))}
        />
      </div>
      <div>
        <Text size="sm" fw={500} mb={4} id="account-theme">
          {t('look.theme', { ns: 'common' })}
        </Text>
        <SegmentedControl
          aria-labelledby="account-theme"
          value={colorScheme}
          onChange={(scheme) => setColorScheme(scheme as typeof colorScheme)}
          data={(['auto', 'light', 'dark'] as const).map((value) => ({
            value,
            label: t(`look.${value}`, { ns: 'common' }),
          }))}
        />
      </div>
    </Stack>
  );
}
