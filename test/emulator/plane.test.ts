import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ip, prefix } from '../../src/core/ip.ts';
import { addrFromIp, mac } from '../../src/emulator/address.ts';
import { buildArp, buildFrame, TcpFlag } from '../../src/emulator/packet/build.ts';
import { transportChecksumRight } from '../../src/emulator/packet/headers.ts';
import { fragment4 } from '../../src/emulator/plane/fragment.ts';
import { formatSteps } from '../../src/emulator/plane/packet.ts';
import { createReassembly } from '../../src/emulator/plane/reassembly.ts';
import { createRig, macs, type Rig, route, show, tcp, udp, unset } from './rig.ts';

describe('a packet is explained by the code that forwards it', () => {
  it('from the service to the backend', async () => {
    await using rig = await createRig();
    await rig.service('10.96.0.10', 80, ['10.1.1.12:8080']);
    const { steps } = rig.emulator.inject('pod1', tcp('10.1.1.11:1234', '10.96.0.10:80'));
    assert.deepEqual(formatSteps(steps).split('\n'), [
      'ip4-input           10.1.1.11:1234 > 10.96.0.10:80 tcp from host-veth1',
      'cnat-lookup-ip4     opens flow 1',
      'cnat-input-ip4      translation 0 chooses 10.1.1.12:8080',
      'cnat-input-ip4      becomes 10.1.1.11:1234 > 10.1.1.12:8080',
      'ip4-lookup          10.1.1.12/32 in table 0',
      'cnat-writeback-ip4  answers will belong to flow 1',
      'host-veth2-output   40 bytes leave by host-veth2 to 10.1.1.12',
    ]);
  });

  const drops: readonly { name: string; run: (rig: Rig) => string[]; why: RegExp }[] = [
    {
      name: 'a bad header checksum',
      run: (rig) => {
        const l3 = udp('10.1.1.11:1', '10.1.1.12:2');
        l3[10] = (l3[10] ?? 0) ^ 1;
        return rig.explain('pod1', l3);
      },
      why: /bad header checksum/,
    },
    {
      name: 'a packet longer than its frame',
      run: (rig) => rig.explain('pod1', udp('10.1.1.11:1', '10.1.1.12:2').subarray(0, 25)),
      why: /bad total length/,
    },
    {
      name: 'a source that is our own address',
      run: (rig) => rig.explain('uplink', udp('192.0.2.1:1', '192.0.2.1:2')),
      why: /the source is our own address/,
    },
    {
      name: 'a multicast destination',
      run: (rig) => rig.explain('pod1', udp('10.1.1.11:1', '224.0.0.5:2')),
      why: /the route says drop/,
    },
    {
      name: 'TCP to our own address without a redirect',
      run: (rig) => rig.explain('uplink', tcp('203.0.113.9:1', '192.0.2.1:179')),
      why: /nobody takes punted packets/,
    },
  ];
  for (const { name, run, why } of drops) {
    it(`dropped: ${name}`, async () => {
      await using rig = await createRig();
      assert.match(run(rig).at(-1) ?? '', why);
    });
  }
});

describe('fragments', () => {
  it('cut and put together are the packet again, in any order', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 3000 }),
        fc.integer({ min: 68, max: 1500 }),
        fc.infiniteStream(fc.nat()),
        (length, mtu, shuffle) => {
          const whole = udp('10.0.0.1:1', '10.0.0.2:2', 'x'.repeat(length));
          const parts = fragment4(whole, mtu);
          for (const part of parts) assert.ok(part.length <= Math.max(mtu, 28));
          const order = parts
            .map((part) => ({ part, key: shuffle.next().value }))
            .toSorted((a, b) => a.key - b.key);
          const reassembly = createReassembly(() => 0);
          const results = order.map(({ part }) => reassembly.add(part, 4));
          assert.equal(results.filter((r) => r !== undefined).length, 1);
          assert.deepEqual(results.at(-1), whole);
        },
      ),
    );
  });

  it('of a service reach the backend once full reassembly is on, but answers are not translated', async () => {
    await using rig = await createRig();
    await rig.service('10.96.0.10', 53, ['10.1.1.12:5353'], { protocol: 17 });
    const parts = fragment4(udp('10.1.1.11:1', '10.96.0.10:53', 'x'.repeat(2000)), 1500);
    await rig.vpp.request('ip_reassembly_enable_disable', {
      sw_if_index: rig.index.pod1 ?? 0,
      enable_ip4: true,
      enable_ip6: true,
      type: 0,
    });
    const frames = parts.flatMap((part) => rig.emulator.inject('pod1', part).outputs);
    assert.equal(frames.length, 2);
    assert.match(show(frames[0]?.bytes ?? Buffer.alloc(0)), /10\.1\.1\.11:1 > 10\.1\.1\.12:5353/);
    assert.deepEqual(rig.send('pod2', udp('10.1.1.12:5353', '10.1.1.11:1')), [
      'pod1: 10.1.1.12:5353 > 10.1.1.11:1 udp',
    ]);
  });
});

