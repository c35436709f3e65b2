/**
 * What our client assumes about VPP, on whatever serves `VPP_API_SOCKET`: a real VPP or the
 * embedded data plane.
 */
import assert from 'node:assert/strict';
import { afterEach, before, beforeEach, describe, it } from 'mocha';
import { messageNames } from '../../native/vpp-api/catalogue/index.ts';
import { connectVpp, type VppConnection } from '../../native/vpp-api/client.ts';
import type { FieldsOf } from '../../native/vpp-api/codec.ts';
import { VppError } from '../../native/vpp-api/errors.ts';
import { ip, prefix } from '../../src/core/ip.ts';

type Path = FieldsOf<'ip_route_add_del_v2'>['route']['paths'][number];

const noInterface = 0xffffffff;
const fibPathDrop: Path = {
  sw_if_index: noInterface,
  table_id: 0,
  rpf_id: 0,
  weight: 1,
  preference: 0,
  type: 2,
  flags: 0,
  proto: 0,
  nh: { address: ip('0.0.0.0'), via_label: 0, obj_id: 0, classify_table_index: 0 },
  n_labels: 0,
  label_stack: [],
};

const routeTo = (text: string, src: number, isAdd = true): FieldsOf<'ip_route_add_del_v2'> => ({
  is_add: isAdd,
  is_multipath: false,
  route: {
    table_id: 0,
    stats_index: 0,
    prefix: prefix(text),
    src,
    paths: [
      text.includes(':')
        ? { ...fibPathDrop, proto: 1, nh: { ...fibPathDrop.nh, address: ip('::') } }
        : fibPathDrop,
    ],
  },
});

const endpoint = (address: string, port: number) => ({
  addr: ip(address),
  sw_if_index: noInterface,
  if_af: address.includes(':') ? 1 : 0,
  port,
});

