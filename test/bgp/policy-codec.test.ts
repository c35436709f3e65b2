import assert from 'node:assert/strict';
import { compilePolicy, concernedPeers, withdrawingPolicy } from '../../src/bgp/policy-codec.ts';
import { ip, prefix } from '../../src/core/ip.ts';
import type { BgpPolicyRow, BgpStatement } from '../../src/desired/rows.ts';

const [a, b, c] = [ip('192.0.2.1'), ip('192.0.2.2'), ip('192.0.2.3')];
const toA: BgpStatement = { name: 'a', peers: [a], accept: true };
const toB: BgpStatement = { name: 'b', peers: [b], accept: true };
const toAll: BgpStatement = { name: 'all', communities: ['64512:1'], accept: true };

const row = (
  statements: readonly BgpStatement[],
  more: Partial<BgpPolicyRow> = {},
): BgpPolicyRow => ({ direction: 'export', otherwise: 'reject', statements, ...more });

const statementsOf = (policy: BgpPolicyRow, first: 0 | 1 = 0) =>
  compilePolicy(policy).policy.statements.map((make) => make(first));

describe('whom a change of policy concerns', () => {
  const cases: {
    readonly name: string;
    readonly from: BgpPolicyRow;
    readonly to: BgpPolicyRow;
    readonly is: 'all' | readonly string[];
  }[] = [
    { name: 'nobody when nothing changes', from: row([toA]), to: row([toA]), is: [] },
    {
      name: 'nobody when names change',
      from: row([toA]),
      to: row([{ ...toA, name: 'x' }]),
      is: [],
    },
    { name: 'whom a new statement names', from: row([toA]), to: row([toA, toB]), is: [b] },
    { name: 'whom an old one named', from: row([toA, toB]), to: row([toB]), is: [a] },
    {
      name: 'both when a statement changes its neighbour',
      from: row([toA]),
      to: row([{ ...toA, peers: [c] }]),
      is: [a, c],
    },
    { name: 'those that change places', from: row([toA, toB]), to: row([toB, toA]), is: [a, b] },
    { name: 'all when a statement names none', from: row([toA]), to: row([toA, toAll]), is: 'all' },
    {
      name: 'all when the rest is treated differently',
      from: row([toA]),
      to: row([toA], { otherwise: 'accept' }),
      is: 'all',
    },
  ];
  for (const { name, from, to, is } of cases)
    it(name, () => assert.deepEqual(concernedPeers(from, to), is));
});

describe('a policy in the words of GoBGP', () => {
  it('has a name that depends on what it does, and not on what it is called', () => {
    const name = (policy: BgpPolicyRow) => compilePolicy(policy).policy.name;
    assert.equal(name(row([toA])), name(row([{ ...toA, name: 'x' }])));
    assert.notEqual(name(row([toA])), name(row([toB])));
    assert.notEqual(name(row([toA])), name(row([toA], { otherwise: 'accept' })));
    assert.match(name(row([toA])), /^kvr-export-[0-9a-f]{16}$/);
  });

  it('leaves out what matches nothing: GoBGP would take an empty set for everything', () => {
    for (const empty of [{ peers: [] }, { prefixes: [] }, { communities: [] }])
      assert.deepEqual(statementsOf(row([{ ...toA, ...empty }])), []);
  });

  it('keeps our own paths out of the import policy', () => {
    const [first, ...others] = statementsOf(row([], { direction: 'import' }));
    assert.deepEqual([first?.conditions.routeType, first?.actions.routeAction], [3, 1]);
    assert.deepEqual(others, []);
  });

  it('adds before it removes communities of one kind, and never removes what it adds', () => {
    const both = statementsOf(
      row([{ ...toA, addCommunities: ['1:1', '1:2'], removeCommunities: ['1:2', '1:3'], med: 5 }]),
      1,
    );
    assert.deepEqual(
      both.map(({ actions }) => [actions.routeAction, actions.community, actions.med]),
      [
        [0, { type: 1, communities: ['1:1', '1:2'] }, undefined],
        [1, { type: 2, communities: ['^1:3$'] }, { type: 2, value: 5 }],
      ],
    );
  });

  it('matches communities as a whole, and writes long AS numbers as GoBGP does', () => {
    const list = (communities: readonly string[]) =>
      compilePolicy(row([{ ...toAll, communities }])).sets[0]?.list;
    assert.deepEqual(list(['64512:1', '1:1']), ['^64512:1$', '^1:1$']);
    assert.deepEqual(list(['64512:1:2']), ['^64512:1:2$']);
    assert.deepEqual(list(['rt:70000:5', 'soo:1:2']), ['rt:^1\\.4464:5$', 'soo:^1:2$']);
  });

  it('gives each prefix the ranges of those around it', () => {
    const prefixes = [
      { prefix: prefix('10.0.0.0/8'), min: 8, max: 32 },
      { prefix: prefix('10.1.0.0/16'), min: 16, max: 16 },
    ];
    assert.deepEqual(compilePolicy(row([{ ...toA, prefixes }])).sets[1]?.prefixes, [
      { ipPrefix: '10.0.0.0/8', maskLengthMin: 8, maskLengthMax: 32 },
      { ipPrefix: '10.1.0.0/16', maskLengthMin: 8, maskLengthMax: 32 },
      { ipPrefix: '10.1.0.0/16', maskLengthMin: 16, maskLengthMax: 16 },
    ]);
  });

  it('says what GoBGP cannot do', () => {
    assert.throws(() => compilePolicy(row([{ ...toA, localPreference: 0 }])), /preference of 0/);
    assert.throws(() => compilePolicy(row([{ ...toA, communities: ['lb:1:2'] }])), /bandwidth/);
  });
});

describe('the policy with which GoBGP 3 withdraws', () => {
  const stale = ['65535:6'];

  it('lets what is rejected pass as stale, to the neighbours that are named', () => {
    const notToNet: BgpStatement = { name: 'no', peers: [prefix('192.0.2.0/30')], accept: false };
    const { statements, otherwise } = withdrawingPolicy(row([toA, notToNet]), [b, ip('10.0.0.1')]);
    assert.equal(otherwise, 'reject');
    assert.deepEqual(statements, [
      toA,
      { ...notToNet, peers: [b], accept: true, addCommunities: stale },
      notToNet,
      { name: 'otherwise', peers: [b, ip('10.0.0.1')], accept: true, addCommunities: stale },
    ]);
  });

  it('is the policy itself when there is nobody to tell', () => {
    const policy = row([toA, { name: 'no', accept: false }]);
    assert.deepEqual(withdrawingPolicy(policy, []), policy);
  });
});
