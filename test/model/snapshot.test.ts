import assert from 'node:assert/strict';
import { createStore } from '../../src/model/store.ts';

describe('a snapshot', () => {
  it('does not call complete what became complete after it was taken', () => {
    // A round plans, then writes for some milliseconds. A source that syncs meanwhile must not
    // allow the deletes of a plan that was made without it: that deleted every pod's interface.
    const store = createStore();
    const snapshot = store.takeSnapshot();
    store.replace('attachments', new Map());
    assert.equal(snapshot.synced.has('attachments'), false);
    assert.equal(store.takeSnapshot().synced.has('attachments'), true);
  });

  it('tells once that a kind became complete, and planners see it', () => {
    const store = createStore();
    assert.equal(store.facts.complete.has('policies'), false);
    store.replace('policies', new Map());
    store.markSynced('pods');
    const { changed, facts } = store.takeSnapshot();
    assert.deepEqual([...(changed.complete ?? [])], ['policies', 'pods']);
    assert.deepEqual([...facts.complete], ['policies', 'pods']);
    store.replace('policies', new Map());
    store.markSynced('pods');
    assert.equal(store.takeSnapshot().changed.complete, undefined);
  });
});
