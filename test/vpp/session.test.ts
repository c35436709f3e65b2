import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { connectVpp } from '../../native/vpp-api/client.ts';
import { createEmulator } from '../../src/emulator/emulator.ts';
import { openSession } from '../../src/vpp/session.ts';

describe('a session with VPP', () => {
  it('NP-14 makes VPP judge open sessions anew and count matches, before anything is written', async () => {
    await using emulator = createEmulator();
    await using connection = await connectVpp({ stream: emulator.connect(), name: 'test' });
    const { acl } = emulator.plane;
    assert.deepEqual([acl.reclassify, acl.counting], [false, false]);
    await openSession(connection, () => undefined);
    assert.deepEqual([acl.reclassify, acl.counting], [true, true]);
  });
});
