import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ip } from '../../src/core/ip.ts';
import { addrFromIp } from '../../src/emulator/address.ts';
import type { Flow, Tuple } from '../../src/emulator/cnat/flow.ts';
import { translatePacket } from '../../src/emulator/cnat/translate.ts';
import { buildIp, icmpMessage, tcpSegment, udpSegment } from '../../src/emulator/packet/build.ts';
import { checksumOf, sumWords, updateChecksum } from '../../src/emulator/packet/checksum.ts';
import { crc32c } from '../../src/emulator/packet/crc32c.ts';
import { Protocol, transportChecksumRight } from '../../src/emulator/packet/headers.ts';

/** RFC 1071 as it is written: add with end-around carry, one word at a time. */
function naiveChecksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) {
    sum += ((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0);
    if (sum > 0xffff) sum -= 0xffff;
  }
  return ~sum & 0xffff;
}

const addr4 = fc
  .uint8Array({ minLength: 4, maxLength: 4 })
  .map((b) => Buffer.from(b).toString('latin1'));
const addr6 = fc
  .uint8Array({ minLength: 16, maxLength: 16 })
  .map((b) => Buffer.from(b).toString('latin1'));
const port = fc.integer({ min: 1, max: 65535 });
const payload = fc.uint8Array({ maxLength: 64 });

const flow = { lifetime: 0 } as Flow;

describe('checksums', () => {
  it('equal the naive sum for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        assert.equal(checksumOf(sumWords(bytes, 0, bytes.length)), naiveChecksum(bytes));
      }),
    );
  });

  it('updated by increments equal those computed anew', () => {
    const words = fc.array(fc.integer({ min: 0, max: 0xffff }), { minLength: 2, maxLength: 8 });
    fc.assert(
      fc.property(words, fc.nat(), fc.integer({ min: 0, max: 0xffff }), (before, at, word) => {
        // All zero has two representations, 0 and 0xffff; a packet is never all zero.
        fc.pre(before.some((w, i) => w !== 0 && i !== at % before.length));
        const after = before.with(at % before.length, word);
        const bytes = (list: number[]) => Buffer.from(list.flatMap((w) => [w >> 8, w & 0xff]));
        const old = naiveChecksum(bytes(before));
        const updated = updateChecksum(old, before[at % before.length] ?? 0, word);
        assert.equal(updated, naiveChecksum(bytes(after)));
      }),
    );
  });

  for (const family of [4, 6] as const) {
    const addr = family === 4 ? addr4 : addr6;
    const icmp = family === 4 ? Protocol.icmp : Protocol.icmp6;
    const body = (kind: number, from: number, to: number, bytes: Uint8Array) => {
      if (kind === Protocol.tcp) return tcpSegment(from, to, 16, bytes);
      if (kind === Protocol.udp) return udpSegment(from, to, bytes);
      return icmpMessage(family === 4 ? 8 : 128, 0, from << 16, bytes);
    };
    const packet = fc
      .tuple(
        addr,
        addr,
        port,
        port,
        payload,
        fc.constantFrom<number>(Protocol.tcp, Protocol.udp, icmp),
      )
      .map(([source, target, from, to, bytes, protocol]) =>
        buildIp({
          source: source as never,
          target: target as never,
          protocol,
          payload: body(protocol, from, to, bytes),
        }),
      );
    const tuple = fc.tuple(addr, addr, port, port).map(
      ([source, target, sourcePort, targetPort]): Tuple => ({
        source: source as never,
        target: target as never,
        sourcePort,
        targetPort,
        protocol: 0,
      }),
    );

    it(`of any translated IPv${family} packet are right`, () => {
      fc.assert(
        fc.property(packet, tuple, (l3, to) => {
          translatePacket(l3, family, to, flow, 0);
          assert.ok(transportChecksumRight(l3, family));
          if (family === 4) assert.equal(naiveChecksum(l3.subarray(0, 20)), 0);
        }),
      );
    });

    it(`of any translated ICMP error about an IPv${family} packet are right, inside and outside`, () => {
      fc.assert(
        fc.property(packet, tuple, addr, (inner, to, reporter) => {
          const error = buildIp({
            source: reporter as never,
            target: inner.toString(
              'latin1',
              family === 4 ? 12 : 8,
              family === 4 ? 16 : 24,
            ) as never,
            protocol: icmp,
            payload: icmpMessage(family === 4 ? 3 : 1, 0, 0, inner),
          });
          translatePacket(error, family, to, flow, 0);
          assert.ok(transportChecksumRight(error, family));
          const quoted = error.subarray((family === 4 ? 20 : 40) + 8);
          assert.ok(transportChecksumRight(quoted, family));
          if (family === 4) assert.equal(naiveChecksum(quoted.subarray(0, 20)), 0);
        }),
      );
    });
  }

  it('of zero in UDP over IPv4 stays: it means none', () => {
    const a = addrFromIp(ip('10.0.0.1'));
    const l3 = buildIp({
      source: a,
      target: a,
      protocol: 17,
      payload: udpSegment(1, 2, Buffer.from('x')),
    });
    l3.writeUInt16BE(0, 26);
    const to = { source: a, target: a, sourcePort: 9, targetPort: 8, protocol: 17 };
    translatePacket(l3, 4, to, flow, 0);
    assert.equal(l3.readUInt16BE(26), 0);
  });

  it('CRC32c has the value of RFC 3720 appendix B.4', () => {
    assert.equal(crc32c(Buffer.alloc(32)), 0x8a9136aa);
    assert.equal(crc32c(Buffer.alloc(32, 0xff)), 0x62a8ab43);
  });
});
