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
  const result = { passed: passes, failed, skipped: pending };
  process.exitCode = failed > 0 ? 1 : 0;
  // The last line, whatever else is printed on the way out.
  process.once('exit', () => console.log(formatResult(result)));
  endWhenIdle(result);
});

function formatResult({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}

/** A test that leaves something running would hang the run: that is said, and is a failure. */
function endWhenIdle(result) {
  const timer = setTimeout(() => {
    const left = process.getActiveResourcesInfo().filter((name) => name !== 'TTYWrap');
    console.error(`still running 10 s after the last test: ${left.join(', ')}`);
    // A failed test may not have come to its end; without one, this is the failure.
    if (result.failed === 0) result.failed = 1;
    process.exit(1);
  }, 10_000);
  timer.unref();
}
