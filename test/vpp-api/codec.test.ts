import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { catalogue, type MessageName, messageNames } from '../../native/vpp-api/catalogue/index.ts';
import {
  codecOf,
  compileFields,
  decodeHeader,
  encodeFrame,
  type FieldsOf,
  nameCrcOf,
} from '../../native/vpp-api/codec.ts';
import { frameHeaderBytes } from '../../native/vpp-api/frame.ts';
import {
  blob,
  count,
  list,
  string,
  struct,
  text,
  u8,
  u16,
  u32,
} from '../../native/vpp-api/schema.ts';
import { WireError } from '../../native/vpp-api/wire-error.ts';
import { ip, prefix } from '../../src/core/ip.ts';
import { fieldsOf } from './arbitrary.ts';
import { interpret } from './interpreter.ts';

const header = { id: 700, clientIndex: 0x80000001, context: 77 };

/** The message alone, without its frame. */
function encode(name: MessageName, value: unknown): Buffer {
  return encodeFrame(name, header, value as FieldsOf<MessageName>).subarray(frameHeaderBytes);
}

function sampleOf(name: MessageName, runs: number): Record<string, unknown>[] {
  return fc.sample(fieldsOf(catalogue[name].fields), { numRuns: runs, seed: 26_06 });
}

describe('the codec', () => {
  it('gives every message back as it was', () => {
    for (const name of messageNames) {
      const codec = codecOf(name);
      fc.assert(
        fc.property(fieldsOf(catalogue[name].fields), (value) => {
          assert.deepEqual(codec.decode(encode(name, value)), value, name);
        }),
        { numRuns: 15 },
      );
    }
  });

  it('writes the bytes that the interpreter writes', () => {
    for (const name of messageNames) {
      const { fields } = catalogue[name];
      for (const value of sampleOf(name, 10)) {
        const body = encode(name, value).subarray(codecOf(name).headerBytes);
        assert.equal(body.toString('hex'), interpret(fields, value).toString('hex'), name);
      }
    }
  });

  it('knows the size of a message before it writes it', () => {
    for (const name of messageNames) {
      const [value] = sampleOf(name, 1);
      const size = codecOf(name).size(value as FieldsOf<MessageName>);
      assert.equal(encode(name, value).length, size, name);
    }
  });

  it('refuses every message cut at any byte', () => {
    for (const name of messageNames) {
      const [value] = sampleOf(name, 1);
      const bytes = encode(name, value);
      for (let length = 0; length < bytes.length; length++) {
        const cut = Buffer.from(bytes.subarray(0, length));
        assert.throws(
          () => {
            decodeHeader(name, cut);
            codecOf(name).decode(cut);
          },
          WireError,
          `${name} cut at ${length} of ${bytes.length}`,
        );
      }
    }
  });

  it('turns any bytes into a value or a WireError', () => {
    for (const name of messageNames) {
      const codec = codecOf(name);
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
          try {
            codec.decode(Buffer.from(bytes));
          } catch (error) {
            if (!(error instanceof WireError)) throw error;
          }
        }),
        { numRuns: 20 },
      );
    }
  });

  it('makes nothing for a count that the message cannot hold', () => {
    const { decode } = compileFields({ n: count('u32', 'items'), items: list(u32, 'n') });
    const bytes = Buffer.from([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1]);
    const before = process.memoryUsage().heapUsed;
    assert.throws(() => decode(bytes, 0, bytes.length), WireError);
    assert.ok(process.memoryUsage().heapUsed - before < 10_000_000);
  });

  it('reads what stands between variable parts', () => {
    const fields = {
      n: count('u8', 'rows'),
      first: u16,
      rows: list(struct('row', { m: count('u16', 'data'), data: blob('m'), name: text }), 'n'),
      last: string(5),
    };
    const value = {
      first: 513,
      rows: [
        { data: new Uint8Array([1, 2]), name: 'ä' },
        { data: new Uint8Array(0), name: '' },
      ],
      last: 'abcd',
    };
    const { encode: write, size, decode } = compileFields(fields);
    const out = Buffer.alloc(size(value));
    assert.equal(write(out, 0, value), out.length);
    assert.equal(out.toString('hex'), '0202010002010200000002c3a4000000000000' + '6162636400');
    assert.deepEqual(decode(out, 0, out.length), value);
  });

  const refusals: { name: string; message: MessageName; change: object; says: RegExp }[] = [
    {
      name: 'a number above its range',
      message: 'sw_interface_set_flags',
      change: { sw_if_index: 2 ** 32 },
      says: /sw_if_index: 4294967296/,
    },
    {
      name: 'a negative index',
      message: 'sw_interface_set_flags',
      change: { sw_if_index: -1 },
      says: /sw_if_index: -1/,
    },
    {
      name: 'a missing field',
      message: 'sw_interface_set_flags',
      change: { flags: undefined },
      says: /flags: undefined/,
    },
    {
      name: 'a number for a bool',
      message: 'sw_interface_tag_add_del',
      change: { is_add: 1 },
      says: /is_add: 1/,
    },
    {
      name: 'a tag without room for its NUL',
      message: 'sw_interface_tag_add_del',
      change: { tag: 'x'.repeat(64) },
      says: /tag: "x/,
    },
    {
      name: 'a NUL inside a tag',
      message: 'sw_interface_tag_add_del',
      change: { tag: 'a\0b' },
      says: /tag/,
    },
    {
      name: 'a tag too long in UTF-8',
      message: 'sw_interface_tag_add_del',
      change: { tag: 'ä'.repeat(32) },
      says: /tag/,
    },
    {
      name: 'an IPv6 address where IPv4 stands',
      message: 'cnat_set_snat_addresses_v2',
      change: { snat_ip4: '::1' },
      says: /not an address/,
    },
    {
      name: 'a prefix that is none',
      message: 'cnat_snat_policy_add_del_exclude_pfx',
      change: { prefix: '10.0.0.0' },
      says: /not an address/,
    },
    {
      name: 'a prefix too long for its family',
      message: 'cnat_snat_policy_add_del_exclude_pfx',
      change: { prefix: '10.0.0.0/33' },
      says: /not an address/,
    },
    {
      name: 'more list entries than the count can say',
      message: 'acl_interface_set_acl_list',
      change: { acls: new Array(256).fill(1) },
      says: /count: 256/,
    },
  ];
  for (const c of refusals) {
    it(`refuses ${c.name}`, () => {
      const value = { ...sampleOf(c.message, 1)[0], ...c.change };
      assert.throws(
        () => encode(c.message, value),
        (error) => error instanceof WireError && c.says.test(error.message),
      );
    });
  }

  it('refuses a next hop of another family than its path', () => {
    const path = {
      sw_if_index: 1,
      table_id: 0,
      rpf_id: 0,
      weight: 1,
      preference: 0,
      type: 0,
      flags: 0,
      proto: 0,
      nh: { address: ip('fd00::1'), via_label: 0, obj_id: 0, classify_table_index: 0 },
      n_labels: 0,
      label_stack: [],
    };
    const route = {
      table_id: 0,
      stats_index: 0,
      prefix: prefix('10.0.0.0/8'),
      src: 0,
      paths: [path],
    };
    assert.throws(
      () => encode('ip_route_add_del_v2', { is_add: true, is_multipath: false, route }),
      /nh.address/,
    );
  });

  it('fills a short array with zeros', () => {
    const { encode: write, size } = compileFields(catalogue.sw_interface_set_mtu.fields);
    const value = { sw_if_index: 1, mtu: [1500] };
    const out = Buffer.alloc(size(value), 0xff);
    write(out, 0, value);
    assert.equal(out.toString('hex'), `00000001000005dc${'00000000'.repeat(3)}`);
  });

  it('sends an lb VIP as VPP wants it: IPv4 lengths plus 96, encap unswapped', () => {
    const bytes = encode('lb_add_del_vip_v2', {
      pfx: '192.0.2.1/32',
      protocol: 6,
      port: 80,
      encap: 1,
      dscp: 0,
      type: 0,
      target_port: 0,
      node_port: 0,
      new_flows_table_length: 1024,
      src_ip_sticky: false,
      is_del: false,
    });
    assert.equal(bytes[10 + 17], 128);
    assert.equal(bytes.subarray(10 + 21, 10 + 25).toString('hex'), '01000000');
  });

  it('writes names with the CRC of eight digits', () => {
    assert.equal(nameCrcOf('control_ping'), 'control_ping_51077d14');
    assert.equal(nameCrcOf('cnat_snat_addresses_details'), 'cnat_snat_addresses_details_09ae6b38');
  });

  it('ignores bytes after the last field, as VPP does', () => {
    const { decode } = compileFields({ a: u8 });
    assert.deepEqual(decode(Buffer.from([7, 8, 9]), 0, 3), { a: 7 });
  });
});
