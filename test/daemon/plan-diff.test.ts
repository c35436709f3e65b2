import assert from 'node:assert/strict';
import { parseConfig } from '../../src/config/parse.ts';
import type { LintView } from '../../src/core/control-routing.ts';
import { ip, prefix } from '../../src/core/ip.ts';
import { formatProblem } from '../../src/core/problem.ts';
import { compareDesired, lintConfig } from '../../src/daemon/plan-diff.ts';
import { planFacts } from '../../src/daemon/planning.ts';
import { stages } from '../../src/desired/table.ts';
import type { Store } from '../../src/model/store.ts';
import { node, service } from '../facts.ts';
import { sampleCluster, startDaemon } from './bgp-rig.ts';

const front = 'uplink: { interface: eth0 }\nservices: { cidrs: [10.96.0.0/16] }\n';
const textOf = (bgp: string) => `${front}bgp:\n${bgp}`;
const peerA = '    - { name: a, address: 192.0.2.253, asn: 65001 }\n';
const running = textOf(`  advertise: { clusterIps: true }\n  peers:\n${peerA}`);

/** The sample cluster with what a file says in force. */
function clusterWith(text: string): Store {
  const parsed = parseConfig(text, { NODE_NAME: 'n1' });
  assert.ok(parsed.ok, parsed.ok ? '' : parsed.problem);
  const store = sampleCluster();
  store.replace('config', new Map([['config', parsed.value]]));
  return store;
}

function lint(next: string, store = clusterWith(running)): LintView {
  return lintConfig(next, { facts: store.facts, desired: planFacts(store.facts) });
}

const changesOf = ({ sessions, prefixes }: LintView) => [
  ...sessions.map((one) => `${one.change} ${one.description} ${one.fields}`.trim()),
  ...prefixes.map((one) => `${one.change} ${one.prefix}`),
];

describe('planFacts', () => {
  it('gives what the loop has planned change by change', async () => {
    const store = sampleCluster();
    await using daemon = await startDaemon(store);
    store.commit('nodes', [['n4', node('n4', 4)]]);
    store.commit('slices', [['shop/web-1', undefined]]);
    await daemon.settled();
    assert.deepEqual(compareDesired(daemon.loop.desired, planFacts(store.facts)).tables, []);
    assert.ok(stages.some((stage) => daemon.loop.desired.count(stage) > 0));
  });
});

describe('planFacts with an object that cannot be planned', () => {
  it('plans the others, and tells the problem', () => {
    const store = sampleCluster();
    const broken = {
      ...service('shop/bad', { clusterIps: [ip('10.96.0.66')] }),
      get internalTrafficPolicy(): never {
        throw new Error('boom');
      },
    };
    store.commit('services', [['shop/bad', broken]]);
    const desired = planFacts(store.facts);
    assert.ok(desired.row('translations', '10.96.0.10 80 TCP') !== undefined);
    assert.match(
      desired.problems().map(formatProblem).join(),
      /Service\/shop\/bad services: cannot be planned.*boom/,
    );
  });
});

