import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import type { RequestName } from '../../native/vpp-api/catalogue/index.ts';
import { connectVpp } from '../../native/vpp-api/client.ts';
import type { FieldsOf } from '../../native/vpp-api/codec.ts';
import { HazardError } from '../../native/vpp-api/errors.ts';
import { maxTranslationPaths } from '../../native/vpp-api/hazards.ts';
import { ip, prefix } from '../../src/core/ip.ts';
import { createServer, ponging } from './server.ts';

type Translation = FieldsOf<'cnat_translation_update'>['translation'];
type TranslationPath = Translation['paths'][number];

const endpoint = (address: string, port = 80) => ({
  addr: ip(address),
  sw_if_index: 0xffffffff,
  if_af: address.includes(':') ? 1 : 0,
  port,
});
const path = (address: string): TranslationPath => ({
  dst_ep: endpoint(address),
  src_ep: endpoint(address.includes(':') ? '::' : '0.0.0.0', 0),
  flags: 0,
});
const translation = (change: Partial<Translation>) => ({
  translation: {
    vip: endpoint('10.96.0.1'),
    id: 0xffffffff,
    ip_proto: 6,
    is_real_ip: 0,
    flags: 9,
    lb_type: 0,
    flow_hash_config: 0,
    paths: [path('10.1.0.1')],
    ...change,
  },
});
const lb = { pfx: prefix('192.0.2.1/32'), protocol: 6, port: 80 };
const lbConf = (buckets: number) => ({
  ip4_src_address: ip('10.0.0.1'),
  ip6_src_address: ip('fd00::1'),
  sticky_buckets_per_core: buckets,
  flow_timeout: 40,
});
const exclude = { is_add: 1, prefix: prefix('10.1.0.0/16') };
const lists = (n_input: number, acls: number[]) => ({ sw_if_index: 1, n_input, acls });

interface Case {
  readonly name: string;
  readonly request: RequestName;
  readonly fields: unknown;
  /** The field that the error names; undefined when the request is fine. */
  readonly field?: string;
}

const paths = (n: number) => new Array<TranslationPath>(n).fill(path('10.1.0.1'));

const cases: Case[] = [
  { name: 'a translation', request: 'cnat_translation_update', fields: translation({}) },
  {
    name: 'a translation without paths',
    request: 'cnat_translation_update',
    fields: translation({ paths: [] }),
    field: 'translation.paths',
  },
  {
    name: 'a translation with as many paths as VPP can count',
    request: 'cnat_translation_update',
    fields: translation({ paths: paths(maxTranslationPaths) }),
  },
  {
    name: 'a translation with one more',
    request: 'cnat_translation_update',
    fields: translation({ paths: paths(maxTranslationPaths + 1) }),
    field: 'translation.paths',
  },
  {
    name: 'an IPv6 backend of an IPv4 VIP',
    request: 'cnat_translation_update',
    fields: translation({ paths: [path('10.1.0.1'), path('fd00::1')] }),
    field: 'translation.paths[1].dst_ep.addr',
  },
  {
    name: 'an IPv4 backend of an IPv6 VIP',
    request: 'cnat_translation_update',
    fields: translation({ vip: endpoint('fd00::1') }),
    field: 'translation.paths[0].dst_ep.addr',
  },
  {
    name: 'a kind of balancing that does not exist',
    request: 'cnat_translation_update',
    fields: translation({ lb_type: 2 }),
    field: 'translation.lb_type',
  },
  {
    name: 'a SNAT policy before SNAT addresses',
    request: 'cnat_set_snat_policy',
    fields: { policy: 2 },
    field: '(order)',
  },
  {
    name: 'an excluded prefix before SNAT addresses',
    request: 'cnat_snat_policy_add_del_exclude_pfx',
    fields: exclude,
    field: '(order)',
  },
  {
    name: 'a SNAT interface before SNAT addresses',
    request: 'cnat_snat_policy_add_del_if',
    fields: { sw_if_index: 1, is_add: 1, table: 0 },
    field: '(order)',
  },
  { name: 'a flush of an IPv4 VIP', request: 'lb_flush_vip', fields: lb, field: 'pfx' },
  {
    name: 'a flush of an IPv6 VIP',
    request: 'lb_flush_vip',
    fields: { ...lb, pfx: prefix('2001:db8::1/128') },
  },
  {
    name: 'no buckets',
    request: 'lb_conf',
    fields: lbConf(0),
    field: 'sticky_buckets_per_core',
  },
  {
    name: 'buckets that are no power of two',
    request: 'lb_conf',
    fields: lbConf(1000),
    field: 'sticky_buckets_per_core',
  },
  { name: 'a power of two of buckets', request: 'lb_conf', fields: lbConf(1024) },
  {
    name: 'more input lists than lists',
    request: 'acl_interface_set_acl_list',
    fields: lists(3, [1, 2]),
    field: 'n_input',
  },
  {
    name: 'as many input lists as lists',
    request: 'acl_interface_set_acl_list',
    fields: lists(2, [1, 2]),
  },
  {
    name: 'a list in both directions',
    request: 'acl_interface_set_acl_list',
    fields: lists(1, [1, 1]),
  },
  {
    name: 'a list twice in the input',
    request: 'acl_interface_set_acl_list',
    fields: lists(2, [1, 1, 2]),
    field: 'acls',
  },
  {
    name: 'a list twice in the output',
    request: 'acl_interface_set_acl_list',
    fields: lists(1, [2, 1, 1]),
    field: 'acls',
  },
];

