import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ip, prefix } from '../../src/core/ip.ts';
import { evaluatePolicy, type PolicyPath } from '../../src/desired/bgp-policy.ts';
import { peerMarker, podsMarker, servicesMarker } from '../../src/desired/markers.ts';
import type { BgpPolicyRow, BgpStatement } from '../../src/desired/rows.ts';
import type { BgpConfig } from '../../src/model/bgp-config.ts';
import { speakerPlanner } from '../../src/routing/speaker.ts';
import { bgpConfig, nodesOf, peer } from '../routing/rig.ts';

const path = (given: Partial<PolicyPath> = {}): PolicyPath => ({
  prefix: prefix('10.1.0.0/16'),
  nextHop: ip('192.0.2.1'),
  communities: [],
  localPreference: undefined,
  med: undefined,
  asPath: [],
  routeType: 'external',
  ...given,
});

const tor = { address: ip('192.0.2.253'), localAddress: ip('192.0.2.1') };
const policy = (
  statements: readonly BgpStatement[],
  otherwise: BgpPolicyRow['otherwise'] = 'reject',
): BgpPolicyRow => ({ direction: 'import', otherwise, statements });

const accept = (given: Partial<BgpStatement> = {}): BgpStatement => ({
  name: 'one',
  accept: true,
  ...given,
});

describe('evaluatePolicy', () => {
  const within = (text: string, min: number, max: number) => ({
    prefixes: [{ prefix: prefix(text), min, max }],
  });
  const conditions: readonly [string, Partial<BgpStatement>, Partial<PolicyPath>, boolean][] = [
    ['no condition', {}, {}, true],
    ['the neighbour', { peers: [ip('192.0.2.253')] }, {}, true],
    ['another neighbour', { peers: [ip('192.0.2.252')] }, {}, false],
    ['a range with the neighbour', { peers: [prefix('192.0.2.0/24')] }, {}, true],
    ['a range of others', { peers: [prefix('192.0.3.0/24')] }, {}, false],
    ['one of two', { peers: [ip('192.0.2.9'), ip('192.0.2.253')] }, {}, true],
    ['no neighbour at all', { peers: [] }, {}, false],
    ['the prefix', within('10.1.0.0/16', 16, 16), {}, true],
    ['a prefix around it', within('10.0.0.0/8', 8, 24), {}, true],
    ['too long', within('10.0.0.0/8', 8, 15), {}, false],
    ['too short', within('10.0.0.0/8', 17, 24), {}, false],
    ['elsewhere', within('11.0.0.0/8', 8, 32), {}, false],
    ['the other family', within('::/0', 0, 128), {}, false],
    ['the default route only', within('0.0.0.0/0', 0, 0), {}, false],
    ['a prefix inside of it', within('10.1.2.0/24', 24, 32), {}, false],
    ['a community', { communities: ['1:1', '1:2'] }, { communities: ['1:2'] }, true],
    ['another community', { communities: ['1:1'] }, { communities: ['1:1:1'] }, false],
    ['the route type', { routeType: 'external' }, {}, true],
    ['another route type', { routeType: 'local' }, {}, false],
    [
      'one of two conditions',
      { communities: ['1:1'], peers: [ip('192.0.2.9')] },
      { communities: ['1:1'] },
      false,
    ],
  ];
  for (const [title, condition, given, holds] of conditions)
    it(`${holds ? 'meets' : 'does not meet'}: ${title}`, () => {
      const verdict = evaluatePolicy(policy([accept(condition)]), path(given), tor);
      assert.equal(verdict.accept, holds);
      assert.equal(verdict.statement, holds ? 'one' : undefined);
    });

  it('takes the first statement that matches, and says what met', () => {
    const verdict = evaluatePolicy(
      policy([
        accept({ name: 'not this', routeType: 'local' }),
        { name: 'ours', accept: false, ...within('10.0.0.0/8', 8, 32) },
        accept({ name: 'too late' }),
      ]),
      path(),
      tor,
    );
    assert.deepEqual(
      [verdict.accept, verdict.statement, verdict.because],
      [false, 'ours', 'prefix 10.0.0.0/8 of length 8 to 32'],
    );
  });

  it('has its default for what no statement is about', () => {
    for (const otherwise of ['accept', 'reject'] as const)
      assert.deepEqual(evaluatePolicy(policy([], otherwise), path(), tor), {
        accept: otherwise === 'accept',
        statement: undefined,
        because: 'no statement is about it',
        path: path(),
      });
  });

  it('does the actions of the statement that accepts', () => {
    const { path: after } = evaluatePolicy(
      policy([
        accept({
          addCommunities: ['64512:9', '1:2'],
          removeCommunities: [podsMarker, 'nobody'],
          localPreference: 0,
          med: 7,
          prepend: { asn: 64512, times: 2 },
          nextHop: 'self',
        }),
      ]),
      path({ communities: [podsMarker, '1:2'], nextHop: ip('192.0.2.77'), asPath: [65001] }),
      tor,
    );
    assert.deepEqual(
      after,
      path({
        communities: ['1:2', '64512:9'],
        localPreference: 0,
        med: 7,
        asPath: [64512, 64512, 65001],
        nextHop: ip('192.0.2.1'),
      }),
    );
  });

  it('does nothing to a path that it rejects', () => {
    const refuse = { name: 'no', accept: false, addCommunities: ['1:1'], med: 3 };
    assert.deepEqual(evaluatePolicy(policy([refuse]), path(), tor).path, path());
  });

  it('takes a range of neighbours for everybody inside', () => {
    const caller = { address: prefix('192.0.2.128/25'), localAddress: ip('192.0.2.1') };
    const heard = (peers: BgpStatement['peers'] & object) =>
      evaluatePolicy(policy([accept({ peers })]), path(), caller).accept;
    assert.equal(heard([prefix('192.0.2.128/25')]), true);
    assert.equal(heard([prefix('192.0.2.0/24')]), true);
    assert.equal(heard([prefix('192.0.2.128/26')]), false);
    assert.equal(heard([ip('192.0.2.128')]), false);
  });

  it('law: leaving out statements that do not match changes nothing', () => {
    const statement = fc.record({
      name: fc.constantFrom('a', 'b', 'c'),
      accept: fc.boolean(),
      routeType: fc.constantFrom('local', 'internal', 'external'),
      communities: fc.subarray(['1:1', '1:2', '1:3'], { minLength: 1 }),
    });
    const given = fc.record({
      communities: fc.subarray(['1:1', '1:2', '1:3', '1:4']),
      routeType: fc.constantFrom('local' as const, 'internal' as const, 'external' as const),
    });
    fc.assert(
      fc.property(fc.array(statement), given, (statements, some) => {
        const all = statements as BgpStatement[];
        const one = path(some);
        const matching = all.filter((s) => evaluatePolicy(policy([s]), one, tor).statement);
        assert.deepEqual(
          evaluatePolicy(policy(all), one, tor),
          evaluatePolicy(policy(matching), one, tor),
        );
      }),
    );
  });
});

