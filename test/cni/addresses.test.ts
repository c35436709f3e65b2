import assert from 'node:assert/strict';
import fc from 'fast-check';
import { planAddresses } from '../../src/cni/addresses.ts';
import { type Ip, ip, ipToBigInt, type Prefix, prefix, prefixContains } from '../../src/core/ip.ts';

const none = { used: new Set<Ip>(), freed: [] };

/** The addresses of `count` pods on a node, none given back. */
function fill(cidrs: readonly Prefix[], count: number): Ip[][] {
  const used = new Set<Ip>();
  const pods: Ip[][] = [];
  for (let i = 0; i < count; i++) {
    const plan = planAddresses(cidrs, { used, freed: [] });
    if (!plan.ok) break;
    for (const address of plan.value) used.add(address);
    pods.push([...plan.value]);
  }
  return pods;
}

const low32 = (address: Ip | undefined) => ipToBigInt(address ?? ip('::')) & 0xffff_ffffn;

describe('planAddresses', () => {
  const first = [
    { cidrs: ['10.1.0.0/24'], out: ['10.1.0.2'] },
    { cidrs: ['10.1.0.0/30'], out: ['10.1.0.2'] },
    { cidrs: ['10.1.2.0/24', 'fd10:1::/64'], out: ['10.1.2.2', 'fd10:1::a01:202'] },
    { cidrs: ['fd10:1::/64', '10.1.2.0/24'], out: ['fd10:1::a01:202', '10.1.2.2'] },
    { cidrs: ['10.1.2.0/24', 'fd10::3:0/112'], out: ['10.1.2.2', 'fd10::3:2'] },
    { cidrs: ['fd10:0:0:7::/64'], out: ['fd10::7:0:0:7:2'] },
    { cidrs: ['fd10::7:0/112'], out: ['fd10::7:2'] },
    { cidrs: ['fd10::1234:5600:0/104'], out: ['fd10::1234:5634:2'] },
  ];
  for (const { cidrs, out } of first) {
    it(`the first pod in ${cidrs.join(' and ')} gets ${out.join(' and ')}`, () => {
      assert.deepEqual(planAddresses(cidrs.map(prefix), none), { ok: true, value: out });
    });
  }

  it('a full podCIDR is a problem that names it, and its edges are never given', () => {
    assert.deepEqual(fill([prefix('10.1.0.0/29')], 9).flat(), [
      '10.1.0.2',
      '10.1.0.3',
      '10.1.0.4',
      '10.1.0.5',
      '10.1.0.6',
    ]);
    for (const tiny of ['10.1.0.0/31', '10.1.0.0/32', 'fd10::/127', 'fd10::/128']) {
      const problem = `no free address in podCIDR ${tiny}`;
      assert.deepEqual(planAddresses([prefix(tiny)], none), { ok: false, problem });
    }
  });

  it('freed addresses are used last, the one freed longest ago first', () => {
    const cidr = prefix('10.1.0.0/29');
    const freed = [ip('10.1.0.4'), ip('10.1.0.2')];
    const used = new Set<Ip>();
    const order: Ip[] = [];
    for (let i = 0; i < 5; i++) {
      const plan = planAddresses([cidr], { used, freed });
      assert.ok(plan.ok);
      for (const address of plan.value) used.add(address);
      order.push(...plan.value);
    }
    assert.deepEqual(order, ['10.1.0.3', '10.1.0.5', '10.1.0.6', '10.1.0.4', '10.1.0.2']);
  });

  it('law: all addresses of a cluster differ, and so do the low 32 bits of the IPv6 ones', () => {
    const lengths = fc.constantFrom(48, 56, 64, 80, 96, 97, 104, 111, 112, 120);
    fc.assert(
      fc.property(
        lengths,
        fc.boolean(),
        fc.uniqueArray(fc.nat(255), { maxLength: 6 }),
        (length, dual, nodes) => {
          const seen = new Set<string>();
          for (const node of nodes) {
            // Nodes differ in the 8 lowest bits of their podCIDR, as Kubernetes carves them.
            const place = (BigInt(node) << BigInt(128 - length)) | (0xfd10n << 112n);
            const text = place
              .toString(16)
              .padStart(32, '0')
              .replace(/(.{4})(?=.)/g, '$1:');
            const cidr6 = prefix(`${text}/${length}`);
            const cidrs = dual ? [prefix(`10.1.${node}.0/24`), cidr6] : [cidr6];
            for (const pod of fill(cidrs, 20)) {
              for (const [i, address] of pod.entries()) {
                assert.ok(prefixContains(cidrs[i] ?? cidr6, address), address);
                const mark = address.includes(':') ? `6 ${low32(address)}` : address;
                assert.ok(!seen.has(mark), `${address} again`);
                seen.add(mark);
              }
            }
          }
        },
      ),
      { numRuns: 40 },
    );
  });
});
