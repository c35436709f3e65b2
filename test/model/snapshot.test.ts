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
});
