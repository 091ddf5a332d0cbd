// Builds the web application into `dist`, which `web-files.ts` serves. Nothing in it is inline: the policy of the page forbids that.
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';

const COMPRESSED_BYTES_MIN = 1024;

export default defineConfig({
  root: import.meta.dirname,
  base: '/',
  plugins: [react(), compressed()],
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    target: 'es2022',
    // Browsers that know `light-dark()`: made into something else, it would need to see the rule that chooses.
    cssTarget: ['chrome123', 'firefox120', 'safari17.5'],
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 700,
  },
});

/** Lays compressed files beside the large ones: the server sends them to browsers that take them. */
function compressed(): Plugin {
  const directory = join(import.meta.dirname, 'dist', 'assets');
  return {
    name: 'compressed',
    closeBundle: () => {
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
