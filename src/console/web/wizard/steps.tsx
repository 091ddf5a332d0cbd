// Where one is in the wizard; earlier steps can be gone back to.
import { useTranslation } from 'react-i18next';
import { LevelIcon } from '../app/ui/level.tsx';
import { type Faults, type Step, stepOf, STEPS } from './draft.ts';

export function Steps({
  step,
  faults,
  canGo,
  onGo,
}: {
  readonly step: Step;
  readonly faults: Faults;
  readonly canGo: (step: Step) => boolean;
  readonly onGo: (step: Step) => void;
}) {
  const { t } = useTranslation('wizard');
  const here = STEPS.indexOf(step);
  return (
    <nav aria-label={t('steps')}>
      <p className="steps-short" aria-hidden>
        {t('stepOf', { number: here + 1, count: STEPS.length, step: t(`step.${step}`) })}
      </p>
      <ol className="steps">
        {STEPS.map((one, index) => {
          const hasFault = Object.keys(faults).some((field) => stepOf(field) === one);
          return (
            <li key={one} data-state={index < here ? 'done' : index === here ? 'here' : 'open'}>
              <button
                type="button"
                disabled={!canGo(one)}
                aria-current={index === here ? 'step' : undefined}
                onClick={() => onGo(one)}
              >
                <span className="steps-number" aria-hidden>
                  {index + 1}
                </span>
                <span className="steps-name">{t(`step.${one}`)}</span>
                {hasFault && <LevelIcon level="error" size={16} />}
              </button>
            </li>
          );
        })}
      </ol>
    </nav>
  );
}
