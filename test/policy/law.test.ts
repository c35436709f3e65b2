import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type Ip, ip } from '../../src/core/ip.ts';
import { planChanges, planFacts } from '../../src/daemon/planning.ts';
import { createDesired, type Desired } from '../../src/desired/desired.ts';
import type { Pod } from '../../src/model/facts.ts';
import { cluster, crowd } from './arbitraries.ts';
import { history } from './histories.ts';
import { type Frame, frameOf } from './interpreter.ts';
import { type Choice, packetsOf, picks } from './picks.ts';
import {
  attachmentOf,
  commit,
  createConfigured,
  kinds,
  localPods,
  nodeCommits,
  outcomeOf,
  planCluster,
} from './planned.ts';
import { type Cluster, directionVerdict, type Packet } from './reference.ts';

/** More for a search: POLICY_LAW_RUNS=20000. */
const runs = Number(process.env.POLICY_LAW_RUNS ?? 300);

function filterRows(desired: Desired): unknown {
  return (['filters', 'filterLists'] as const).map((table) =>
    [...desired.keys(table)].toSorted().map((key) => [key, desired.row(table, key)]),
  );
}

interface Meeting {
  readonly pod: Pod;
  readonly direction: 'Ingress' | 'Egress';
  readonly packet: Packet;
  /** The cluster as this node knows it: addresses of its own pods before others do. */
  readonly known: Cluster;
}

function* meetings(one: Cluster, all: readonly Choice[]): Generator<Meeting> {
  const packetOf = packetsOf(one);
  const known = { ...one, attachments: localPods(one).map(attachmentOf) };
  for (const pod of localPods(one)) {
    const { ips } = attachmentOf(pod);
    for (const pick of all)
      for (const own of ips) {
        const packet = packetOf(pick, own);
        for (const direction of ['Ingress', 'Egress'] as const)
          if (ips.includes(direction === 'Ingress' ? packet.to : packet.from))
            yield { pod, direction, packet, known };
      }
  }
}

function namesPortsOfSctp({ pods, policies, clusterPolicies }: Cluster): boolean {
  const hasNames = pods.some((pod) => pod.ports.some(({ protocol }) => protocol === 'SCTP'));
  return [...policies, ...clusterPolicies].some(({ ingress, egress }) =>
    [...ingress, ...egress].some((rule) =>
      rule.ports.some(({ protocol, port }) =>
        protocol === undefined
          ? hasNames
          : protocol === 'SCTP' && port !== undefined && (typeof port === 'number' || hasNames),
      ),
    ),
  );
}

function textOf({ pod, direction, packet }: Meeting): string {
  const { from, to, protocol, port } = packet;
  return `${direction} of ${pod.key}: ${from} > ${to} ${protocol} ${port}`;
}

describe('the law of policies', function () {
  this.timeout(60_000 + runs * 200);

  for (const { name, clusters, numRuns } of [
    { name: 'rows decide as the reference does', clusters: cluster, numRuns: runs },
    {
      name: 'rows decide so for hundreds of peers',
      clusters: crowd,
      numRuns: Math.ceil(runs / 10),
    },
  ])
    it(`NP-03 NP-05 NP-07 NP-11 NP-20 CNP-04 ${name}`, () => {
      fc.assert(
        fc.property(clusters, picks(20), (one, all) => {
          const desired = planCluster(one);
          for (const meeting of meetings(one, all)) {
            const { pod, direction, packet, known } = meeting;
            const outcome = outcomeOf(desired, pod, direction, frameOf(packet));
            const verdict = directionVerdict(known, pod, direction, packet);
            // Filters see no port of SCTP: what is said of one may close, and never opens.
            if (packet.protocol === 'SCTP' && verdict === 'allow' && namesPortsOfSctp(one))
              continue;
            assert.equal(outcome === 'deny' ? 'deny' : 'allow', verdict, textOf(meeting));
          }
        }),
        { numRuns },
      );
    });

  it('NP-14 answers to what is allowed pass', () => {
    fc.assert(
      fc.property(cluster, picks(6), (one, all) => {
        const desired = planCluster(one);
        for (const meeting of meetings(one, all)) {
          const { pod, direction, packet } = meeting;
          const outcome = outcomeOf(desired, pod, direction, frameOf(packet));
          if (outcome === 'deny' || outcome === 'reflect') continue;
          const back = direction === 'Ingress' ? 'Egress' : 'Ingress';
          for (const port of [1, 40_000, 65_535])
            assert.notEqual(
              outcomeOf(desired, pod, back, answerOf(packet, port)),
              'deny',
              `the answer of ${textOf(meeting)}, which opens no session`,
            );
        }
      }),
      { numRuns: runs },
    );
  });

  it('NP-21 NP-22 errors of ICMP, neighbour discovery and later fragments pass, whatever the policies', () => {
    fc.assert(
      fc.property(cluster, (one) => {
        const desired = planCluster(one);
        for (const pod of localPods(one))
          for (const own of attachmentOf(pod).ips)
            for (const { other, protocol, types } of always(own))
              for (const port of types) {
                const sent: Frame = { from: own, to: other, protocol, port };
                const received: Frame = { from: other, to: own, protocol, port };
                const what = `${protocol} ${port} of ${pod.key} and ${other}`;
                assert.notEqual(outcomeOf(desired, pod, 'Egress', sent), 'deny', `sent: ${what}`);
                assert.notEqual(outcomeOf(desired, pod, 'Ingress', received), 'deny', what);
              }
      }),
      { numRuns: runs },
    );
  });

  it('NP-25 after each event, rows are those of a plan from scratch; any order ends in the same', () => {
    fc.assert(
      fc.property(history(nodeCommits), fc.nat(60), ({ last, events }, completeAt) => {
        const store = createConfigured();
        const desired = createDesired();
        const steps = [...events.map((event) => () => commit(store, event))];
        steps.splice(completeAt, 0, ...kinds.map((kind) => () => store.markSynced(kind)));
        for (const [i, step] of steps.entries()) {
          step();
          planChanges(desired, store.takeSnapshot());
          const scratch = filterRows(planFacts(store.facts));
          assert.deepEqual(filterRows(desired), scratch, `after step ${i}, lists at ${completeAt}`);
        }
        assert.deepEqual(filterRows(desired), filterRows(planCluster(last)));
      }),
      { numRuns: Math.ceil(runs / 3) },
    );
  });
});

function answerOf({ from, to, protocol }: Packet, port: number): Frame {
  if (protocol !== 'ICMP') return { from: to, to: from, protocol, port };
  const [family, type] = to.includes(':') ? (['ICMPv6', 129] as const) : (['ICMP', 0] as const);
  return { from: to, to: from, protocol: family, port: type };
}

/**
 * Types of ICMP (RFC 792) and of ICMPv6: errors (RFC 4443) and neighbour discovery (RFC 4861). Later
 * fragments have port 0.
 */
function always(own: Ip) {
  const fragments = (other: Ip) =>
    (['TCP', 'UDP'] as const).map((protocol) => ({ other, protocol, types: [0] }));
  const far = own.includes(':') ? ip('4000::1') : ip('198.51.100.1');
  if (!own.includes(':'))
    return [...fragments(far), { other: far, protocol: 'ICMP' as const, types: [3, 11, 12] }];
  return [
    ...fragments(far),
    { other: far, protocol: 'ICMPv6' as const, types: [1, 2, 3, 4] },
    { other: ip('fe80::1'), protocol: 'ICMPv6' as const, types: [133, 134, 135, 136] },
  ];
}
