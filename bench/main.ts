import { parseArgs } from 'node:util';
import { benchAcl } from './acl.ts';
import { benchApiClient } from './api-client.ts';
import { benchChurn } from './churn.ts';
import { benchCluster } from './cluster.ts';
import { type Figure, printFigures } from './figures.ts';
import { defaultPlane, type Plane } from './plane.ts';
import { benchPlanning } from './planning.ts';
import { benchPolicy } from './policy.ts';
import { benchRoutes } from './routes.ts';
import { benchSelections } from './selections.ts';

/** The benches by name; each prints its figures beside limits measured in the same run. */
const benches: Readonly<
  Record<string, (kind: Plane['kind'], quick: boolean) => Promise<Figure[]>>
> = {
  acl: benchAcl,
  api: benchApiClient,
  cluster: benchCluster,
  churn: benchChurn,
  planning: benchPlanning,
  policy: benchPolicy,
  routes: benchRoutes,
  selections: benchSelections,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    dataplane: { type: 'string', default: defaultPlane() },
    quick: { type: 'boolean', default: false },
  },
});
const kind = values.dataplane;
if (kind !== 'vpp' && kind !== 'embedded')
  throw new Error(`--dataplane is vpp or embedded, not ${kind}`);
const names = positionals.length > 0 ? positionals : Object.keys(benches);
console.log(
  kind === 'vpp'
    ? 'On VPP, without poll-sleep.'
    : 'On the embedded data plane: the targets are stated for VPP, so these say little.',
);
const figures: Figure[] = [];
for (const name of names) {
  const bench = benches[name];
  if (bench === undefined) throw new Error(`no bench ${name}: ${Object.keys(benches).join(', ')}`);
  console.log(`\n${name} …`);
  const found = await bench(kind, values.quick);
  printFigures(found);
  figures.push(...found);
}
if (names.length > 1) {
  console.log('\nAll figures');
  printFigures(figures);
}
const missed = figures.filter((one) => !one.met).length;
console.log(`\n${figures.length - missed} of ${figures.length} targets met`);
