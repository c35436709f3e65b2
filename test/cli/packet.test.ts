import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parsePacket } from '../../src/cli/packet.ts';

describe('parsePacket', () => {
  const good = [
    { in: '10.0.0.2', out: { destination: '10.0.0.2', port: 0, protocol: 'icmp' } },
    { in: '10.0.0.2/icmp', out: { destination: '10.0.0.2', port: 0, protocol: 'icmp' } },
    { in: '10.0.0.2:80', out: { destination: '10.0.0.2', port: 80, protocol: 'tcp' } },
    { in: '10.0.0.2:53/UDP', out: { destination: '10.0.0.2', port: 53, protocol: 'udp' } },
    { in: 'FD00:0::2', out: { destination: 'fd00::2', port: 0, protocol: 'icmp' } },
    { in: '[fd00::2]:80', out: { destination: 'fd00::2', port: 80, protocol: 'tcp' } },
    { in: '[fd00::2]:80/sctp', out: { destination: 'fd00::2', port: 80, protocol: 'sctp' } },
  ];
  for (const c of good) {
    it(`reads ${c.in}`, () => {
      const result = parsePacket('10.0.0.1', c.in);
      assert.deepEqual(result, { ok: true, value: { source: '10.0.0.1', ...c.out } });
    });
  }

  const bad = [
    { source: 'web', destination: '10.0.0.2', problem: /SRC is not an IP address: web/ },
    { source: '10.0.0.1', destination: 'web:80', problem: /DST is not an address/ },
    { source: '10.0.0.1', destination: '10.0.0.2:65536', problem: /no port 65536/ },
    { source: '10.0.0.1', destination: '10.0.0.2:80/igmp', problem: /PROTO is one of/ },
    { source: '10.0.0.1', destination: '10.0.0.2/udp', problem: /needs a port/ },
    { source: '10.0.0.1', destination: '10.0.0.2:7/icmp', problem: /no ports/ },
    { source: '10.0.0.1', destination: '', problem: /DST is not/ },
  ];
  for (const c of bad) {
    it(`refuses ${c.source} ${c.destination}`, () => {
      const result = parsePacket(c.source, c.destination);
      assert.match(result.ok ? '' : result.problem, c.problem);
    });
  }

  it('never throws', () => {
    fc.assert(fc.property(fc.string(), fc.string(), (a, b) => void parsePacket(a, b)));
  });
});
