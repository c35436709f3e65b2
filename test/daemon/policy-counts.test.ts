import assert from 'node:assert/strict';
import { createFakeClock } from '../../src/core/clock.ts';
import { createMetrics } from '../../src/daemon/metrics.ts';
import {
  createPolicyAudit,
  followPolicies,
  linesMax,
  lookMs,
  repeatMs,
} from '../../src/daemon/policy-audit.ts';
import type { AuditCount } from '../../src/daemon/policy-counts.ts';
import { policySeriesMax } from '../../src/daemon/policy-metrics.ts';
import { udp } from '../emulator/rig.ts';
import { clusterPolicy, clusterRule, policy, rule, selector } from '../policy/objects.ts';
import { localPod, startPolicyDaemon, storeOf } from './policy-rig.ts';
import { sampleView } from './view.ts';

const web = '10.244.1.11';
const job = '10.244.1.12';
const db = '10.244.1.13';
const ofDb = { podSelector: selector({ app: 'db' }) };
const fromWeb = rule([{ podSelector: selector({ app: 'web' }) }]);

function shop(...number: readonly number[]) {
  const apps = new Map([11, 12, 13, 14].map((n, i) => [n, ['web', 'job', 'db', 'web'][i] ?? '']));
  return storeOf(
    number.map((n) => localPod(`shop/${apps.get(n)}-${n}`, n, { app: apps.get(n) ?? '' })),
  );
}

