// Builds the web application into `dist`, which `web-files.ts` serves. Nothing in it is inline: the policy of the page forbids that.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import react from '@vitejs/plugin-react';
import { build, defineConfig, type Plugin } from 'vite';
import { LANGUAGES } from './app/languages.ts';

const COMPRESSED_BYTES_MIN = 1024;

export default defineConfig({
  root: import.meta.dirname,
  base: '/',
  publicDir: false,
  plugins: [react(), early(), compressed()],
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    target: 'es2022',
    // Browsers that know `light-dark()`: made into something else, it would need to see the rule that chooses.
    cssTarget: ['chrome123', 'firefox120', 'safari17.5'],
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 900,
    // What the first page needs is one file, not some fifty: each of them is a question, and browsers ask six at a time.
    rolldownOptions: {
      output: { codeSplitting: { groups: [{ name: 'first', tags: ['$initial'] }] } },
    },
  },
});

/**
 * The script that runs first (early/early.ts): no module, so that it does not wait for the others, and told where the texts of each language
 * are. It has its place at `<!--early-->`.
 */
function early(): Plugin {
  return {
    name: 'early',
    enforce: 'post',
    async generateBundle(_options, bundle) {
      const page = bundle['index.html'];
      if (page?.type !== 'asset') throw new Error('the bundle has no page');
      const code = await earlyCode();
      const hash = createHash('sha256').update(code).digest('hex').slice(0, 8);
      const fileName = `assets/early-${hash}.js`;
      this.emitFile({ type: 'asset', fileName, source: code });
      const chunks = Object.values(bundle).filter((one) => one.type === 'chunk');
      const places = LANGUAGES.map((language) => {
        const chunk = chunks.find(({ name }) => name === language);
        return [language, `/${chunk?.fileName ?? ''}`];
      });
      const data = JSON.stringify(Object.fromEntries(places)).replaceAll('"', '&quot;');
      const tag = `<script src="/${fileName}" data-languages="${data}"></script>`;
      page.source = String(page.source).replace('<!--early-->', tag);
    },
  };
}

async function earlyCode(): Promise<string> {
  const built = await build({
    configFile: false,
    root: import.meta.dirname,
    publicDir: false,
    logLevel: 'warn',
    build: {
      write: false,
      target: 'es2022',
      lib: { entry: 'early/early.ts', formats: ['iife'], name: 'early' },
    },
  });
  const [one] = [built].flat();
  if (one === undefined || !('output' in one)) throw new Error('early.ts was not built');
  return one.output[0].code;
}

/** Lays compressed files beside the large ones: the server sends them to browsers that take them. */
function compressed(): Plugin {
  const directory = join(import.meta.dirname, 'dist', 'assets');
  return {
    name: 'compressed',
    writeBundle: () => {
      for (const name of readdirSync(directory)) {
        const path = join(directory, name);
        if (!/\.(js|css)$/.test(name) || statSync(path).size < COMPRESSED_BYTES_MIN) continue;
        const contents = readFileSync(path);
        writeFileSync(`${path}.br`, brotliCompressSync(contents));
        writeFileSync(`${path}.gz`, gzipSync(contents, { level: 9 }));
      }
    },
  };
}
