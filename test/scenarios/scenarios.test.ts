import { adoptionTitle, checkAdoption } from './adoption.ts';
import { checkEncapsulationChange, encapsulationChangeTitle } from './encapsulation-change.ts';
import { checkLateSources, lateSourcesTitle } from './late-sources.ts';
import { nameOf, readScenario, runScenario, scenarioFiles, wireInterfaces } from './run.ts';
import { createEmbeddedWire } from './wire.ts';

describe('scenarios on the embedded data plane', () => {
  for (const file of scenarioFiles) {
    const scenario = readScenario(file);
    it(`${nameOf(file)}: ${scenario.title}`, async () => {
      await using wire = await createEmbeddedWire(wireInterfaces);
      await runScenario(scenario, wire);
    });
  }

  it(encapsulationChangeTitle, async () => {
    await using wire = await createEmbeddedWire(wireInterfaces);
    await checkEncapsulationChange(wire);
  });

  it(adoptionTitle, async () => {
    await using wire = await createEmbeddedWire(wireInterfaces);
    await checkAdoption(wire);
  });

  it(lateSourcesTitle, async () => {
    await using wire = await createEmbeddedWire(wireInterfaces);
    await checkLateSources(wire);
  });
});
