// What is wrong with a group or a node, as a sentence.
import { useTranslation } from 'react-i18next';
import type { Problem } from '../../fleet/problems.ts';

export function useProblemText(): (problem: Problem) => string {
  const { t } = useTranslation('problems');
  return ({ code, params }) => t(code, { ...params, defaultValue: code });
}
