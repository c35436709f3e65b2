import assert from 'node:assert/strict';
import { type Encapsulation, overheadOf, podMtuOf } from '../../src/model/encapsulation.ts';
import { config, uplink } from '../facts.ts';

describe('encapsulation', () => {
  it('adds what RFC 2003, RFC 2784 and RFC 7348 say', () => {
    const both = (kind: Encapsulation) => [overheadOf(kind, 4), overheadOf(kind, 6)];
    assert.deepEqual(both('ipip'), [20, 40]);
    assert.deepEqual(both('gre'), [24, 44]);
    assert.deepEqual(both('vxlan'), [50, 70]);
  });

  it('leaves a pod what passes in one piece, by the families of the uplink', () => {
    const four = { ...uplink, addresses: uplink.addresses.filter((a) => a.length === 24) };
    const mtu = (encapsulation: Encapsulation, on = uplink, mode: 'subnet' | 'none' = 'subnet') =>
      podMtuOf({ ...config, overlay: { ...config.overlay, encapsulation, mode } }, on);
    assert.equal(mtu('ipip'), 1460);
    assert.equal(mtu('vxlan'), 1430);
    assert.equal(mtu('ipip', four), 1480);
    assert.equal(mtu('vxlan', four), 1450);
    assert.equal(mtu('vxlan', four, 'none'), 1500);
    assert.equal(mtu('vxlan', { ...four, mtu: 1300 }), 1280);
    const pods = { ...config.pods, mtu: 1400 };
    assert.equal(podMtuOf({ ...config, pods }, uplink), 1400);
  });
});
