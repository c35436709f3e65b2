import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { ip, prefix } from '../../src/core/ip.ts';
import { planFacts } from '../../src/daemon/planning.ts';
import type { FilterListRow } from '../../src/desired/rows.ts';
import { createStore, factKinds } from '../../src/model/store.ts';
import { attachmentOf, type Flow, judge, judgeFlow, podFinder } from '../../src/policy/explain.ts';
import { closedFilter } from '../../src/policy/filters.ts';
import { filtersMax } from '../../src/policy/lists.ts';
import { listsBehind, podLists } from '../../src/policy/plan.ts';
import { podRulesMax, sizeProblems } from '../../src/policy/problems.ts';
import { attachment, config, node, pod, uplink } from '../facts.ts';
import { clusterPolicy, clusterRule, namespace, policy, rule, selector } from './objects.ts';

const flow = (from: string, to: string, port = 80): Flow => ({
  from: ip(from),
  to: ip(to),
  protocol: 'TCP',
  port,
});

/** a/x here, a/y on n2, both in namespace a, and what the test says. */
function facts(
  policies: readonly ReturnType<typeof policy>[],
  clusterPolicies: readonly ReturnType<typeof clusterPolicy>[] = [],
) {
  const store = createStore();
  const x = pod('a/x', { labels: { app: 'x' }, ips: [ip('10.244.1.5')] });
  const y = pod('a/y', { labels: { app: 'y' }, ips: [ip('10.244.2.5')], node: 'n2' });
  store.replace('config', new Map([['config', config]]));
  store.replace('uplink', new Map([['uplink', uplink]]));
  store.replace('nodes', new Map([1, 2].map((i) => [`n${i}`, node(`n${i}`, i)])));
  store.replace('namespaces', new Map([['a', namespace('a')]]));
  store.replace('pods', new Map([x, y].map((one) => [one.key, one])));
  const own = { ...attachment('v1', '10.244.1.5'), pod: x.key, podUid: x.uid };
  store.replace('attachments', new Map([[own.key, own]]));
  store.replace('policies', new Map(policies.map((one) => [one.key, one])));
  store.replace('clusterPolicies', new Map(clusterPolicies.map((one) => [one.key, one])));
  for (const kind of factKinds) store.markSynced(kind);
  return { store, facts: store.facts, x, y, own };
}

const forX = { podSelector: selector({ app: 'x' }) };
const peerY = [{ podSelector: selector({ app: 'y' }) }];