describe('packets by policy', () => {
  it('NP-29 what filters counted is added up, also when a change of pods makes others of them', async () => {
    const store = shop(11, 12, 13);
    const inDb = policy('shop/db', { ...ofDb, ingress: [fromWeb] });
    const alsoDb = policy('shop/too', { ...ofDb, ingress: [fromWeb] });
    const tenants = clusterPolicy('no-port-7', {
      ingress: [
        clusterRule(
          'Deny',
          [{ pods: { namespace: 'shop', pods: selector() } }],
          [{ protocol: 'UDP', port: 7 }],
        ),
      ],
    });
    store.commit(
      'policies',
      [inDb, alsoDb].map((one) => [one.key, one]),
    );
    store.commit('clusterPolicies', [[tenants.key, tenants]]);
    await using daemon = await startPolicyDaemon(store);
    const look = async () => {
      await daemon.counted();
      await daemon.counts.look();
      return Object.fromEntries(daemon.counts.totals());
    };
    assert.deepEqual(await look(), {});
    daemon.send('shop/web-11', udp(`${web}:1`, `${db}:80`), udp(`${web}:2`, `${db}:80`));
    daemon.send('shop/web-11', udp(`${web}:1`, `${db}:7`));
    daemon.send('shop/job-12', udp(`${job}:1`, `${db}:80`));
    const both = { allowed: 2, denied: 1, audited: 0 };
    assert.deepEqual(await look(), {
      'NetworkPolicy/shop/db': both,
      'NetworkPolicy/shop/too': both,
      'ClusterNetworkPolicy/no-port-7': { allowed: 0, denied: 1, audited: 0 },
    });
    assert.deepEqual((await look())['NetworkPolicy/shop/db'], both);
    // A further peer: another filter, whose counts begin at 0.
    const more = localPod('shop/web-14', 14, { app: 'web' });
    store.commit('pods', [[more.pod.key, more.pod]]);
    await daemon.settled();
    daemon.send('shop/web-11', udp(`${web}:3`, `${db}:80`));
    assert.deepEqual((await look())['NetworkPolicy/shop/db'], { ...both, allowed: 3 });
    store.commit('policies', [[inDb.key, undefined]]);
    await daemon.settled();
    assert.deepEqual(Object.keys(await look()).sort(), [
      'ClusterNetworkPolicy/no-port-7',
      'NetworkPolicy/shop/too',
    ]);
  });

  it('NP-03 shows each policy with its pods, filters and verdicts; those without pods here last', async () => {
    const store = shop(11, 12, 13);
    const policies = [
      policy('shop/db', { ...ofDb, ingress: [fromWeb] }),
      policy('other/all', { ingress: [] }),
      policy('shop/sctp', { ...ofDb, ingress: [rule([], [{ protocol: 'SCTP', port: 9 }])] }),
    ];
    store.commit(
      'policies',
      policies.map((one) => [one.key, one]),
    );
    await using daemon = await startPolicyDaemon(store);
    await daemon.view.policies();
    daemon.send('shop/job-12', udp(`${job}:1`, `${db}:80`));
    await daemon.counted();
    const shown = await daemon.view.policies();
    assert.deepEqual(
      shown.map((one) => [one.policy, one.pods.join(' '), one.filters, one.denied, one.status]),
      [
        ['NetworkPolicy/shop/db', 'shop/db-13', 2, 1, 'done'],
        ['NetworkPolicy/shop/sctp', 'shop/db-13', 2, 1, 'done'],
        ['NetworkPolicy/other/all', '', 0, 0, 'done'],
      ],
    );
    assert.match(
      shown[1]?.problems[0] ?? '',
      /^spec\.ingress\[0\]\.ports\[0\]: VPP's filters see no/,
    );
    assert.deepEqual(daemon.view.policyFigures().pods, {
      closed: 0,
      open: 2,
      isolatedIngress: 1,
      isolatedEgress: 0,
    });
    // The connection out of the pod; that to the database was refused one.
    assert.equal(await daemon.view.policySessions(), 1);
  });

  it('what audits would deny is counted by pod, and passes', async () => {
    const store = shop(11, 12, 13);
    const tried = policy('shop/try', { ingress: [fromWeb], mode: 'audit' });
    store.commit('policies', [[tried.key, tried]]);
    await using daemon = await startPolicyDaemon(store);
    await daemon.counts.look();
    const sent = [
      ...daemon.send('shop/job-12', udp(`${job}:1`, `${db}:80`), udp(`${job}:2`, `${web}:80`)),
      ...daemon.send('shop/job-12', udp(`${job}:3`, `${web}:80`)),
      ...daemon.send('shop/web-11', udp(`${web}:1`, `${db}:80`)),
    ];
    assert.deepEqual(sent, [true, true, true, true]);
    await daemon.counted();
    await daemon.counts.look();
    const audited = [...daemon.counts.audited()].map(({ pod, packets }) => `${pod} ${packets}`);
    assert.deepEqual(audited.sort(), ['shop/db-13 1', 'shop/web-11 2']);
    assert.deepEqual(
      [...daemon.counts.totals()],
      [['NetworkPolicy/shop/try', { allowed: 0, denied: 0, audited: 3 }]],
    );
    const [shown] = await daemon.view.policies();
    assert.deepEqual([shown?.mode, shown?.audited], ['audit', 3]);
    const asked = await daemon.view.explainFlow({
      from: 'shop/job-12',
      to: 'shop/db-13',
      port: '80',
    });
    assert.ok(asked.ok);
    assert.match(
      asked.value.verdict,
      /allowed, and counted: NetworkPolicy\/shop\/try would deny it$/,
    );
  });
});

