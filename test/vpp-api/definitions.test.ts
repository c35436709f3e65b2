/** The catalogue against VPP's own definitions, where they are at hand. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, it } from 'mocha';
import { catalogue, messageNames } from '../../native/vpp-api/catalogue/index.ts';
import type { Fields, Header, Node } from '../../native/vpp-api/schema.ts';

type JsonField = [type: string, name: string, length?: number | object, count?: string];
type Definition = [name: string, ...fields: (JsonField | object)[]];

interface ApiJson {
  readonly messages: Definition[];
  readonly types: Definition[];
  readonly unions: Definition[];
  readonly enums: Definition[];
  readonly enumflags?: Definition[];
  readonly aliases: Record<string, { type: string; length?: number }>;
  readonly services: Record<string, { reply: string; stream?: boolean; stream_msg?: string }>;
}

interface Definitions {
  readonly messages: Map<string, { fields: JsonField[]; crc: string }>;
  readonly types: Map<string, JsonField[]>;
  readonly unions: Map<string, JsonField[]>;
  readonly enums: Map<string, string>;
  readonly enumValues: Map<string, number>;
  readonly aliases: Map<string, { type: string; length?: number }>;
  readonly services: Map<string, { reply: string; stream?: boolean; stream_msg?: string }>;
}

const folder =
  process.env.KVR_VPP_API_JSON ?? join(import.meta.dirname, '../../../shared/vpp-api/26.06');

describe("the catalogue against VPP's definitions", () => {
  let vpp: Definitions;

  before(function () {
    if (existsSync(folder)) {
      vpp = readDefinitions(folder);
      return;
    }
    console.log(`      no definitions in ${folder}: set KVR_VPP_API_JSON to check the catalogue`);
    this.skip();
  });

  it('has the CRC of every message', () => {
    const ours = messageNames.map((name) => [name, catalogue[name].crc]);
    const theirs = messageNames.map((name) => [name, Number(vpp.messages.get(name)?.crc)]);
    assert.deepEqual(ours, theirs);
  });

  it('has the fields of every message, by name, type and order', () => {
    for (const name of messageNames) {
      const { header, fields } = catalogue[name];
      const theirs = vpp.messages.get(name)?.fields ?? [];
      const expected = theirs.slice(1).map((field) => describeJson(vpp, field));
      assert.deepEqual([...headerFields(header), ...describeFields(fields)], expected, name);
    }
  });

  it('ends every exchange with the message that VPP sends', () => {
    for (const name of messageNames) {
      const service = vpp.services.get(name);
      const { reply, details } = catalogue[name];
      if (service === undefined) {
        assert.deepEqual([reply, details], [undefined, undefined], name);
        continue;
      }
      const isDump = service.stream === true && service.stream_msg === undefined;
      const expected = isDump ? [undefined, service.reply] : [service.reply, service.stream_msg];
      assert.deepEqual([reply, details], expected, name);
    }
  });
});

function readDefinitions(path: string): Definitions {
  const all: Definitions = {
    messages: new Map(),
    types: new Map(),
    unions: new Map(),
    enums: new Map(),
    enumValues: new Map(),
    aliases: new Map(),
    services: new Map(),
  };
  const isField = (part: unknown): part is JsonField => Array.isArray(part);
  for (const file of readdirSync(path)) {
    const api = JSON.parse(readFileSync(join(path, file), 'utf8')) as ApiJson;
    for (const [name, ...parts] of api.messages) {
      const { crc } = parts.at(-1) as { crc: string };
      all.messages.set(name, { fields: parts.filter(isField), crc });
    }
    for (const [name, ...parts] of api.types) {
      all.types.set(name, parts.filter(isField));
    }
    for (const [name, ...parts] of api.unions) {
      all.unions.set(name, parts.filter(isField));
    }
    for (const [name, ...parts] of [...(api.enums ?? []), ...(api.enumflags ?? [])]) {
      const { enumtype } = parts.at(-1) as { enumtype?: string };
      all.enums.set(name, enumtype ?? 'u32');
      for (const [label, value] of parts.filter(isField) as unknown as [string, number][]) {
        all.enumValues.set(label, value);
      }
    }
    for (const [name, alias] of Object.entries(api.aliases)) all.aliases.set(name, alias);
    for (const [name, service] of Object.entries(api.services)) all.services.set(name, service);
  }
  return all;
}

/** Every field as one line: `name: type`, nested types spelled out. */
function describeFields(fields: Fields): string[] {
  return Object.entries(fields).map(([name, node]) => `${name}: ${describeNode(node)}`);
}

