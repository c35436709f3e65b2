import assert from 'node:assert/strict';
import { ip } from '../../src/core/ip.ts';
import { watchBfd } from '../../src/daemon/bfd.ts';
import { createStore } from '../../src/model/store.ts';
import { type BfdState, remoteStates } from '../../src/vpp/bfd-states.ts';

const a = '192.0.2.253';
const b = '192.0.2.254';

function rig() {
  const store = createStore();
  const watch = watchBfd({ store, log: () => undefined });
  watch.onRound([a, b]);
  const tell = (whole: boolean, states: Readonly<Record<string, BfdState>>) =>
    watch.onNews({
      whole,
      states: new Map(Object.entries(states).map(([peer, state]) => [ip(peer), state])),
    });
  return {
    watch,
    event: (states: Readonly<Record<string, BfdState>>) => tell(false, states),
    dump: (states: Readonly<Record<string, BfdState>>) => tell(true, states),
    facts: () => store.facts.bfdDown,
    down: () => [...store.facts.bfdDown.keys()],
    revision: () => store.revision,
  };
}

describe('what BFD says', () => {
  it('counts as down what was up, until it is up again', () => {
    const { event, down } = rig();
    event({ [a]: 'up' });
    assert.deepEqual(down(), []);
    event({ [a]: 'down' });
    assert.deepEqual(down(), [a]);
    event({ [a]: 'init' });
    assert.deepEqual(down(), [a], 'not yet');
    event({ [a]: 'up' });
    assert.deepEqual(down(), []);
  });

  it('never what was not up, and nothing that somebody ended', () => {
    const { event, down, revision } = rig();
    const before = revision();
    event({ [a]: 'down' });
    event({ [a]: 'init' });
    event({ [a]: 'down' });
    event({ [b]: 'up' });
    event({ [b]: 'adminDown' });
    event({ [b]: 'down' });
    assert.deepEqual(down(), []);
    assert.equal(revision(), before, 'and nothing is planned for it');
  });

  it('lets BGP wait until a round has taken the routes out', () => {
    const { watch, event, facts } = rig();
    event({ [a]: 'up' });
    event({ [a]: 'down' });
    watch.onRound([a, b]);
    assert.equal(facts().get(a), 'new', 'the round began before');
    watch.onRound([a, b], new Set([a]));
    assert.equal(facts().get(a), 'written');
    event({ [a]: 'init' });
    assert.equal(facts().get(a), 'written');
    event({ [a]: 'up' });
    event({ [a]: 'down' });
    assert.equal(facts().get(a), 'new');
  });

  it('remembers over a lost connection what was up, and nothing over a new VPP', () => {
    const { event, dump, down } = rig();
    dump({ [a]: 'up', [b]: 'down' });
    dump({ [a]: 'down', [b]: 'down' });
    assert.deepEqual(down(), [a], 'it went down meanwhile');
    dump({});
    assert.deepEqual(down(), []);
    event({ [a]: 'down' });
    assert.deepEqual(down(), [], 'the sessions of a new VPP begin down');
  });

  it('forgets a session that is not wanted any more', () => {
    const { watch, event, down } = rig();
    event({ [a]: 'up', [b]: 'up' });
    event({ [a]: 'down', [b]: 'down' });
    watch.onRound([b]);
    assert.deepEqual(down(), [b]);
    watch.onRound([a, b]);
    assert.deepEqual(down(), [b], 'a session that is made again was never up');
    assert.deepEqual([...watch.states()], [[b, 'down']]);
  });

  it("reads the neighbour's own state out of VPP's table", () => {
    // As VPP 26.06 writes it, shortened.
    const text = `  Index                Property              Local value         Remote value
                    Hop Type                                   single
     0      IPv4 address                              192.0.2.1          192.0.2.253
           Session state                                       Down            AdminDown
           Diagnostic code                  Neighbor Signaled Session Down Administratively Down
                    Hop Type                                   single
     1      IPv6 address                            2001:db8::1          2001:db8::c
           Session state                                         Up                   Up
Number of configured BFD sessions: 2
`;
    assert.deepEqual(
      [...remoteStates(text)],
      [
        ['192.0.2.253', 'AdminDown'],
        ['2001:db8::c', 'Up'],
      ],
    );
  });
});
