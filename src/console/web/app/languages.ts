export const LANGUAGES = ['en', 'zh-CN', 'zh-TW'] as const;
export type Language = (typeof LANGUAGES)[number];

/** As its speakers write it. */
export const LANGUAGE_NAMES: Readonly<Record<Language, string>> = {
  en: 'English',
  'zh-CN': '简体中文',
  'zh-TW': '繁體中文',
};

/** Where a browser keeps the language that was chosen in it. */
export const LANGUAGE_KEPT_AS = 'understudy-language';

/** What was chosen in this browser, then what it asks for. `kept`: what it keeps under a name. */
export function wishedLanguages(kept: (key: string) => string): readonly string[] {
  return [kept(LANGUAGE_KEPT_AS), ...navigator.languages];
}

/** The first wish that there is; tags as in BCP 47, in any case. */
export function languageFor(wishes: readonly string[]): Language {
  for (const wish of wishes) {
    const tag = wish.toLowerCase();
    if (/^zh\b/.test(tag)) return /hant|tw|hk|mo/.test(tag) ? 'zh-TW' : 'zh-CN';
    if (/^en\b/.test(tag)) return 'en';
  }
  return 'en';
}
