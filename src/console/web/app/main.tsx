import '@mantine/core/styles.css';
import '@mantine/notifications/styles.css';
import './app.css';
import { setNonce } from 'get-nonce';
import { createRoot } from 'react-dom/client';
import { App } from './app.tsx';
import { prepareFirstPage } from './first-page.ts';
import { startI18n } from './i18n.ts';
import { pageAt } from './routes.tsx';

/** Of browsers that do not say when they have nothing to do. */
const IDLE_AFTER_MS = 2000;

// Read before anything can change the page. Styles made at run time carry it: the policy refuses others.
const nonce = document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content ?? '';
setNonce(nonce);

const root = document.querySelector('#root');
if (root === null) throw new TypeError('the page has no #root');
await Promise.all([startI18n(), prepareFirstPage()]);
createRoot(root).render(<App nonce={nonce} />);
whenIdle(() => void pageAt('/groups/any')?.preload());

/** From the first page one goes to a group, most of the time. */
function whenIdle(work: () => void): void {
  if (typeof requestIdleCallback === 'function') requestIdleCallback(work);
  else setTimeout(work, IDLE_AFTER_MS);
}