describe('what another configuration would change', () => {
  it('is nothing for the file that is in force, and for one with another order or comment', () => {
    for (const text of [running, `# the same\n${running}`]) {
      const { usable, problems, tables, sessions, server } = lint(text);
      assert.deepEqual([usable, problems, tables, sessions, server], [true, [], [], [], undefined]);
    }
  });

  const cases: readonly [string, string, readonly string[]][] = [
    [
      'a neighbour more',
      `${running}    - { name: b, address: 192.0.2.252, asn: 65002 }\n`,
      ['added peer/b'],
    ],
    ['a neighbour less', textOf('  advertise: { clusterIps: true }\n'), ['removed peer/a']],
    ['another AS of a neighbour', running.replace('65001', '65009'), ['bounced peer/a asn']],
    [
      'another name of a neighbour',
      running.replace('name: a', 'name: tor'),
      ['described peer/tor description'],
    ],
    [
      'addresses that are no longer announced',
      running.replace('clusterIps: true', 'clusterIps: false'),
      ['withdrawn 10.96.0.10/32'],
    ],
    [
      'an aggregate',
      running.replace('clusterIps: true', 'clusterIps: true, aggregates: [10.96.0.0/16]'),
      ['announced 10.96.0.0/16', 'withdrawn 10.96.0.10/32'],
    ],
    [
      'a community of all',
      running.replace('clusterIps: true', 'clusterIps: true, communities: ["64512:9"]'),
      ['changed 10.96.0.10/32'],
    ],
  ];
  for (const [title, next, expected] of cases)
    it(`is told for ${title}`, () => {
      const found = lint(next);
      assert.deepEqual(changesOf(found), expected);
      assert.ok(found.tables.length > 0);
      assert.deepEqual(found.problems, []);
    });

  it('tells hold times from what ends a session', () => {
    const found = lint(running.replace('asn: 65001', 'asn: 65001, holdTimeSeconds: 60'));
    // The keepalive follows the hold time: what GoBGP can change without a new session is the
    // driver's knowledge, and this asks the driver.
    assert.deepEqual(
      found.sessions.map((one) => one.description),
      ['peer/a'],
    );
    assert.ok(found.sessions[0]?.fields.includes('holdTimeSeconds'));
  });

  it('says when the server itself changes, which ends all sessions', () => {
    const found = lint(running.replace('bgp:\n', 'bgp:\n  routerId: 10.0.0.1\n'));
    assert.deepEqual(found.server, {
      before: 'AS 64512 id 192.0.2.1 port 179',
      after: 'AS 64512 id 10.0.0.1 port 179',
    });
  });

  it('says of other addresses to listen on that no session ends', () => {
    const found = lint(
      running.replace('bgp:\n', 'bgp:\n  listenAddresses: [192.0.2.1, 10.0.0.1]\n'),
    );
    assert.equal(found.server, undefined);
    assert.deepEqual(found.sessions, []);
    assert.deepEqual(
      found.tables.map((one) => one.name),
      ['bgpServer'],
    );
  });

  it('names the statements of policies', () => {
    const found = lint(running.replace('peers:', 'import: { reject: [172.16.0.0/12] }\n  peers:'));
    assert.deepEqual(found.policies, [
      {
        direction: 'import',
        added: ['rejected prefixes from 192.0.2.253, IPv4'],
        removed: [],
        changed: [],
        reordered: false,
      },
    ]);
    const other = lint(running.replace('asn: 65001', 'asn: 65001, advertise: { med: 9 }'));
    assert.deepEqual(
      other.policies.map((one) => [one.direction, one.changed]),
      [['export', ['services to a', 'pods to a']]],
    );
  });

  it('counts the rows of other tables', () => {
    const found = lint(running.replace(front, `${front}overlay: { mode: full }\n`));
    const tunnels = found.tables.find((one) => one.name === 'tunnels');
    assert.deepEqual(tunnels, { name: 'tunnels', added: 1, removed: 0, changed: 0 });
    assert.deepEqual(found.prefixes, []);
  });

  it('tells the problems of the file, those of a restart, and new ones of the plan', () => {
    const bad = '    - { name: b, address: nowhere, asn: 65002 }\n';
    const node2 = '    - { name: c, address: 192.0.2.2, asn: 65002 }\n';
    const found = lint(`${running}${bad}${node2}stateDir: /other\n`);
    assert.deepEqual(
      found.problems.map((one) => one.field),
      ['bgp.peers[1].address', 'stateDir', 'bgp.peers[c].address'],
    );
    assert.match(found.problems[1]?.reason ?? '', /after a restart/);
    assert.match(found.problems[2]?.reason ?? '', /192\.0\.2\.2 is a node of the mesh/);
    assert.deepEqual(changesOf(found), []);
  });

  it('does not repeat problems that are there already', () => {
    const node2 = '    - { name: c, address: 192.0.2.2, asn: 65002 }\n';
    assert.deepEqual(lint(running + node2, clusterWith(running + node2)).problems, []);
  });

  it('is not asked of a file that cannot be used', () => {
    const found = lint('bgp: { asn: x }');
    assert.equal(found.usable, false);
    assert.deepEqual(found.problems.map((one) => one.field).toSorted(), [
      'bgp.asn',
      'uplink.interface',
    ]);
    assert.deepEqual(found.tables, []);
  });

  it('changes nothing of what it looks at', async () => {
    const store = clusterWith(running);
    await using daemon = await startDaemon(store);
    const before = daemon.target.calls.length;
    const { revision } = store;
    lintConfig(running.replace('65001', '65009'), {
      facts: store.facts,
      desired: daemon.loop.desired,
    });
    store.commit('learnedRoutes', [
      ['172.30.0.0/16', { prefix: prefix('172.30.0.0/16'), nextHops: [ip('192.0.2.253')] }],
    ]);
    await daemon.settled();
    assert.equal(store.revision, revision + 1);
    assert.deepEqual(daemon.target.calls.slice(before), ['put routes 172.30.0.0/16']);
  });
});