describe('the log of audits', () => {
  function rig() {
    const clock = createFakeClock();
    const counts: AuditCount[] = [];
    const lines: string[] = [];
    const audit = createPolicyAudit({
      counts: { audited: () => counts },
      log: (message, fields) => lines.push(`${message} ${JSON.stringify(fields)}`),
      monotonic: clock.monotonic,
    });
    const count = (pod: string, packets: number) => {
      const at = counts.findIndex((one) => one.pod === pod);
      const entry = { policy: 'NetworkPolicy/a/b', pod, direction: 'Ingress' as const, packets };
      if (at < 0) counts.push(entry);
      else counts[at] = entry;
    };
    return { clock, counts, lines, audit, count };
  }

  it('tells the first at once, then once a minute what came since; nothing while nothing comes', async () => {
    const { clock, lines, audit, count } = rig();
    const expected = (packets: number) =>
      `would be denied {"policy":"NetworkPolicy/a/b","pod":"a/x","direction":"ingress","packets":${packets}}`;
    audit.tell();
    assert.deepEqual(lines.splice(0), []);
    count('a/x', 2);
    audit.tell();
    assert.deepEqual(lines.splice(0), [expected(2)]);
    count('a/x', 5);
    await clock.advance(repeatMs - 1);
    audit.tell();
    assert.deepEqual(lines.splice(0), []);
    count('a/x', 9);
    await clock.advance(1);
    audit.tell();
    assert.deepEqual(lines.splice(0), [expected(7)]);
    await clock.advance(repeatMs);
    audit.tell();
    assert.deepEqual(lines, []);
  });

  it('says no more than so many lines at one time; the others come next', () => {
    const { lines, audit, count } = rig();
    for (let i = 0; i < linesMax + 3; i++) count(`a/x${i}`, 1);
    audit.tell();
    assert.equal(lines.splice(0).length, linesMax);
    audit.tell();
    assert.equal(lines.length, 3);
  });

  it('looks every ten seconds until the end', async () => {
    const clock = createFakeClock();
    const stop = new AbortController();
    const seen: string[] = [];
    const counts = {
      look: async () => void seen.push('look'),
      totals: () => new Map(),
      audited: () => [],
    };
    const audit = { tell: () => void seen.push('tell') };
    const following = followPolicies({ counts, audit, clock, signal: stop.signal });
    await clock.advance(2 * lookMs);
    stop.abort(new Error('the test is over'));
    await following;
    assert.deepEqual(seen, ['look', 'tell', 'look', 'tell', 'look', 'tell']);
  });
});

describe('metrics of policies', () => {
  it('has packets by policy and verdict, pods by state, filters, rules and sessions', async () => {
    const text = await createMetrics(() => sampleView).registry.metrics();
    for (const line of [
      'kvr_policy_packets_total{policy="NetworkPolicy/shop/web",verdict="allowed"} 7',
      'kvr_policy_packets_total{policy="NetworkPolicy/shop/web",verdict="audited"} 2',
      'kvr_policy_pods{state="open"} 4',
      'kvr_policy_pods{state="closed"} 1',
      'kvr_policy_pods{state="isolated-ingress"} 3',
      'kvr_policy_pods{state="isolated-egress"} 2',
      'kvr_policy_filters 9',
      'kvr_policy_filter_rules 120',
      'kvr_policy_sessions 17',
    ])
      assert.ok(text.split('\n').includes(line), `no line ${line}`);
    assert.doesNotMatch(text, /verdict="denied"/);
  });

  it('has series for a bounded number of policies, the busiest', async () => {
    const many = new Map(
      Array.from({ length: policySeriesMax + 10 }, (_, i) => [
        `NetworkPolicy/a/p${i}`,
        { allowed: i + 1, denied: 0, audited: 0 },
      ]),
    );
    const policyCounts = async () => many;
    const text = await createMetrics(() => ({ ...sampleView, policyCounts })).registry.metrics();
    assert.equal(text.match(/^kvr_policy_packets_total\{/gm)?.length, policySeriesMax);
    assert.match(text, new RegExp(`policy="NetworkPolicy/a/p${policySeriesMax + 9}"`));
    assert.doesNotMatch(text, /policy="NetworkPolicy\/a\/p0"/);
  });

  it('says nothing of sessions that VPP does not tell', async () => {
    const policySessions = async () => undefined;
    const text = await createMetrics(() => ({ ...sampleView, policySessions })).registry.metrics();
    assert.doesNotMatch(text, /^kvr_policy_sessions \d/m);
  });
});