describe('access lists', () => {
  const rule = (
    is_permit: number,
    fields: { src?: string; dst?: string; proto?: number; port?: number },
  ) => ({
    is_permit,
    src_prefix: prefix(fields.src ?? '0.0.0.0/0'),
    dst_prefix: prefix(fields.dst ?? '0.0.0.0/0'),
    proto: fields.proto ?? 0,
    srcport_or_icmptype_first: 0,
    srcport_or_icmptype_last: 65535,
    dstport_or_icmpcode_first: fields.port ?? 0,
    dstport_or_icmpcode_last: fields.port ?? 65535,
    tcp_flags_mask: 0,
    tcp_flags_value: 0,
  });
  const add = async (rig: Rig, rules: readonly ReturnType<typeof rule>[], index = unset) => {
    const { acl_index } = await rig.vpp.request('acl_add_replace', {
      acl_index: index,
      tag: 'test',
      r: rules,
    });
    return acl_index;
  };
  const bind = (rig: Rig, name: string, input: readonly number[], output: readonly number[]) =>
    rig.vpp.request('acl_interface_set_acl_list', {
      sw_if_index: rig.index[name] ?? 0,
      n_input: input.length,
      acls: [...input, ...output],
    });

  it('take the first match across all lists, and deny without one', async () => {
    await using rig = await createRig();
    const deny = await add(rig, [rule(0, { dst: '10.1.1.12/32', proto: 17, port: 7 })]);
    const permit = await add(rig, [rule(1, { proto: 17 })]);
    await bind(rig, 'pod1', [deny, permit], []);
    const sent = (port: number) => rig.send('pod1', udp('10.1.1.11:1', `10.1.1.12:${port}`)).length;
    assert.deepEqual([sent(7), sent(8)], [0, 1]);
    assert.equal(rig.send('pod1', tcp('10.1.1.11:1', '10.1.1.12:8')).length, 0);
    await bind(rig, 'pod1', [permit, deny], []);
    assert.equal(sent(7), 1);
  });

  it('an empty list denies all, no list permits all', async () => {
    await using rig = await createRig();
    const empty = await add(rig, []);
    await bind(rig, 'pod2', [], [empty]);
    assert.equal(rig.send('pod1', udp('10.1.1.11:1', '10.1.1.12:2')).length, 0);
    await bind(rig, 'pod2', [], []);
    assert.equal(rig.send('pod1', udp('10.1.1.11:1', '10.1.1.12:2')).length, 1);
  });

  it('sessions survive a replace unless they are reclassified, and end when idle', async () => {
    await using rig = await createRig();
    const open = await add(rig, [rule(2, { proto: 17, port: 9 })]);
    const closed = await add(rig, []);
    await bind(rig, 'pod2', [closed], [open]);
    const there = () => rig.send('pod1', udp('10.1.1.11:1', '10.1.1.12:9')).length;
    const back = () => rig.send('pod2', udp('10.1.1.12:9', '10.1.1.11:1')).length;
    assert.deepEqual([back(), there(), back()], [0, 1, 1]);
    await add(rig, [], open);
    assert.deepEqual([there(), back()], [1, 1]);
    await rig.vpp.request('cli_inband', { cmd: 'set acl-plugin reclassify-sessions 1' });
    // Changes count from then on.
    assert.equal(there(), 1);
    await add(rig, [], open);
    assert.equal(there(), 0);
    await add(rig, [rule(2, { proto: 17, port: 9 })], open);
    assert.deepEqual([there(), back()], [1, 1]);
    await rig.clock.advance(601_000);
    assert.equal(back(), 0);
  });
});

