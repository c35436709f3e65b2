// Runs the test files given as arguments with mocha, and ends with `N passed, N failed`.
// Started by test.mjs with tsx loaded.
import { readFileSync } from 'node:fs';
import Mocha from 'mocha';

const [grep, ...files] = process.argv.slice(2);
const { timeout, reporter } = JSON.parse(readFileSync('.mocharc.json', 'utf8'));
const mocha = new Mocha({ timeout, reporter, ...(grep === '' ? {} : { grep }) });
for (const file of files) mocha.addFile(file);
await mocha.loadFilesAsync();

const runner = mocha.run((failed) => {
  const { passes, pending } = runner.stats;
  const skipped = pending > 0 ? `, ${pending} skipped` : '';
  console.log(`${passes} passed, ${failed} failed${skipped}`);
  process.exitCode = failed > 0 ? 1 : 0;
  endWhenIdle();
});

/** A test that leaves something running would hang the run: that is said, and counts as failed. */
function endWhenIdle() {
  const timer = setTimeout(() => {
    const left = process.getActiveResourcesInfo().filter((name) => name !== 'TTYWrap');
    console.error(`still running 10 s after the last test: ${left.join(', ')}`);
    process.exit(1);
  }, 10_000);
  timer.unref();
}
