import assert from 'node:assert/strict';
import { ip } from '../../src/core/ip.ts';
import { addrFromIp } from '../../src/emulator/address.ts';
import { chooseBackend, createTranslations } from '../../src/emulator/cnat/translations.ts';
import { buildIp, TcpFlag, tcpSegment } from '../../src/emulator/packet/build.ts';

describe('the choice of a backend', () => {
  it('KP-24 2,000 connections of a client are spread over ten endpoints', () => {
    const translations = createTranslations(1009);
    const none = addrFromIp(ip('0.0.0.0'));
    const paths = Array.from({ length: 10 }, (_, i) => ({
      addr: addrFromIp(ip(`10.244.2.${i + 1}`)),
      port: 8080,
      sourceAddr: none,
      sourcePort: 0,
      flags: 0,
    }));
    const vip = addrFromIp(ip('10.96.0.10'));
    const one = translations.put({
      vip,
      port: 80,
      protocol: 6,
      flags: 9,
      lbType: 0,
      flowHash: 0,
      paths,
    });
    const counts = new Map<string, number>();
    for (let port = 40_000; port < 42_000; port++) {
      const payload = tcpSegment(port, 80, TcpFlag.syn, new Uint8Array(0));
      const packet = buildIp({
        source: addrFromIp(ip('10.244.1.11')),
        target: vip,
        protocol: 6,
        payload,
      });
      const { addr = '' } = chooseBackend(one, packet, 4) ?? {};
      counts.set(addr, (counts.get(addr) ?? 0) + 1);
    }
    assert.equal(counts.size, 10);
    for (const count of counts.values()) assert.ok(count > 120 && count < 280, `${count}`);
  });
});
