import assert from 'node:assert/strict';
import type { LabelSelector } from '../../src/model/facts.ts';
import { hasLabels, selects } from '../../src/model/labels.ts';
import { selector } from '../facts.ts';

type Expression = LabelSelector['matchExpressions'][number];

const labels = { app: 'web', tier: '' };

describe('a selector of labels', () => {
  const one = (key: string, operator: Expression['operator'], ...values: string[]) =>
    selector({}, [{ key, operator, values }]);
  const cases: readonly { name: string; selector: LabelSelector; selects: boolean }[] = [
    { name: 'nothing is required', selector: selector(), selects: true },
    { name: 'a label', selector: selector({ app: 'web' }), selects: true },
    { name: 'another value', selector: selector({ app: 'db' }), selects: false },
    { name: 'a label that is not there', selector: selector({ zone: 'a' }), selects: false },
    { name: 'an empty value', selector: selector({ tier: '' }), selects: true },
    { name: 'an absent label is not empty', selector: selector({ zone: '' }), selects: false },
    { name: 'all of two', selector: selector({ app: 'web', tier: 'x' }), selects: false },
    { name: 'In', selector: one('app', 'In', 'db', 'web'), selects: true },
    { name: 'In of others', selector: one('app', 'In', 'db'), selects: false },
    { name: 'In of an absent key', selector: one('zone', 'In', 'a'), selects: false },
    { name: 'In of nothing', selector: one('app', 'In'), selects: false },
    { name: 'NotIn', selector: one('app', 'NotIn', 'web'), selects: false },
    { name: 'NotIn of others', selector: one('app', 'NotIn', 'db'), selects: true },
    { name: 'NotIn of an absent key', selector: one('zone', 'NotIn', 'a'), selects: true },
    { name: 'Exists', selector: one('tier', 'Exists'), selects: true },
    { name: 'Exists of an absent key', selector: one('zone', 'Exists'), selects: false },
    { name: 'DoesNotExist', selector: one('tier', 'DoesNotExist'), selects: false },
    { name: 'DoesNotExist of an absent key', selector: one('zone', 'DoesNotExist'), selects: true },
    { name: 'a name that every object has', selector: one('toString', 'Exists'), selects: false },
    {
      name: 'labels and expressions together',
      selector: selector({ app: 'web' }, [{ key: 'tier', operator: 'DoesNotExist', values: [] }]),
      selects: false,
    },
  ];
  for (const { name, selector: given, selects: wanted } of cases)
    it(`NP-01 ${name}: ${wanted}`, () => assert.equal(selects(given, labels), wanted));

  it('every wanted label must be there', () => {
    assert.equal(hasLabels(labels, {}), true);
    assert.equal(hasLabels(labels, { app: 'web', tier: '' }), true);
    assert.equal(hasLabels(labels, { app: 'web', zone: 'a' }), false);
  });
});
