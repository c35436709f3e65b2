/**
 * From which addresses a pod may send: the driver and packets, on a real VPP and on the embedded
 * data plane.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'mocha';
import { ip, ipBytes } from '../../src/core/ip.ts';
import type { SourceRow } from '../../src/desired/rows.ts';
import { sourceParts } from '../../src/vpp/drivers/sources.ts';
import { openSession, type VppSession } from '../../src/vpp/session.ts';
import { putService, tcp, udp } from '../emulator/rig.ts';
import { all, filter, nd } from './acl-rig.ts';
import { createSubject, type PacketSubject } from './packet-subject.ts';

const name = 'pod-1';
const linkLocal = 'fe80::ff:fe00:101';
const both: SourceRow = { interface: name, ips: [ip('10.1.1.11'), ip('fd10:1::11')] };

/** A question for the address of VPP's side, from an address. */
function solicit(from: string, to: string): Buffer {
  const rest = Buffer.alloc(24);
  Buffer.from(ipBytes(ip(linkLocal))).copy(rest);
  rest[16] = 1;
  rest[17] = 1;
  Buffer.from('020000000102', 'hex').copy(rest, 18);
  return nd(from, to, 135, rest);
}

const own = [
  () => udp('10.1.1.11:1000', '10.1.1.12:53'),
  () => tcp('10.1.1.11:1001', '10.96.2.1:80'),
  () => udp('[fd10:1::11]:1002', '[fd10:1::12]:53'),
];
const foreign = [
  // Another pod, one of another node, somebody outside, the node, nobody yet (DHCP).
  ...['10.1.1.12', '10.1.2.99', '203.0.113.5', '192.0.2.1', '0.0.0.0'].map(
    (from) => () => udp(`${from}:1003`, '10.1.1.12:53'),
  ),
  () => tcp('10.1.2.99:1004', '10.96.2.1:80'),
  () => udp('[fd10:1::99]:1005', '[fd10:1::12]:53'),
];
const ownCame = [
  'pod2: 10.1.1.11:1000 > 10.1.1.12:53 udp',
  'pod2: 10.1.1.11:1001 > 10.1.1.12:8080 tcp',
  'pod2: [fd10:1::11]:1002 > [fd10:1::12]:53 udp',
];

for (const kind of process.env.VPP_BIN === undefined ? ['embedded'] : ['embedded', 'vpp']) {
  describe(`sources on the ${kind === 'vpp' ? 'real VPP' : 'embedded data plane'}`, function () {
    this.timeout(60_000);
    let s: PacketSubject;
    let session: VppSession;
    const send = (packets: readonly (() => Buffer)[]) =>
      s.send('pod1', ...packets.map((make) => make()));
    before(async () => {
      s = await createSubject(kind as 'embedded' | 'vpp', process.env.VPP_BIN);
      session = await openSession(s.vpp, () => undefined);
      session.handles.setInterface(name, s.index.pod1 ?? 0);
      await putService(s.vpp, '10.96.2.1', 80, ['10.1.1.12:8080']);
    });
    after(() => s[Symbol.asyncDispose]());

    it('NP-07 a pod sends from its own addresses, to pods and to Services, and from no other', async () => {
      const before = await send(foreign);
      await sourceParts.put(session, both, undefined);
      assert.deepEqual([before.length, await send(foreign)], [foreign.length, []]);
      assert.deepEqual(await send(own), ownCame);
    });

    it('NP-07 filters that let everything pass change nothing of it', async () => {
      await filter(s, 'pod1', { input: all('reflect'), output: all('reflect') });
      assert.deepEqual(await send([...own, ...foreign]), ownCame);
      // Nor does a session that is open already.
      assert.deepEqual(await send([...own, ...foreign]), ownCame);
      await filter(s, 'pod1', {});
    });

    it('NP-21 neighbour discovery works from own and link-local addresses', async () => {
      const came: string[] = [];
      for (const to of ['ff02::1:ff00:101', linkLocal])
        for (const from of ['fd10:1::11', 'fe80::99'])
          came.push(...(await s.send('pod1', solicit(from, to))));
      assert.deepEqual(came, [
        'pod1: fe80::ff:fe00:101 > fd10:1::11 nd 136',
        'pod1: fe80::ff:fe00:101 > fe80::99 nd 136',
        'pod1: fe80::ff:fe00:101 > fd10:1::11 nd 136',
        'pod1: fe80::ff:fe00:101 > fe80::99 nd 136',
      ]);
    });

    it('NP-27 finds in VPP what was written', async () => {
      session.handles.sources.clear();
      assert.deepEqual(await sourceParts.dump(session), [{ key: name, row: both }]);
      const unbind = { is_add: false, sw_if_index: s.index.pod1 ?? 0, acl_index: 0 };
      await s.vpp.request('macip_acl_interface_add_del', unbind);
      assert.deepEqual(await sourceParts.dump(session), [{ key: name, row: undefined }]);
      await sourceParts.put(session, both, undefined);
      assert.equal((await s.vpp.dump('macip_acl_dump', { acl_index: 0xffff_ffff })).length, 1);
    });

    it('NP-20 without an address of a family nothing of it passes, and addresses may change', async () => {
      const only = (address: string): SourceRow => ({ interface: name, ips: [ip(address)] });
      await sourceParts.put(session, only('fd10:1::11'), both);
      const v6 = await send(own);
      await sourceParts.put(session, only('10.1.1.11'), only('fd10:1::11'));
      const v4 = await send(own);
      assert.deepEqual([v6, v4], [ownCame.slice(2), ownCame.slice(0, 2)]);
      for (const row of [only('10.1.1.11'), only('fd10:1::11'), both]) {
        await sourceParts.put(session, row, undefined);
        assert.deepEqual(await sourceParts.dump(session), [{ key: name, row }]);
      }
    });

    it('NP-26 without a row everything passes again', async () => {
      await sourceParts.remove(session, name, both);
      assert.deepEqual(await sourceParts.dump(session), []);
      assert.equal((await send(foreign)).length, foreign.length);
      await sourceParts.remove(session, name, both);
    });
  });
}
