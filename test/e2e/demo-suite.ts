import { shopChecks } from '../../demo/checks/shop-checks.ts';
import { type Cluster, createCluster } from '../../demo/cluster.ts';
import type { Options } from '../../demo/options.ts';
import { findMissing } from '../../demo/preflight.ts';
import { findVpp } from '../../demo/vpp-config.ts';

/** Limits of the whole: the cluster's start, and one check. */
const startTimeoutMs = 90_000;
const checkTimeoutMs = 90_000;

/** The demo's checks as tests, in their order: each finds the cluster as the last one left it. */
export function describeDemo(title: string, wanted: Pick<Options, 'dataplane' | 'nodes'>): void {
  describe(title, () => {
    const stop = new AbortController();
    let cluster: Cluster | undefined;

    before('the cluster starts', async function () {
      this.timeout(startTimeoutMs);
      const options: Options = {
        ...wanted,
        once: true,
        manifests: undefined,
        keepLogs: false,
        port: 0,
        only: /^/,
        crashes: 0,
        seed: 1,
        help: false,
      };
      const missing = await findMissing(options);
      if (missing.length > 0) {
        console.log(
          `not run: ${title}; it needs\n${missing.map((what) => `  - ${what}`).join('\n')}`,
        );
        this.skip();
      }
      const found = wanted.dataplane === 'vpp' ? findVpp() : undefined;
      const vpp = found?.ok === true ? found.value : undefined;
      cluster = await createCluster({ options, vpp, signal: stop.signal, tell: () => undefined });
    });

    for (const group of shopChecks(wanted.nodes)) {
      describe(group.title, () => {
        for (const check of group.checks) {
          it(check.name, async function () {
            this.timeout(checkTimeoutMs);
            if (cluster === undefined) throw new Error('the cluster did not start');
            await check.run(cluster);
          });
        }
      });
    }

    after('nothing is left behind', async function () {
      this.timeout(startTimeoutMs);
      stop.abort(new Error('the tests are done'));
      await cluster?.[Symbol.asyncDispose]();
    });
  });
}
