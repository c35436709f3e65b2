import assert from 'node:assert/strict';
import { ip, prefix } from '../../src/core/ip.ts';
import type { Node } from '../../src/model/facts.ts';
import { changedParts } from '../../src/model/node-parts.ts';
import { node } from '../facts.ts';

describe('the parts of a Node', () => {
  const cases: readonly (readonly [string, Partial<Node>, readonly string[]])[] = [
    ['nothing that counts', { annotations: { note: 'x' } }, []],
    ['an address', { internalIps: [ip('192.0.2.9')] }, ['way']],
    ['its encapsulation', { annotations: { 'kube-vpp-router.io/encapsulation': 'gre' } }, ['way']],
    ['its AS', { annotations: { 'kube-router.io/node.asn': '65001' } }, ['role']],
    ['its cluster id', { annotations: { 'kube-router.io/rr.client': '7' } }, ['role']],
    [
      'its neighbours',
      { annotations: { 'kube-router.io/peers': '- {remoteip: 192.0.2.9, remoteasn: 1}' } },
      ['neighbours'],
    ],
    ['a label', { labels: { rack: '1' } }, ['neighbours']],
    ['its zone', { labels: { 'topology.kubernetes.io/zone': 'x' } }, ['neighbours', 'zone']],
    ['its pods', { podCidrs: [prefix('10.9.0.0/24')] }, ['pods']],
  ];
  for (const [what, given, parts] of cases)
    it(`${what}: ${parts.join(', ') || 'none'}`, () => {
      assert.deepEqual(changedParts(node('n1', 1), node('n1', 1, given)), parts);
    });

  it('all of them change when it comes or goes', () => {
    assert.equal(changedParts(undefined, node('n1', 1)).length, 5);
    assert.equal(changedParts(node('n1', 1), undefined).length, 5);
  });
});
