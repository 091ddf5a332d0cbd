// Runs before anything else of the page is there: a file of its own, since the policy of the page allows nothing inline. It sees to it that
// a dark page does not flash white, and asks for what the application will need while that is still being loaded.
import { type Language, languageFor, wishedLanguages } from '../app/languages.ts';
import type { Early } from './asked.ts';

const COLOR_SCHEME = 'mantine-color-scheme-value';

function kept(key: string): string {
  try {
    return localStorage.getItem(key) ?? '';
  } catch {
    // A browser that keeps nothing.
    return '';
  }
}

function chooseColors(): void {
  const wish = kept(COLOR_SCHEME);
  const isDark =
    wish === 'dark' || (wish !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches);
  document.documentElement.dataset['mantineColorScheme'] = isDark ? 'dark' : 'light';
}

/** Where the texts are stands at this script's own tag (vite.config.ts). */
function loadTexts(): void {
  const places = document.currentScript?.dataset['languages'];
  if (places === undefined) return;
  const place = (JSON.parse(places) as Partial<Record<Language, string>>)[
    languageFor(wishedLanguages(kept))
  ];
  if (place === undefined) return;
  const link = document.createElement('link');
  link.rel = 'modulepreload';
  link.href = place;
  document.head.append(link);
}

async function get(path: string): Promise<Response | null> {
  try {
    return await fetch(`/api/console${path}`, { credentials: 'same-origin', redirect: 'error' });
  } catch {
    // It is asked for again, and then it is said.
    return null;
  }
}

function askAhead(): Early {
  const session = get('/session');
  const fleet = session.then(async (answer) => {
    const one = answer?.ok === true ? await get('/fleet') : null;
    // Of who may not see it yet, it will be asked for when that has changed.
    return one?.ok === true ? one : null;
  });
  return { '/session': session, '/fleet': fleet };
}

chooseColors();
loadTexts();
window.understudyEarly = askAhead();
