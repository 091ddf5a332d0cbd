// Who may use this console, what was changed by whom, and which programs may use the API of the nodes.
import { Alert, Tabs } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { useLocation, useParams } from 'wouter';
import { useMay } from '../app/session.tsx';
import { Page } from '../app/ui/page.tsx';
import { AuditSection } from './audit-section.tsx';
import { TokensSection } from './tokens-section.tsx';
import { UsersSection } from './users-section.tsx';

const TABS = ['users', 'audit', 'tokens'] as const;
const SECTIONS = { users: UsersSection, audit: AuditSection, tokens: TokensSection } as const;

export function AdministrationPage() {
  const { t } = useTranslation('administration');
  const { tab } = useParams<{ tab?: string }>();
  const [, go] = useLocation();
  const may = useMay('administrator');
  const shown = TABS.find((one) => one === tab) ?? 'users';
  return (
    <Page title={t('title')}>
      {may ? (
        <Tabs
          value={shown}
          onChange={(value) => go(`/administration/${value ?? 'users'}`)}
          keepMounted={false}
        >
          <Tabs.List>
            {TABS.map((one) => (
              <Tabs.Tab value={one} key={one}>
                {t(`tab.${one}`)}
              </Tabs.Tab>
            ))}
          </Tabs.List>
          {TABS.map((one) => {
            const Body = SECTIONS[one];
            return (
              <Tabs.Panel value={one} key={one} pt="md">
                <Body />
              </Tabs.Panel>
            );
          })}
        </Tabs>
      ) : (
        <Alert color="yellow">{t('needsAdministrator')}</Alert>
      )}
    </Page>
  );
}
