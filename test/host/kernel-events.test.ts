import assert from 'node:assert/strict';
import fc from 'fast-check';
import { prefix } from '../../src/core/ip.ts';
import { concerns, type Watched } from '../../src/host/kernel-events.ts';
import { encodeAttributes, text, u32 } from '../../src/host/netlink-wire.ts';

const watched: Watched = {
  links: new Set([7, 8]),
  names: new Set(['eth0', 'kvr0']),
  prefixes: new Set([prefix('0.0.0.0/0'), prefix('10.1.0.0/16'), prefix('::/0')]),
  tables: new Set([10_256, 255]),
};

const event = (type: number, payload: Buffer) => ({ type, flags: 0, sequence: 0, payload });

/** RTM_NEWROUTE or RTM_DELROUTE. */
function route(options: {
  type?: number;
  family?: number;
  to?: [number[], number];
  link?: number;
  table?: number;
}) {
  const { type = 25, family = 2, to, link = 3, table = 254 } = options;
  const header = Buffer.alloc(12);
  header.writeUInt8(family, 0);
  header.writeUInt8(to?.[1] ?? 0, 1);
  header.writeUInt8(table < 256 ? table : 0, 4);
  const destination = to === undefined ? [] : [[1, Buffer.from(to[0])] as const];
  const attributes = encodeAttributes([...destination, [4, u32(link)], [15, u32(table)]]);
  return event(type, Buffer.concat([header, attributes]));
}

function link(index: number, name: string) {
  const header = Buffer.alloc(16);
  header.writeInt32LE(index, 4);
  return event(16, Buffer.concat([header, encodeAttributes([[3, text(name)]])]));
}

describe("the kernel's events that concern a claim", () => {
  const cases: readonly (readonly [string, boolean, ReturnType<typeof event>])[] = [
    ['a route of another interface', false, route({ to: [[10, 2, 0, 0], 16] })],
    ['a route of ours', true, route({ to: [[10, 2, 0, 0], 16], link: 7 })],
    ["another interface's route in the place of ours", true, route({ to: [[10, 1, 0, 0], 16] })],
    ["another interface's default route", true, route({ type: 24 })],
    ['the same of IPv6', true, route({ type: 24, family: 10 })],
    ['a route of our table', true, route({ to: [[10, 2, 0, 0], 16], table: 10_256 })],
    ['a local address of another interface', false, route({ to: [[10, 2, 0, 1], 32], table: 255 })],
    ['our link', true, link(7, 'other')],
    ['a new link of our name', true, link(99, 'eth0')],
    ['another link', false, link(99, 'veth1')],
    ['something unknown', false, event(1000, Buffer.alloc(32))],
  ];
  for (const [name, expected, message] of cases)
    it(`${name}: ${expected ? 'a look' : 'nothing'}`, () =>
      assert.equal(concerns(watched, message), expected));

  it('law: whatever the bytes are, the answer is yes or no', () => {
    const type = fc.constantFrom(16, 17, 20, 21, 24, 25, 28, 29, 32, 33, 99);
    fc.assert(
      fc.property(type, fc.uint8Array({ maxLength: 80 }), (kind, bytes) => {
        assert.equal(typeof concerns(watched, event(kind, Buffer.from(bytes))), 'boolean');
      }),
      { numRuns: 2_000 },
    );
  });
});