describe('the judgement of a flow', () => {
  it('NP-03 names each policy whose rule lets it pass, by the place of the rule', () => {
    const web = [{ protocol: 'TCP' as const, port: 80 }];
    const { facts: known, x } = facts([
      policy('a/one', { ...forX, ingress: [rule([], [{ protocol: 'UDP' }]), rule(peerY, web)] }),
      policy('a/two', { ...forX, ingress: [rule(peerY, web)] }),
    ]);
    const found = judge(known, x, 'Ingress', flow('10.244.2.5', '10.244.1.5'));
    assert.equal(found.allowed, true);
    assert.deepEqual(found.rules, [
      { policy: 'NetworkPolicy/a/one', index: 1, name: '' },
      { policy: 'NetworkPolicy/a/two', index: 0, name: '' },
    ]);
    assert.equal(found.why, 'NetworkPolicy/a/one rule 1; NetworkPolicy/a/two rule 0');
    const other = judge(known, x, 'Ingress', flow('10.244.2.5', '10.244.1.5', 81));
    assert.deepEqual(
      [other.allowed, other.rules, other.policies],
      [false, [], ['NetworkPolicy/a/one', 'NetworkPolicy/a/two']],
    );
    assert.equal(other.why, 'no rule of NetworkPolicy/a/one, NetworkPolicy/a/two allows it');
    assert.match(other.filter, /^np-deny-in-/);
  });

  it('CNP-04 names the rule of the tier that decides', () => {
    const deny = { ...clusterRule('Deny', [{ networks: [prefix('10.244.2.0/24')] }]), name: 'no' };
    const { facts: known, x } = facts([], [clusterPolicy('guard', { egress: [deny] })]);
    const found = judge(known, x, 'Egress', flow('10.244.1.5', '10.244.2.5'));
    assert.deepEqual([found.allowed, found.why], [false, 'ClusterNetworkPolicy/guard rule 0 (no)']);
  });

  it('says what a policy in audit mode would deny, and that it passes', () => {
    const { facts: known, x } = facts([policy('a/try', { ...forX, ingress: [], mode: 'audit' })]);
    const found = judge(known, x, 'Ingress', flow('10.244.2.5', '10.244.1.5'));
    assert.deepEqual([found.allowed, found.audited], [true, ['NetworkPolicy/a/try']]);
    const self = judge(known, x, 'Ingress', flow('10.244.1.5', '10.244.1.5'));
    assert.deepEqual([self.allowed, self.audited], [true, []]);
  });

  it('NP-09 VPP sees no ports of SCTP, and neither does the judgement', () => {
    const sctp = [{ protocol: 'SCTP' as const, port: 9 }];
    const { facts: known, x } = facts([policy('a/s', { ...forX, ingress: [rule([], sctp)] })]);
    const asked = { ...flow('10.244.2.5', '10.244.1.5', 9), protocol: 'SCTP' as const };
    assert.equal(judge(known, x, 'Ingress', asked).allowed, false);
  });

  it('NP-12 judges the sender before the receiver, and only ends that are pods', () => {
    const { facts: known } = facts([
      policy('a/y-in', { podSelector: selector({ app: 'y' }), ingress: [] }),
    ]);
    const ends = judgeFlow(known, flow('10.244.1.5', '10.244.2.5'));
    assert.deepEqual(
      ends.map((one) => `${one.direction} ${one.pod} ${one.allowed}`),
      ['Egress a/x true', 'Ingress a/y false'],
    );
    assert.deepEqual(judgeFlow(known, flow('198.51.100.1', '198.51.100.2')), []);
  });

  it('NP-16 NP-18 an address is whose interface has it, then of a pod that may be a peer', () => {
    const { store, facts: known } = facts([]);
    const ended = pod('a/ended', { ips: [ip('10.244.1.5')], phase: 'Failed' });
    const host = pod('a/host', { ips: [ip('192.0.2.2')], hostNetwork: true });
    const late = pod('a/late', { ips: [ip('10.244.1.5')] });
    store.commit(
      'pods',
      [ended, host, late].map((one) => [one.key, one]),
    );
    const find = podFinder(known);
    assert.deepEqual(
      ['10.244.1.5', '192.0.2.2', '10.244.2.5'].map((one) => find(ip(one))?.key),
      ['a/x', undefined, 'a/y'],
    );
  });

  it('NP-19 a pod that is not known yet is closed, whatever policies say', () => {
    const { store, facts: known, x } = facts([]);
    store.commit('pods', [['a/x', { ...x, uid: 'another' }]]);
    const [end] = judgeFlow(known, flow('10.244.1.5', '10.244.2.5'));
    assert.deepEqual([end?.allowed, end?.filter], [false, 'np-closed']);
  });

  it('NP-19 a pod is judged by its own interface, beside that of another pod of its name', () => {
    const { store, facts: known, x, own } = facts([]);
    const older = { ...own, key: 'older/eth0', ips: [ip('10.244.1.9')], podUid: 'older' };
    // The older one is found first.
    store.replace('attachments', new Map([[older.key, older]]));
    store.commit('attachments', [[own.key, own]]);
    assert.equal(attachmentOf(known, x.key), own);
    assert.equal(judgeFlow(known, flow('10.244.1.5', '10.244.2.5'))[0]?.allowed, true);
    store.commit('pods', [['a/x', { ...x, uid: 'another' }]]);
    assert.equal(attachmentOf(known, x.key), older, 'none is its own');
    assert.equal(attachmentOf(known, 'a/y'), undefined);
  });
});

describe("the reasons of a pod's filters", () => {
  it('NP-29 belong to the row that was planned, rule by rule', () => {
    const { facts: known, own } = facts([policy('a/one', { ...forX, ingress: [rule(peerY)] })]);
    const desired = planFacts(known);
    const row = desired.row('filterLists', 'pod-v1') as FilterListRow;
    const lists = listsBehind(row);
    assert.deepEqual(lists, podLists(known, own));
    const { filters, reasons } = lists?.ingress ?? { filters: [], reasons: [] };
    assert.deepEqual(
      filters.map((one) => one.name),
      row.output,
    );
    for (const { name, rules } of filters) {
      const own = reasons.filter((one) => one.filter === name);
      assert.ok(
        rules.every((_, i) => own.some((one) => one.first <= i && i < one.first + one.count)),
      );
    }
    assert.equal(listsBehind({ ...row }), undefined);
  });

  it('an audit has a name of its own for each pod, what is denied one for each set of policies', () => {
    const { store, facts: known } = facts([
      policy('a/deny', { ingress: [] }),
      policy('a/try', { egress: [], mode: 'audit' }),
    ]);
    const z = pod('a/z', { ips: [ip('10.244.1.6')] });
    const own = { ...attachment('v2', '10.244.1.6'), pod: z.key, podUid: z.uid };
    store.commit('pods', [[z.key, z]]);
    store.commit('attachments', [[own.key, own]]);
    const desired = planFacts(known);
    const rows = ['pod-v1', 'pod-v2'].map(
      (name) => desired.row('filterLists', name) as FilterListRow,
    );
    const last = (side: 'input' | 'output') => rows.map((row) => row[side].at(-1) ?? '');
    const [one, other] = last('input');
    assert.match(`${one} ${other}`, /^np-audit-out-\S+ np-audit-out-\S+$/);
    assert.notEqual(one, other);
    assert.equal(new Set(last('output')).size, 1);
    for (const name of [...last('input'), ...last('output')]) assert.ok(name.length <= 59);
  });
});

