// Runs after `npm ci` in a clone: a console without its pages is of little use. An installation without the development dependencies
// goes on without them and says so.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const has = (name: string): boolean => {
  try {
    createRequire(import.meta.url).resolve(name);
    return true;
  } catch {
    return false;
  }
};

const say = (text: string): void => {
  process.stderr.write(`understudy: ${text}\n`);
};

if (!has('vite') || !has('@mantine/core')) {
  if (!existsSync(join(import.meta.dirname, 'dist', 'index.html'))) {
    say(
      'the pages of the console are not built, because the development dependencies were left out: run "npm ci" without "--omit=dev" for them; everything else works',
    );
  }
} else {
  try {
    const { build } = await import('vite');
    await build({ root: import.meta.dirname, logLevel: 'warn' });
  } catch (thrown) {
    say(
      `the pages of the console could not be built (${String(thrown)}): run "npm run web" to see why; everything else works`,
    );
  }
}
