// Who may use this console, what was changed by whom, and which programs may use the API of the nodes.
import { Alert } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { useLocation, useParams } from 'wouter';
import { useMay } from '../app/session.tsx';
import { Page } from '../app/ui/page.tsx';
import { RoutedTabs } from '../common/routed-tabs.tsx';
import { AuditSection } from './audit-section.tsx';
import { TokensSection } from './tokens-section.tsx';
import { UsersSection } from './users-section.tsx';

const TABS = ['users', 'audit', 'tokens'] as const;
const SECTIONS = { users: UsersSection, audit: AuditSection, tokens: TokensSection } as const;

export function AdministrationPage() {
  const { t } = useTranslation('administration');
  const params = useParams<{ tab?: string }>();
  const [, go] = useLocation();
  const may = useMay('administrator');
  const shown = TABS.find((one) => one === params.tab) ?? 'users';
  const Body = SECTIONS[shown];
  return (
    <Page title={t('title')}>
      {may ? (
        <RoutedTabs
          tabs={TABS}
          value={shown}
          label={(tab) => t(`tab.${tab}`)}
          onChange={(tab) => go(`/administration/${tab}`)}
        >
          <Body />
        </RoutedTabs>
      ) : (
        <Alert color="yellow">{t('needsAdministrator')}</Alert>
      )}
    </Page>
  );
}