function headerFields(header: Header): string[] {
  const all = { client: ['client_index: u32'], context: ['context: u32'], none: [] };
  return header === 'client+context' ? [...all.client, ...all.context] : all[header];
}

const wordsOfNodes: Readonly<Record<string, string>> = {
  prefix: 'prefix',
  ip4Prefix: 'ip4_prefix',
  ip6Prefix: 'ip6_prefix',
  addressWithPrefix: 'prefix',
  ip4WithPrefix: 'ip4_prefix',
  ip6WithPrefix: 'ip6_prefix',
  lbPrefix: 'prefix',
  ip4: 'u8[4]',
  ip6: 'u8[16]',
  mac: 'u8[6]',
  addressUnion: 'address_union',
  u32le: 'u32',
};

function describeNode(node: Node): string {
  switch (node.kind) {
    case 'count':
      return node.base;
    case 'enum':
      return `enum ${node.name} ${node.base.replace('le', '')}`;
    case 'string':
      return `string[${node.bytes}]`;
    case 'text':
      return 'string[]';
    case 'bytes':
      return `u8[${node.length}]`;
    case 'blob':
      return `u8[${node.count}]`;
    case 'array':
      return `${describeNode(node.element)}[${node.length}]`;
    case 'list':
      return `${describeNode(node.element)}[${node.count}]`;
    case 'struct':
      return `${node.name} {${describeFields(node.fields).join(', ')}}`;
    case 'union': {
      const members = Object.entries(node.cases).map(
        ([name, { when, node: inner }]) => `${when} ${name}: ${describeNode(inner)}`,
      );
      return `union ${node.name} {${members.join(', ')}}`;
    }
    default:
      return wordsOfNodes[node.kind] ?? node.kind;
  }
}

/** The same line from VPP's definition. */
function describeJson(vpp: Definitions, [type, name, length, counter]: JsonField): string {
  const base = describeType(vpp, type);
  if (typeof length !== 'number') return `${name}: ${base}`;
  if (type === 'string') return `${name}: string[${length === 0 ? '' : length}]`;
  return `${name}: ${base}[${length === 0 ? counter : length}]`;
}

function describeType(vpp: Definitions, type: string): string {
  const name = type.replace(/^vl_api_(.*)_t$/, '$1');
  if (['address', 'prefix', 'ip4_prefix', 'ip6_prefix', 'address_union'].includes(name))
    return name;
  const alias = vpp.aliases.get(name);
  if (alias !== undefined) {
    const target = describeType(vpp, alias.type);
    return alias.length === undefined ? target : `${target}[${alias.length}]`;
  }
  const base = vpp.enums.get(name);
  if (base !== undefined) return `enum ${name} ${base}`;
  const fields = vpp.types.get(name);
  if (fields !== undefined) {
    return `${name} {${fields.map((field) => describeJson(vpp, field)).join(', ')}}`;
  }
  const members = vpp.unions.get(name);
  if (members === undefined) return name;
  const described = members.map((field) => {
    const { case: label } = field[2] as unknown as { case: string };
    return `${vpp.enumValues.get(label)} ${describeJson(vpp, field)}`;
  });
  return `union ${name} {${described.join(', ')}}`;
}
