// Every place of the console. Pages are loaded when they are gone to.
import { Center, Loader } from '@mantine/core';
import { type ComponentType, lazy, type LazyExoticComponent, Suspense } from 'react';
import { useTranslation } from 'react-i18next';
import { Route, Switch, useLocation } from 'wouter';
import { ErrorBoundary } from './error-boundary.tsx';
import { NotFound } from './not-found.tsx';

type Page = LazyExoticComponent<ComponentType>;
type PageModule = Readonly<Record<string, ComponentType>>;

/** Pages are found by the names of their files: one that an installation does not have is a page that is not found. */
const MODULES = import.meta.glob<PageModule>('../{node,wizard,events,administration}/*-page.tsx');

const page = (load: () => Promise<ComponentType>): Page =>
  lazy(async () => ({ default: await load() }));

const named = (file: string, name: string): Page =>
  page(async () => (await MODULES[file]?.())?.[name] ?? NotFound);

/** Path → page; what a path names is read with `useParams`. The order counts. */
export const PAGES: readonly (readonly [string, Page])[] = [
  ['/', page(async () => (await import('../fleet/fleet-page.tsx')).FleetPage)],
  ['/groups/:group/:tab?', page(async () => (await import('../group/group-page.tsx')).GroupPage)],
  ['/nodes', named('../node/nodes-page.tsx', 'NodesPage')],
  ['/nodes/add', named('../node/add-node-page.tsx', 'AddNodePage')],
  ['/nodes/:node/:tab?', named('../node/node-page.tsx', 'NodePage')],
  ['/create', named('../wizard/wizard-page.tsx', 'WizardPage')],
  ['/events', named('../events/events-page.tsx', 'EventsPage')],
  ['/alerts', named('../events/alerts-page.tsx', 'AlertsPage')],
  [
    '/administration/:tab?',
    named('../administration/administration-page.tsx', 'AdministrationPage'),
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
