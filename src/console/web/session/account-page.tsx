import { Stack, useMantineColorScheme } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { changeLanguage } from '../app/i18n.ts';
import { type Language, LANGUAGE_NAMES, LANGUAGES } from '../app/languages.ts';
import { useSession } from '../app/session.tsx';
import { notifyDone } from '../app/ui/notify.ts';
import { Page } from '../app/ui/page.tsx';
import { Choice } from '../common/choice.tsx';
import { Section } from '../common/section.tsx';
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

function Look() {
  const { t, i18n } = useTranslation('session');
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return (
    <Stack gap="md" align="flex-start">
      <Choice
        label={t('look.language', { ns: 'common' })}
        value={i18n.language as Language}
        onChange={(language) => void changeLanguage(language)}
        data={LANGUAGES.map((value) => ({ value, label: LANGUAGE_NAMES[value] }))}
      />
      <Choice
        label={t('look.theme', { ns: 'common' })}
        value={colorScheme}
        onChange={setColorScheme}
        data={(['auto', 'light', 'dark'] as const).map((value) => ({
          value,
          label: t(`look.${value}`, { ns: 'common' }),
        }))}
      />
    </Stack>
  );
}
