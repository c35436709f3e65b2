import { adoptionTitle, checkAdoption } from './adoption.ts';
import { checkEncapsulationChange, encapsulationChangeTitle } from './encapsulation-change.ts';
import { checkLateSources, lateSourcesTitle } from './late-sources.ts';
import { nameOf, readScenario, runScenario, scenarioFiles, wireInterfaces } from './run.ts';
import { createVppWire } from './wire.ts';

describe('scenarios on VPP', function () {
  this.timeout(120_000);
  for (const file of scenarioFiles) {
    const scenario = readScenario(file);
    it(`${nameOf(file)}: ${scenario.title}`, async () => {
      await using wire = await createVppWire(process.env.VPP_BIN ?? '', wireInterfaces);
      await runScenario(scenario, wire);
    });
  }

  it(encapsulationChangeTitle, async () => {
    await using wire = await createVppWire(process.env.VPP_BIN ?? '', wireInterfaces);
    await checkEncapsulationChange(wire);
  });

  it(adoptionTitle, async () => {
    await using wire = await createVppWire(process.env.VPP_BIN ?? '', wireInterfaces);
    await checkAdoption(wire);
  });

  it(lateSourcesTitle, async () => {
    await using wire = await createVppWire(process.env.VPP_BIN ?? '', wireInterfaces);
    await checkLateSources(wire);
  });
});
