// Languages. Each is one file to load, with the texts of all pages: `locales/<language>/<page>.json`, where the page is the
// namespace (`useTranslation('fleet')`).
import { createInstance, type ResourceLanguage } from 'i18next';
import { initReactI18next } from 'react-i18next';
import {
  type Language,
  LANGUAGE_KEPT_AS,
  LANGUAGES,
  languageFor,
  wishedLanguages,
} from './languages.ts';

const LOADERS: Record<Language, () => Promise<{ resources: ResourceLanguage }>> = {
  en: async () => import('../locales/en.ts'),
  'zh-CN': async () => import('../locales/zh-CN.ts'),
  'zh-TW': async () => import('../locales/zh-TW.ts'),
};

const i18n = createInstance();

export async function startI18n(): Promise<void> {
  const language = languageFor(wishedLanguages(kept));
  const { resources } = await LOADERS[language]();
  await i18n.use(initReactI18next).init({
    lng: language,
    fallbackLng: false,
    supportedLngs: [...LANGUAGES],
    resources: { [language]: resources },
    defaultNS: 'common',
    fallbackNS: 'common',
    interpolation: { escapeValue: false },
    returnNull: false,
  });
  document.documentElement.lang = language;
}

export function currentLanguage(): Language {
  return languageFor([i18n.language]);
}

/** Loads it, shows it, and keeps the choice in this browser. */
export async function changeLanguage(language: Language): Promise<void> {
  const { resources } = await LOADERS[language]();
  for (const [namespace, texts] of Object.entries(resources)) {
    i18n.addResourceBundle(language, namespace, texts, true, true);
  }
  await i18n.changeLanguage(language);
  document.documentElement.lang = language;
  try {
    localStorage.setItem(LANGUAGE_KEPT_AS, language);
  } catch {
    // Then it is for this window only.
  }
}

function kept(key: string): string {
  try {
    return localStorage.getItem(key) ?? '';
  } catch {
    return '';
  }
}
