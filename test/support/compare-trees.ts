// node test/support/compare-trees.ts A B [--no-holes | --holes-as-allocated] [--no-mtime]
// Prints the differences between two directory trees; exit code 0 when there are none.
import { compareTrees, forgetAllPages, snapshotTree } from './tree.ts';

const dirs = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));
const [a, b] = dirs;
if (a === undefined || b === undefined || dirs.length !== 2) {
  console.error('usage: compare-trees.ts A B [--no-holes | --holes-as-allocated] [--no-mtime]');
  process.exit(2);
}
forgetAllPages();
const left = snapshotTree(a);
const differences = compareTrees(left, b, {
  holes: process.argv.includes('--holes-as-allocated')
    ? 'allocated'
    : !process.argv.includes('--no-holes'),
  mtime: !process.argv.includes('--no-mtime'),
});
for (const difference of differences) console.log(difference);
console.log(
  differences.length === 0
    ? `equal: ${left.entries.size} objects`
    : `${differences.length} differences`,
);
process.exit(differences.length === 0 ? 0 : 1);
