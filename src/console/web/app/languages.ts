export const LANGUAGES = ['en', 'zh-CN', 'zh-TW'] as const;
export type Language = (typeof LANGUAGES)[number];

/** As its speakers write it. */
export const LANGUAGE_NAMES: Readonly<Record<Language, string>> = {
  en: 'English',
  'zh-CN': '简体中文',
  'zh-TW': '繁體中文',
};

/** The first wish that there is; tags as in BCP 47, in any case. */
export function languageFor(wishes: readonly string[]): Language {
  for (const wish of wishes) {
    const tag = wish.toLowerCase();
    if (/^zh\b/.test(tag)) return /hant|tw|hk|mo/.test(tag) ? 'zh-TW' : 'zh-CN';
    if (/^en\b/.test(tag)) return 'en';
  }
  return 'en';
}
