import assert from 'node:assert/strict';
import { chooseEndpoints } from '../../src/model/endpoints.ts';
import { endpoint } from '../facts.ts';

const here = { node: 'n1', zone: 'a' };
const local = { node: 'n1' };

describe('chooseEndpoints', () => {
  const cases = [
    { name: 'nothing gives nothing', in: [], cluster: [], local: [] },
    {
      name: 'KP-12 ready endpoints are usable, unready ones are not',
      in: [endpoint('10.0.0.1'), endpoint('10.0.0.2', 'unready')],
      cluster: ['10.0.0.1'],
      local: [],
    },
    {
      name: 'KP-13 a ready endpoint hides those that terminate',
      in: [endpoint('10.0.0.1', 'draining'), endpoint('10.0.0.2')],
      cluster: ['10.0.0.2'],
      local: [],
    },
    {
      name: 'KP-13 without a ready one, those that serve while they terminate are used',
      in: [endpoint('10.0.0.1', 'draining'), endpoint('10.0.0.2', 'gone')],
      cluster: ['10.0.0.1'],
      local: [],
    },
    {
      name: 'KP-13 the local set falls back on its own, whatever the cluster has',
      in: [endpoint('10.0.0.1', 'draining', local), endpoint('10.0.0.2')],
      cluster: ['10.0.0.2'],
      local: ['10.0.0.1'],
    },
    {
      name: 'KP-11 an endpoint without a node is remote',
      in: [endpoint('10.0.0.1', 'ready', { node: '' })],
      cluster: ['10.0.0.1'],
      local: [],
    },
    {
      name: 'KP-15 the same node is preferred when every endpoint has a node hint',
      in: [
        endpoint('10.0.0.1', 'ready', { nodeHints: ['n1'] }),
        endpoint('10.0.0.2', 'ready', { nodeHints: ['n2'] }),
      ],
      cluster: ['10.0.0.1'],
      local: [],
    },
    {
      name: 'KP-15 the same zone is preferred when every endpoint has a zone hint',
      in: [
        endpoint('10.0.0.1', 'ready', { zoneHints: ['b'] }),
        endpoint('10.0.0.2', 'ready', { zoneHints: ['a', 'b'] }),
      ],
      cluster: ['10.0.0.2'],
      local: [],
    },
    {
      name: 'KP-15 one endpoint without a hint switches hints off',
      in: [endpoint('10.0.0.1', 'ready', { zoneHints: ['a'] }), endpoint('10.0.0.2')],
      cluster: ['10.0.0.1', '10.0.0.2'],
      local: [],
    },
    {
      name: 'KP-15 hints that name nobody here are ignored',
      in: [endpoint('10.0.0.1', 'ready', { zoneHints: ['c'] })],
      cluster: ['10.0.0.1'],
      local: [],
    },
    {
      name: 'KP-16 hints do not apply to the local set',
      in: [endpoint('10.0.0.1', 'ready', { ...local, zoneHints: ['c'] })],
      cluster: ['10.0.0.1'],
      local: ['10.0.0.1'],
    },
    {
      name: 'KP-16 hints do not apply after the fall-back to terminating endpoints',
      in: [
        endpoint('10.0.0.1', 'draining', { zoneHints: ['a'] }),
        endpoint('10.0.0.2', 'draining', { zoneHints: ['b'] }),
      ],
      cluster: ['10.0.0.1', '10.0.0.2'],
      local: [],
    },
  ];
  for (const c of cases)
    it(c.name, () => {
      const sets = chooseEndpoints(c.in, here);
      assert.deepEqual(
        sets.cluster.map((e) => e.ip),
        c.cluster,
      );
      assert.deepEqual(
        sets.local.map((e) => e.ip),
        c.local,
      );
    });

  it('KP-18 a node without a zone ignores zone hints', () => {
    const all = [
      endpoint('10.0.0.1', 'ready', { zoneHints: ['a'] }),
      endpoint('10.0.0.2', 'ready', { zoneHints: [''] }),
    ];
    assert.equal(chooseEndpoints(all, { node: 'n1', zone: '' }).cluster.length, 2);
  });
});
