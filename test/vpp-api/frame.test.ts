import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { encodeFrame } from '../../native/vpp-api/codec.ts';
import { createDeframer, frameHeaderBytes, writeFrameHeader } from '../../native/vpp-api/frame.ts';
import { WireError } from '../../native/vpp-api/wire-error.ts';

function frameOf(message: Uint8Array): Buffer {
  const frame = Buffer.alloc(frameHeaderBytes + message.length);
  writeFrameHeader(frame, 0, message.length);
  frame.set(message, frameHeaderBytes);
  return frame;
}

function deframe(chunks: readonly Buffer[]): string[] {
  const deframer = createDeframer();
  const messages: string[] = [];
  for (const chunk of chunks) deframer.push(chunk, (bytes) => messages.push(bytes.toString('hex')));
  assert.equal(deframer.held, 0);
  return messages;
}

describe('the deframer', () => {
  it('finds the messages at every position of two cuts', () => {
    const stream = Buffer.concat([
      frameOf(Buffer.from('0102', 'hex')),
      frameOf(Buffer.from('030405', 'hex')),
    ]);
    for (let a = 0; a <= stream.length; a++) {
      for (let b = a; b <= stream.length; b++) {
        const chunks = [stream.subarray(0, a), stream.subarray(a, b), stream.subarray(b)];
        assert.deepEqual(deframe(chunks), ['0102', '030405'], `cut at ${a} and ${b}`);
      }
    }
  });

  it('finds any messages in any chunks', () => {
    const messages = fc.array(fc.uint8Array({ minLength: 2, maxLength: 100 }), { maxLength: 20 });
    fc.assert(
      fc.property(messages, fc.infiniteStream(fc.integer({ min: 1, max: 90 })), (all, sizes) => {
        const stream = Buffer.concat(all.map(frameOf));
        const chunks: Buffer[] = [];
        for (let at = 0; at < stream.length; ) {
          const size = sizes.next().value ?? 1;
          chunks.push(stream.subarray(at, at + size));
          at += size;
        }
        assert.deepEqual(
          deframe(chunks),
          all.map((bytes) => Buffer.from(bytes).toString('hex')),
        );
      }),
    );
  });

  it('refuses a length above its limit before it holds the message', () => {
    const deframer = createDeframer(1000);
    const header = Buffer.alloc(frameHeaderBytes);
    writeFrameHeader(header, 0, 1001);
    assert.throws(() => deframer.push(header, () => undefined), WireError);
  });

  it('takes a message of exactly its limit', () => {
    let length = 0;
    createDeframer(1000).push(frameOf(new Uint8Array(1000)), (bytes) => {
      length = bytes.length;
    });
    assert.equal(length, 1000);
  });

  it('refuses a message too short for its id', () => {
    assert.throws(
      () => createDeframer().push(frameOf(new Uint8Array(1)), () => undefined),
      WireError,
    );
  });

  it('joins a long message of many chunks once', () => {
    const message = new Uint8Array(4_000_000).fill(7);
    const stream = frameOf(message);
    const chunks: Buffer[] = [];
    for (let at = 0; at < stream.length; at += 4096) chunks.push(stream.subarray(at, at + 4096));
    const before = performance.now();
    assert.equal(deframe(chunks)[0]?.length, 8_000_000);
    assert.ok(performance.now() - before < 2000, 'copying it for every chunk takes far longer');
  });

  it('reads the frame that a known request is', () => {
    const frame = encodeFrame('control_ping', { id: 0x0102, clientIndex: 3, context: 4 }, {});
    assert.equal(
      frame.toString('hex'),
      '0000000000000000' + '0000000a' + '00000000' + '0102' + '00000003' + '00000004',
    );
  });
});
