// `npm run bench -- [filter|pgbench|lag|stall|idle]… [--rounds N]`: measures on this machine and writes
// `bench/results/<suite>.json` and `docs/bench.md`. Native, ours and peers alternate within one run; compare ratios.
import { parseArgs } from 'node:util';
import { report, type Row, writeDocument } from './measure.ts';
import { filter } from './suites/filter.ts';
import { idle } from './suites/idle.ts';
import { lag, stall } from './suites/lag.ts';
import { pgbench } from './suites/pgbench.ts';

const SUITES: Readonly<Record<string, (rounds: number) => Promise<Row[]>>> = {
  filter,
  pgbench,
  lag,
  stall,
  idle,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: 'string', default: '5' }, help: { type: 'boolean', default: false } },
});
const names = positionals.length === 0 ? Object.keys(SUITES) : positionals;
const unknown = names.find((name) => SUITES[name] === undefined);
if (values.help || unknown !== undefined) {
  if (unknown !== undefined) console.error(`there is no suite "${unknown}"`);
  console.error(`usage: npm run bench -- [${Object.keys(SUITES).join('|')}]… [--rounds N]`);
  process.exit(values.help ? 0 : 2);
}

let missed = false;
for (const name of names) {
  const suite = SUITES[name];
  if (suite === undefined) continue;
  console.log(`\n## ${name}\n`);
  const rows = await suite(Number(values.rounds));
  console.log(report(name, rows));
  missed ||= rows.some(({ met }) => met === false);
}
writeDocument(Object.keys(SUITES));
process.exitCode = missed ? 1 : 0;