/** A client whose requests are all answered with `retval`. */
async function connectTo(retval = 0) {
  const server = createServer(
    ponging(({ name, context }, { reply }) => {
      if (name === 'control_ping') return false;
      if (name === 'cnat_translation_update') {
        reply('cnat_translation_update_reply', context, { retval, id: 0 });
      } else reply(`${name}_reply` as 'cnat_set_snat_policy_reply', context, { retval });
      return true;
    }),
  );
  const vpp = await connectVpp({ stream: server.stream, name: 'test' });
  return { server, vpp };
}

const addresses = {
  fwd_fib_index: 0,
  ret_fib_index: 0,
  snat_ip4: ip('192.0.2.1'),
  snat_ip6: ip('2001:db8::1'),
  sw_if_index: 0xffffffff,
  flags: 6,
};

describe('the guards in front of VPP', () => {
  for (const { name, request, fields, field } of cases) {
    it(`${field === undefined ? 'let' : 'hold back'} ${name}`, async () => {
      const { server, vpp } = await connectTo();
      const asked = vpp.request(request, fields as FieldsOf<RequestName>);
      if (field === undefined) await asked;
      else {
        await assert.rejects(
          asked,
          (error) =>
            error instanceof HazardError && error.field === field && error.request === request,
        );
      }
      await vpp.request('control_ping', {});
      const sent = server.received.map((received) => received.name);
      assert.deepEqual(sent, field === undefined ? [request, 'control_ping'] : ['control_ping']);
      await vpp[Symbol.asyncDispose]();
    });
  }

  it('let the SNAT policy pass once addresses are acknowledged', async () => {
    const { vpp } = await connectTo();
    await vpp.request('cnat_set_snat_addresses_v2', addresses);
    assert.equal((await vpp.request('cnat_set_snat_policy', { policy: 2 })).retval, 0);
    assert.equal((await vpp.request('cnat_snat_policy_add_del_exclude_pfx', exclude)).retval, 0);
    await vpp[Symbol.asyncDispose]();
  });

  it('hold the SNAT policy back while the addresses are only on their way', async () => {
    const { vpp } = await connectTo();
    const set = vpp.request('cnat_set_snat_addresses_v2', addresses);
    await assert.rejects(vpp.request('cnat_set_snat_policy', { policy: 2 }), HazardError);
    await set;
    await vpp[Symbol.asyncDispose]();
  });

  it('hold the SNAT policy back when the addresses were refused', async () => {
    const { vpp } = await connectTo(-1);
    await assert.rejects(vpp.request('cnat_set_snat_addresses_v2', addresses), /UNSPECIFIED/);
    await assert.rejects(vpp.request('cnat_set_snat_policy', { policy: 2 }), HazardError);
    await vpp[Symbol.asyncDispose]();
  });

  it('believe a caller who knows that VPP has addresses', async () => {
    const { vpp } = await connectTo();
    vpp.assumeSnatAddresses();
    assert.equal((await vpp.request('cnat_set_snat_policy', { policy: 2 })).retval, 0);
    await vpp[Symbol.asyncDispose]();
  });
});
