import '@mantine/core/styles.css';
import '@mantine/notifications/styles.css';
import './app.css';
import { setNonce } from 'get-nonce';
import { createRoot } from 'react-dom/client';
import { App } from './app.tsx';
import { startI18n } from './i18n.ts';

// Read before anything can change the page. Styles made at run time carry it: the policy refuses others.
const nonce = document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content ?? '';
setNonce(nonce);

const root = document.querySelector('#root');
if (root === null) throw new TypeError('the page has no #root');
await startI18n();
createRoot(root).render(<App nonce={nonce} />);
