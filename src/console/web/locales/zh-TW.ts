// All texts in one language; the pages' files are found by their names.
import type { ResourceKey, ResourceLanguage } from 'i18next';

const files = import.meta.glob<ResourceKey>('./zh-TW/*.json', { eager: true, import: 'default' });

export const resources: ResourceLanguage = Object.fromEntries(
  Object.entries(files).map(([path, texts]) => [
    path.slice(path.lastIndexOf('/') + 1, -'.json'.length),
    texts,
  ]),
);