describe('the policies of the speaker, evaluated', () => {
  const rows = (bgp: Partial<BgpConfig>) =>
    speakerPlanner.plan(nodesOf(bgpConfig(bgp)).facts, 'speaker').rows.bgpPolicies ?? [];
  const verdict = (
    direction: 'import' | 'export',
    bgp: Partial<BgpConfig>,
    given: Partial<PolicyPath>,
    address = '192.0.2.253',
  ) => {
    const row = rows(bgp).find((one) => one.direction === direction);
    assert.ok(row !== undefined);
    return evaluatePolicy(row, path(given), { ...tor, address: ip(address) });
  };
  const own = (communities: readonly string[]) => ({ communities, routeType: 'local' as const });

  it('tell pods to nodes and Services to neighbours, without our marks', () => {
    const bgp = { peers: [peer('tor')] };
    const pods = verdict('export', bgp, own([podsMarker]), '192.0.2.2');
    assert.deepEqual([pods.accept, pods.path.communities], [true, []]);
    assert.equal(verdict('export', bgp, own([servicesMarker]), '192.0.2.2').accept, false);
    const services = verdict('export', bgp, own(['1:1', servicesMarker]));
    assert.deepEqual([services.accept, services.path.communities], [true, ['1:1']]);
  });

  it('tell a Service for one neighbour to that one', () => {
    const bgp = { peers: [peer('a'), peer('b', { address: ip('192.0.2.252') })] };
    const only = own([peerMarker('b')]);
    assert.equal(verdict('export', bgp, only, '192.0.2.252').accept, true);
    const not = verdict('export', bgp, only);
    assert.deepEqual([not.accept, not.statement], [false, 'nothing else to a']);
  });

  it('are no transit', () => {
    const foreign = { routeType: 'external' as const };
    assert.equal(verdict('export', { peers: [peer('tor')] }, foreign).accept, false);
    assert.equal(verdict('export', { peers: [peer('tor')] }, foreign, '192.0.2.2').accept, false);
  });

  it('never take what is ours, and no default route unless it is asked for', () => {
    const bgp = { peers: [peer('tor')] };
    const ours = verdict('import', bgp, { prefix: prefix('10.96.0.10/32') });
    assert.deepEqual([ours.accept, ours.statement], [false, 'ours, IPv4']);
    const zero = verdict('import', bgp, { prefix: prefix('0.0.0.0/0') });
    assert.deepEqual(
      [zero.accept, zero.statement],
      [false, 'default route from 192.0.2.253, IPv4'],
    );
    assert.equal(verdict('import', bgp, {}).accept, true);
  });
});