describe('problems of policies', () => {
  /** Lists of a pod with so many filters of so many rules. */
  function sized(filters: number, rules: number) {
    const { facts: known, own } = facts([]);
    const [open] = podLists(known, own).egress.filters;
    const [first] = open?.rules ?? [];
    assert.ok(first !== undefined);
    const made = Array.from({ length: filters }, (_, i) => ({
      name: `np-${createHash('sha256').update(String(i)).digest('hex').slice(0, 24)}`,
      rules: Array.from({ length: rules }, () => first),
    }));
    const half = Math.ceil(filters / 2);
    const list = (part: typeof made) => ({ filters: part, reasons: [] });
    const sides = { egress: list(made.slice(0, half)), ingress: list(made.slice(half)) };
    return sizeProblems({ pod: 'a/x', known: true, gates: [], ...sides });
  }

  const sizes = [
    { filters: 40, rules: podRulesMax / 40, says: undefined },
    { filters: 40, rules: podRulesMax / 40 + 1, says: /more than 8000 rules of VPP.*ipBlock/ },
  ];
  for (const { filters, rules, says } of sizes)
    it(`NP-29 ${filters} filters of ${rules} rules: ${says === undefined ? 'fine' : 'told'}`, () => {
      const [found, ...more] = sized(filters, rules);
      assert.deepEqual(more, []);
      if (says === undefined) assert.equal(found, undefined);
      else {
        assert.equal(found?.object, 'Pod/a/x');
        assert.match(found?.reason ?? '', says);
      }
    });

  /** As many single addresses, each with a hundred ports: a hundred rules that cannot be fewer. */
  function blocks(count: number) {
    const peers = Array.from({ length: count }, (_, i) => ({
      ipBlock: { cidr: `193.${i >> 8}.${i & 255}.1/32`, except: [] },
    }));
    const ports = Array.from(
      { length: 100 },
      (_, i) => ({ protocol: 'TCP', port: 2 * i + 1 }) as const,
    );
    return facts([policy('a/large', { ingress: [rule(peers, ports)] })]);
  }

  it('NP-29 a hundred thousand rules fit into the filters that VPP takes, in their order', () => {
    const { facts: known, own } = blocks(1_000);
    const { filters, reasons } = podLists(known, own).ingress;
    assert.ok(filters.length <= filtersMax, `${filters.length} filters`);
    assert.ok(filters.every(({ rules }) => rules.length <= 1_000));
    const sources = filters.flatMap(({ rules }) => rules).map(({ source }) => source);
    assert.equal(sources.filter((source) => source.startsWith('193.')).length, 100_000);
    assert.equal(reasons.at(-1)?.by.kind, 'isolated');
    assert.match(planFacts(known).problems()[0]?.reason ?? '', /more than 8000 rules/);
  });

  it('NP-28 NP-29 what VPP cannot hold lets nothing through, and is told', () => {
    const { facts: known, own } = blocks(1_300);
    const lists = podLists(known, own);
    assert.deepEqual(lists.ingress.filters, [closedFilter]);
    assert.match(planFacts(known).problems()[0]?.reason ?? '', /more than VPP can hold/);
  });

  it('NP-09 NP-28 ports of SCTP, which VPP does not see, are a problem of each entry', () => {
    const port = { protocol: 'SCTP' as const, port: 9 };
    const all = { protocol: 'SCTP' as const, port: 1, endPort: 65_535 };
    const ports = [{ protocol: 'SCTP' as const }, all, { ...port, protocol: 'TCP' as const }, port];
    const cluster = (['Accept', 'Deny', 'Pass'] as const).map((action) =>
      clusterRule(action, [], [port]),
    );
    const { facts: known } = facts(
      [policy('a/s', { ingress: [rule([], ports)], egress: [rule([], [port])] })],
      [clusterPolicy('guard', { egress: cluster })],
    );
    const told = planFacts(known).problems();
    assert.deepEqual(
      told.map(({ object, field, reason }) => `${object} ${field} ${reason.split(': ')[1]}`),
      [
        'NetworkPolicy/a/s spec.ingress[0].ports[3] this allows nothing',
        'NetworkPolicy/a/s spec.egress[0].ports[0] this allows nothing',
        'ClusterNetworkPolicy/guard spec.egress[0].protocols[0] this allows nothing',
        'ClusterNetworkPolicy/guard spec.egress[1].protocols[0] this denies all ports of SCTP',
        'ClusterNetworkPolicy/guard spec.egress[2].protocols[0] of SCTP what follows allows nothing by this, and denies all',
      ],
    );
  });
});
