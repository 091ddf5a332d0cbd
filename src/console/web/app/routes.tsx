// Every place of the console. The first page comes with the application, the others are loaded when they are gone to.
import { Center, Loader } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { Route, Switch, useLocation } from 'wouter';
import { FleetPage } from '../fleet/fleet-page.tsx';
import { ErrorBoundary } from './error-boundary.tsx';
import { here, later, type LaterComponent } from './later.tsx';
import { NotFound } from './not-found.tsx';

type Page = LaterComponent<object>;

/** Path → page; what a path names is read with `useParams`. The order counts. */
export const PAGES: readonly (readonly [string, Page])[] = [
  ['/', here(FleetPage)],
  ['/groups/:group/:tab?', later(async () => (await import('../group/group-page.tsx')).GroupPage)],
  ['/nodes', later(async () => (await import('../node/nodes-page.tsx')).NodesPage)],
  ['/nodes/add', later(async () => (await import('../node/add-node-page.tsx')).AddNodePage)],
  ['/nodes/:node/:tab?', later(async () => (await import('../node/node-page.tsx')).NodePage)],
  ['/create', later(async () => (await import('../wizard/wizard-page.tsx')).WizardPage)],
  ['/events', later(async () => (await import('../events/events-page.tsx')).EventsPage)],
  ['/alerts', later(async () => (await import('../events/alerts-page.tsx')).AlertsPage)],
  [
    '/administration/:tab?',
    later(
      async () => (await import('../administration/administration-page.tsx')).AdministrationPage,
    ),
  ],
  ['/account', later(async () => (await import('../session/account-page.tsx')).AccountPage)],
];

/** The page of a path, to load it before it is gone to. */
export function pageAt(path: string): Page | undefined {
  return PAGES.find(([pattern]) => isAt(pattern, path))?.[1];
}

function isAt(pattern: string, path: string): boolean {
  const parts = path.split('/');
  const wanted = pattern.split('/');
  return (
    parts.length <= wanted.length &&
    wanted.every((one, index) => {
      if (one.endsWith('?')) return true;
      return one.startsWith(':') ? (parts[index] ?? '') !== '' : one === parts[index];
    })
  );
}

export function Routes() {
  const [location] = useLocation();
  return (
    <ErrorBoundary resetKey={location}>
      <Switch>
        {PAGES.map(([path, Component]) => (
          <Route path={path} key={path}>
            <Component waiting={<Wait />} />
          </Route>
        ))}
        <Route>
          <NotFound />
        </Route>
      </Switch>
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
