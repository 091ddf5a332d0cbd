// Every place of the console. Pages are loaded when they are gone to.
import { Center, Loader } from '@mantine/core';
import { type ComponentType, lazy, type LazyExoticComponent, Suspense } from 'react';
import { useTranslation } from 'react-i18next';
import { Route, Switch, useLocation } from 'wouter';
import { ErrorBoundary } from './error-boundary.tsx';
import { NotFound } from './not-found.tsx';

type Page = LazyExoticComponent<ComponentType>;

const page = (load: () => Promise<ComponentType>): Page =>
  lazy(async () => ({ default: await load() }));

/** Path → page; what a path names is read with `useParams`. The order counts. */
export const PAGES: readonly (readonly [string, Page])[] = [
  ['/', page(async () => (await import('../fleet/fleet-page.tsx')).FleetPage)],
  ['/groups/:group/:tab?', page(async () => (await import('../group/group-page.tsx')).GroupPage)],
  ['/nodes', page(async () => (await import('../node/nodes-page.tsx')).NodesPage)],
  ['/nodes/add', page(async () => (await import('../node/add-node-page.tsx')).AddNodePage)],
  ['/nodes/:node/:tab?', page(async () => (await import('../node/node-page.tsx')).NodePage)],
  ['/create', page(async () => (await import('../wizard/wizard-page.tsx')).WizardPage)],
  ['/events', page(async () => (await import('../events/events-page.tsx')).EventsPage)],
  ['/alerts', page(async () => (await import('../events/alerts-page.tsx')).AlertsPage)],
  [
    '/administration/:tab?',
    page(
      async () => (await import('../administration/administration-page.tsx')).AdministrationPage,
    ),
  ],
  ['/account', page(async () => (await import('../session/account-page.tsx')).AccountPage)],
];

export function Routes() {
  const [location] = useLocation();
  return (
    <ErrorBoundary resetKey={location}>
      <Suspense fallback={<Wait />}>
        <Switch>
          {PAGES.map(([path, Component]) => (
            <Route path={path} key={path}>
              <Component />
            </Route>
          ))}
          <Route>
            <NotFound />
          </Route>
        </Switch>
      </Suspense>
    </ErrorBoundary>
  );
}

function Wait() {
  const { t } = useTranslation();
  return (
    <Center mih="40vh" role="status" aria-label={t('loading')}>
      <Loader />
    </Center>
  );
}