describe('other nodes on the arcs', () => {
  it('the MSS of a SYN is lowered, never raised, and its checksum stays right', async () => {
    await using rig = await createRig();
    await rig.vpp.request('mss_clamp_enable_disable', {
      sw_if_index: rig.index.pod1 ?? 0,
      ipv4_mss: 1200,
      ipv6_mss: 1180,
      ipv4_direction: 3,
      ipv6_direction: 3,
    });
    const mssOf = (mss: number) => {
      const syn = tcp('10.1.1.11:1', '10.1.1.12:2', TcpFlag.syn, 'abcd');
      // Four bytes of options in the place of the payload.
      syn[32] = 0x60;
      syn.writeUInt32BE(0x0204_0000 + mss, 40);
      return withChecksum(syn);
    };
    for (const [given, expected] of [
      [1460, 1200],
      [900, 900],
    ] as const) {
      const [out] = rig.emulator.inject('pod1', mssOf(given)).outputs;
      const l3 = out?.bytes.subarray(14) ?? Buffer.alloc(60);
      assert.equal(l3.readUInt16BE(42), expected);
      assert.ok(transportChecksumRight(l3, 4));
    }
  });

  it('ECMP spreads flows over all paths and keeps each flow on one', async () => {
    await using rig = await createRig();
    const uplink = rig.index.uplink ?? 0;
    const hops = ['192.0.2.11', '192.0.2.12', '192.0.2.13'];
    for (const [i, via] of hops.entries())
      await rig.vpp.request('ip_neighbor_add_del', {
        is_add: true,
        neighbor: {
          sw_if_index: uplink,
          flags: 1,
          mac_address: `02:00:00:00:0e:0${i}`,
          ip_address: ip(via),
        },
      });
    await route(
      rig.vpp,
      '10.1.7.0/24',
      hops.map((via) => ({ via, dev: uplink })),
    );
    const macOf = (port: number) =>
      rig.emulator
        .inject('pod1', udp(`10.1.1.11:${port}`, '10.1.7.1:9'))
        .outputs[0]?.bytes.toString('hex', 0, 6);
    const seen = new Set<string | undefined>();
    for (let port = 1; port < 60; port++) {
      seen.add(macOf(port));
      assert.equal(macOf(port), macOf(port));
    }
    assert.equal(seen.size, 3);
  });
});

describe('neighbours', () => {
  it('are asked for, learned from the answer, told to who wants to know, and flushed', async () => {
    await using rig = await createRig();
    const uplink = rig.index.uplink ?? 0;
    const events: string[] = [];
    rig.vpp.events('ip_neighbor_event_v2', (event) =>
      events.push(`${event.neighbor.ip_address} is ${event.neighbor.mac_address}`),
    );
    await rig.vpp.request('want_ip_neighbor_events_v2', {
      enable: true,
      pid: 1,
      ip: ip('0.0.0.0'),
      sw_if_index: unset,
    });
    const packet = () => udp('10.1.1.11:1', '192.0.2.50:2');
    assert.deepEqual(rig.send('pod1', packet()), ['uplink: arp who-has 192.0.2.50 tell 192.0.2.1']);
    // Asked a moment ago: not again for each packet.
    assert.deepEqual(rig.send('pod1', udp('10.1.1.11:3', '192.0.2.50:2')), []);
    const answer = buildArp({
      operation: 2,
      senderMac: mac('02:00:00:00:00:50'),
      senderAddr: addrFromIp(ip('192.0.2.50')),
      targetMac: mac(macs.uplink),
      targetAddr: addrFromIp(ip('192.0.2.1')),
    });
    const frame = buildFrame(mac(macs.uplink), mac('02:00:00:00:00:50'), 0x0806, answer);
    rig.emulator.inject('uplink', frame);
    // A new flow: the first one is half made, as in VPP.
    assert.deepEqual(rig.send('pod1', udp('10.1.1.11:4', '192.0.2.50:2')), [
      'uplink: 192.0.2.1:1024 > 192.0.2.50:2 udp',
    ]);
    await rig.vpp.request('ip_neighbor_flush', { af: 0, sw_if_index: uplink });
    const left = await rig.vpp.dump('ip_neighbor_dump', { sw_if_index: uplink, af: 0 });
    assert.deepEqual(
      left.map((one) => one.neighbor.ip_address),
      ['192.0.2.254'],
    );
    assert.deepEqual(events, ['192.0.2.50 is 02:00:00:00:00:50']);
  });
});

function withChecksum(l3: Buffer): Buffer {
  const copy = Buffer.from(l3);
  copy.writeUInt16BE(0, 36);
  let sum = 6 + (copy.length - 20);
  for (let i = 12; i < copy.length; i += 2) sum += copy.readUInt16BE(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  copy.writeUInt16BE(~sum & 0xffff, 36);
  return copy;
}