describe('the VPP API contract', () => {
  const path = process.env.VPP_API_SOCKET;
  let vpp: VppConnection;

  before(function () {
    if (path !== undefined) return;
    console.log('      VPP_API_SOCKET names no socket: the contract is not checked');
    this.skip();
  });
  beforeEach(async () => {
    vpp = await connectVpp({ path: path ?? '', name: 'kvr-contract' });
  });
  afterEach(async () => {
    await vpp?.[Symbol.asyncDispose]();
  });

  it('says its version', async () => {
    const { version, program } = await vpp.request('show_version', {});
    assert.equal(program, 'vpe');
    assert.match(version, /\d/);
    assert.equal(vpp.version, version);
  });

  it('has the messages of the daemon, with our fields', () => {
    // A data plane may lack what is used for debugging only; the drivers' messages it may not.
    for (const name of [
      'ip_route_add_del_v2',
      'cnat_translation_update',
      'acl_add_replace',
    ] as const) {
      assert.ok(vpp.supports(name), name);
    }
    const missing = messageNames.filter((name) => !vpp.supports(name));
    if (missing.length > 0) console.log(`      not served: ${missing.join(', ')}`);
  });

  it('answers pipelined requests in order', async () => {
    const order: number[] = [];
    const pings = Array.from({ length: 5000 }, (_, i) =>
      vpp.request('control_ping', {}).then(() => order.push(i)),
    );
    await Promise.all(pings);
    assert.deepEqual(
      order,
      [...order].sort((a, b) => a - b),
    );
    assert.equal(order.length, 5000);
  });

  it('keeps routes by their source, IPv4 and IPv6', async () => {
    const added = await vpp.request('fib_source_add', {
      src: { priority: 0xa0, id: 0, name: 'contract' },
    });
    const texts = ['198.51.100.0/24', '203.0.113.7/32', '2001:db8:1::/48', '2001:db8:2::1/128'];
    await Promise.all(
      texts.map((text) => vpp.request('ip_route_add_del_v2', routeTo(text, added.id))),
    );
    const dumps = await Promise.all(
      [false, true].map((is_ip6) =>
        vpp.dump('ip_route_v2_dump', { src: added.id, table: { table_id: 0, is_ip6, name: '' } }),
      ),
    );
    const found = dumps.flat().map(({ route }) => route.prefix);
    assert.deepEqual([...found].sort(), texts.map(prefix).sort());
    await Promise.all(
      texts.map((text) => vpp.request('ip_route_add_del_v2', routeTo(text, added.id, false))),
    );
  });

  it('keeps translations, and tells them back', async () => {
    const { id } = await vpp.request('cnat_translation_update', {
      translation: {
        vip: endpoint('10.96.0.10', 53),
        id: noInterface,
        ip_proto: 17,
        is_real_ip: 0,
        flags: 9,
        lb_type: 1,
        flow_hash_config: 0,
        paths: [1, 2].map((n) => ({
          dst_ep: endpoint(`10.1.0.${n}`, 5353),
          src_ep: endpoint('0.0.0.0', 0),
          flags: 0,
        })),
      },
    });
    const all = await vpp.dump('cnat_translation_dump', {});
    const mine = all.map(({ translation }) => translation).filter((other) => other.id === id);
    assert.equal(mine.length, 1);
    assert.equal(mine[0]?.vip.addr, '10.96.0.10');
    assert.equal(mine[0]?.vip.port, 53);
    const backends = mine[0]?.paths.map(({ dst_ep }) => dst_ep.addr);
    assert.deepEqual(backends?.toSorted(), ['10.1.0.1', '10.1.0.2']);
    await vpp.request('cnat_translation_del', { id });
  });

  it('keeps access lists with their tag and rules', async () => {
    const rule = {
      is_permit: 2,
      src_prefix: prefix('10.1.0.0/16'),
      dst_prefix: prefix('0.0.0.0/0'),
      proto: 6,
      srcport_or_icmptype_first: 0,
      srcport_or_icmptype_last: 65535,
      dstport_or_icmpcode_first: 80,
      dstport_or_icmpcode_last: 80,
      tcp_flags_mask: 0,
      tcp_flags_value: 0,
    };
    const added = await vpp.request('acl_add_replace', {
      acl_index: noInterface,
      tag: 'contract',
      r: [rule],
    });
    const lists = await vpp.dump('acl_dump', { acl_index: added.acl_index });
    assert.deepEqual(
      lists.map(({ tag, r }) => ({ tag, r })),
      [{ tag: 'contract', r: [rule] }],
    );
    await vpp.request('acl_del', { acl_index: added.acl_index });
  });

  it('creates and tags an interface, and sends its events', async () => {
    const { sw_if_index } = await vpp.request('create_loopback', {
      mac_address: '02:00:00:00:aa:01',
    });
    const seen = new Promise<FieldsOf<'sw_interface_event'>>((resolve) => {
      vpp.events('sw_interface_event', (event) => {
        if (event.sw_if_index === sw_if_index) resolve(event);
      });
    });
    await vpp.request('want_interface_events', { enable_disable: 1, pid: process.pid });
    await vpp.request('sw_interface_tag_add_del', { is_add: true, sw_if_index, tag: 'kvr/lo' });
    await vpp.request('sw_interface_set_flags', { sw_if_index, flags: 1 });
    assert.equal((await seen).flags & 1, 1);
    const all = await vpp.dump('sw_interface_dump', {
      sw_if_index: noInterface,
      name_filter_valid: false,
      name_filter: '',
    });
    const mine = all.find((other) => other.sw_if_index === sw_if_index);
    assert.equal(mine?.tag, 'kvr/lo');
    assert.equal(mine?.l2_address, '02:00:00:00:aa:01');
    await vpp.request('delete_loopback', { sw_if_index });
  });

  it('refuses with a named retval', async () => {
    await assert.rejects(
      vpp.request('cnat_translation_del', { id: 123_456 }),
      (error) =>
        error instanceof VppError && error.retval === -6 && /NO_SUCH_ENTRY/.test(error.message),
    );
    const allowed = await vpp.request('cnat_translation_del', { id: 123_456 }, { allow: [-6] });
    assert.equal(allowed.retval, -6);
  });

  it('runs a command', async () => {
    const { reply } = await vpp.request('cli_inband', { cmd: 'show version' });
    assert.match(reply, /vpp/);
  });
});
