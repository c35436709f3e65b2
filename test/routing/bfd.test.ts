import assert from 'node:assert/strict';
import { ip, prefix } from '../../src/core/ip.ts';
import { type BfdConfig, noBfd } from '../../src/model/bgp-config.ts';
import type { Node } from '../../src/model/facts.ts';
import { speakerPlanner } from '../../src/routing/speaker.ts';
import { uplink } from '../facts.ts';
import { annotated, bgpConfig, lines, nodesOf, peer } from './rig.ts';

const bfd: BfdConfig = { enabled: true, minTxMs: 100, minRxMs: 200, multiplier: 4 };

function planOf(peers: readonly ReturnType<typeof peer>[], self: Partial<Node> = {}) {
  const store = nodesOf(bgpConfig({ peers }), self);
  // With IPv6 on the uplink VPP spoils BFD's packets.
  const addresses = uplink.addresses.filter((own) => own.length === 24);
  store.replace('uplink', new Map([['uplink', { ...uplink, addresses }]]));
  const bgp = (down: readonly string[] = [], fact: 'new' | 'written' = 'written') => {
    store.commit(
      'bfdDown',
      down.map((one) => [one, fact]),
    );
    const plan = speakerPlanner.plan(store.facts, 'speaker');
    return {
      rows: lines(plan).filter((line) => /^(natExclusions|bfdSessions|bgpPeers)/.test(line)),
      problems: plan.problems.map(({ field, reason }) => `${field}: ${reason}`),
    };
  };
  return bgp;
}

describe('BFD with neighbours', () => {
  it('has a session with those on the wire that want one', () => {
    const peers = [
      peer('a', { bfd }),
      peer('b', { address: ip('192.0.2.252') }),
      peer('c', { address: ip('192.0.2.251'), bfd: { ...noBfd, enabled: true } }),
    ];
    assert.deepEqual(planOf(peers)(), {
      rows: [
        // VPP would masquerade its own BFD packets.
        'natExclusions: 192.0.2.253/32',
        'natExclusions: 192.0.2.251/32',
        'bfdSessions: 192.0.2.253 from 192.0.2.1 dev uplink tx 100 ms rx 200 ms x4',
        'bfdSessions: 192.0.2.251 from 192.0.2.1 dev uplink tx 300 ms rx 300 ms x3',
        'bgpPeers: 192.0.2.253 AS 65001 peer/a',
        'bgpPeers: 192.0.2.252 AS 65001 peer/b',
        'bgpPeers: 192.0.2.251 AS 65001 peer/c',
      ],
      problems: [],
    });
  });

  it('has none on a node with IPv6, whose BFD packets VPP spoils', () => {
    const plan = speakerPlanner.plan(nodesOf(bgpConfig({ peers: [peer('a', { bfd })] })).facts, '');
    assert.equal(plan.rows.bfdSessions?.length, 0);
    assert.equal(plan.rows.bgpPeers?.length, 1);
    assert.match(plan.problems[0]?.reason ?? '', /the uplink has IPv6/);
  });

  it('has none with those that VPP could not reach, and says so; BGP goes on', () => {
    const far = peer('far', { address: ip('198.51.100.9'), multihopTtl: 5, bfd });
    const other = peer('other', { localAddress: ip('203.0.113.7'), bfd });
    const { rows, problems } = planOf([far, other])();
    assert.deepEqual(rows, [
      'bgpPeers: 198.51.100.9 AS 65001 peer/far',
      'bgpPeers: 192.0.2.253 AS 65001 peer/other',
    ]);
    assert.deepEqual(problems, [
      "bgp.peers[far].bfd: 198.51.100.9 is not on the uplink's wire; there is no BFD with it",
      "bgp.peers[other].bfd: 203.0.113.7 is not the uplink's first address; there is no BFD with 192.0.2.253",
    ]);
  });

  it('takes the BGP session from a neighbour that is down, and keeps looking for it', () => {
    const planned = planOf([peer('a', { bfd }), peer('b', { address: ip('192.0.2.252') })]);
    assert.equal(planned(['192.0.2.253'], 'new').problems.length, 0, 'the routes go first');
    assert.deepEqual(planned(['192.0.2.253', '192.0.2.252']), {
      rows: [
        'natExclusions: 192.0.2.253/32',
        'bfdSessions: 192.0.2.253 from 192.0.2.1 dev uplink tx 100 ms rx 200 ms x4',
        // Without BFD nobody can say that it is down.
        'bgpPeers: 192.0.2.252 AS 65001 peer/b',
      ],
      problems: [
        'bgp.peers[a]: BFD says that 192.0.2.253 is down; there is no BGP session until it is up',
      ],
    });
  });

  it("reads kube-router's annotation", () => {
    const entry = (text: string) =>
      planOf(
        [],
        annotated({
          'kube-router.io/peers': `- {remoteip: 192.0.2.253, remoteasn: 65001, bfd: ${text}}`,
        }),
      )();
    const full =
      '{enabled: true, required_min_rx_interval: 200, desired_min_tx_interval: 100, detection_multiplier: 5}';
    assert.deepEqual(entry(full).rows, [
      'natExclusions: 192.0.2.253/32',
      'bfdSessions: 192.0.2.253 from 192.0.2.1 dev uplink tx 100 ms rx 200 ms x5',
      'bgpPeers: 192.0.2.253 AS 65001 peer/node-192.0.2.253',
    ]);
    assert.match(entry('{enabled: true}').rows[1] ?? '', /tx 300 ms rx 300 ms x3/);
    for (const off of ['{}', '{enabled: false}', '']) assert.equal(entry(off).rows.length, 1, off);
    for (const wrong of [
      'yes please',
      '[1]',
      '{enabled: 1}',
      '{enabled: true, detection_multiplier: 0}',
      '{enabled: true, required_min_rx_interval: 1}',
      '{enabled: true, desired_min_tx_interval: soon}',
    ]) {
      const { rows, problems } = entry(wrong);
      assert.deepEqual(rows, [], wrong);
      assert.match(problems.join(), /bfd .*; this entry is left out/, wrong);
    }
  });

  it('does not look at ranges', () => {
    const range = peer('range', { address: '', range: prefix('192.0.2.0/24'), bfd });
    assert.equal(planOf([range])().rows.length, 1);
  });
});
