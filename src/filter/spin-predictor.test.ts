import { expect, test } from 'vitest';
import { SpinPredictor } from './spin-predictor.ts';

const WRITE = 16;
const FSYNC = 20;

test('at first it pays, also after what nobody knows', () => {
  expect(new SpinPredictor().pays(WRITE)).toBe(true);
  expect(new SpinPredictor().pays(4096)).toBe(true);
});

test('what follows one operation says nothing of what follows another', () => {
  const spin = new SpinPredictor();
  for (let i = 0; i < 8; i += 1) {
    spin.learn(WRITE, true);
    spin.learn(FSYNC, false);
  }
  expect(spin.pays(FSYNC)).toBe(false);
  expect(spin.pays(WRITE)).toBe(true);
});

test('one mistake does not change the answer, two do, in both directions', () => {
  const spin = new SpinPredictor();
  spin.learn(WRITE, false);
  expect(spin.pays(WRITE)).toBe(true);
  spin.learn(WRITE, false);
  expect(spin.pays(WRITE)).toBe(false);
  spin.learn(WRITE, false);
  spin.learn(WRITE, true);
  expect(spin.pays(WRITE)).toBe(false);
  spin.learn(WRITE, true);
  expect(spin.pays(WRITE)).toBe(true);
});
