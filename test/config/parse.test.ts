import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import fc from 'fast-check';
import { parseConfig } from '../../src/config/parse.ts';
import { formatReference } from '../../src/config/reference.ts';

const env = { NODE_NAME: 'worker-1' };
const minimal = 'uplink: { interface: eth0 }\n';

describe('parseConfig', () => {
  it('needs the uplink only and fills in the rest', () => {
    const result = parseConfig(minimal, env);
    assert.ok(result.ok);
    assert.equal(result.value.nodeName, 'worker-1');
    assert.equal(result.value.bgp.asn, 64512);
    assert.equal(result.value.bgp.holdTimeSeconds, 90);
    assert.equal(result.value.pods.interfaceKind, 'auto');
    assert.equal(result.value.health.port, 10256);
    assert.equal(result.value.metrics.port, 10249);
    assert.equal(result.value.stateDir, '/var/lib/kube-vpp-router');
  });

  it('takes the name of the file before that of the environment', () => {
    const result = parseConfig(`${minimal}nodeName: other\n`, env);
    assert.equal(result.ok && result.value.nodeName, 'other');
  });

  it('makes addresses and prefixes canonical', () => {
    const text = `${minimal}pods: { clusterCidrs: [10.244.1.1/16, "FD00:0:0::1/64"] }\n`;
    const result = parseConfig(text, env);
    assert.deepEqual(result.ok && result.value.pods.clusterCidrs, ['10.244.0.0/16', 'fd00::/64']);
  });

  const cases: readonly { name: string; text: string; field: string; reason: RegExp }[] = [
    { name: 'nothing at all', text: '', field: 'uplink.interface', reason: /required/ },
    { name: 'no mapping', text: '- 1', field: 'file', reason: /mapping/ },
    { name: 'no YAML', text: 'a: [', field: 'file', reason: /line 1/ },
    { name: 'a key twice', text: 'a: 1\na: 2', field: 'file', reason: /unique.*line 2/ },
    { name: 'unknown key', text: `${minimal}zap: 1`, field: 'zap', reason: /unknown key/ },
    {
      name: 'unknown inner key',
      text: `${minimal}bgp: { holdTime: 9 }`,
      field: 'bgp.holdTime',
      reason: /unknown key/,
    },
    {
      name: 'interface name too long',
      text: 'uplink: { interface: abcdefghijklmnop }',
      field: 'uplink.interface',
      reason: /1 to 15 bytes/,
    },
    {
      name: 'wrong type',
      text: `${minimal}bgp: { asn: x }`,
      field: 'bgp.asn',
      reason: /must be a number, received string/,
    },
    {
      name: 'not whole',
      text: `${minimal}pods: { mtu: 1500.5 }`,
      field: 'pods.mtu',
      reason: /whole number/,
    },
    {
      name: 'too small',
      text: `${minimal}pods: { mtu: 1279 }`,
      field: 'pods.mtu',
      reason: /at least 1280/,
    },
    {
      name: 'too big',
      text: `${minimal}bgp: { port: 65536 }`,
      field: 'bgp.port',
      reason: /at most 65535/,
    },
    {
      name: 'reserved AS',
      text: `${minimal}bgp: { asn: 4294967295 }`,
      field: 'bgp.asn',
      reason: /at most 4294967294/,
    },
    {
      name: 'not one of the choices',
      text: `${minimal}overlay: { mode: some }`,
      field: 'overlay.mode',
      reason: /one of "subnet", "full", "none"/,
    },
    {
      name: 'not a prefix',
      text: `${minimal}services: { cidrs: [10.0.0.0/8, 10.1.1.1] }`,
      field: 'services.cidrs[1]',
      reason: /not a prefix.*10\.1\.1\.1/,
    },
    {
      name: 'not an address',
      text: `${minimal}bgp: { listenAddresses: [fe80::1%eth0] }`,
      field: 'bgp.listenAddresses[0]',
      reason: /not an IP address/,
    },
    {
      name: 'relative socket path',
      text: `${minimal}vpp: { apiSocket: api.sock }`,
      field: 'vpp.apiSocket',
      reason: /absolute path/,
    },
    {
      name: 'socket path too long for the kernel',
      text: `${minimal}cni: { socket: /${'x'.repeat(107)} }`,
      field: 'cni.socket',
      reason: /107 bytes/,
    },
    {
      name: 'IPv6 router id',
      text: `${minimal}bgp: { routerId: "fd00::1" }`,
      field: 'bgp.routerId',
      reason: /IPv4/,
    },
    {
      name: 'services inside the pods',
      text: `${minimal}pods: { clusterCidrs: [10.0.0.0/8] }\nservices: { cidrs: [10.96.0.0/16] }`,
      field: 'services.cidrs[0]',
      reason: /overlaps/,
    },
    {
      name: 'a pool inside the Services',
      text: `${minimal}services: { cidrs: ["fd00:10:96::/64"] }\nloadBalancer: { pools: [{ name: a, addresses: [192.0.2.0/24, "fd00:10:96::1000/120"] }] }`,
      field: 'loadBalancer.pools[0].addresses[1]',
      reason: /overlaps services\.cidrs entry fd00:10:96::\/64/,
    },
    {
      name: 'a pool around the pods',
      text: `${minimal}pods: { clusterCidrs: [10.244.0.0/16] }\nloadBalancer: { pools: [{ name: a, addresses: [10.243.0.0-10.245.0.0] }] }`,
      field: 'loadBalancer.pools[0].addresses[0]',
      reason: /overlaps pods\.clusterCidrs entry 10\.244\.0\.0\/16/,
    },
    {
      name: 'health and metrics on one port',
      text: `${minimal}metrics: { port: 10256 }`,
      field: 'metrics.port',
      reason: /health\.port/,
    },
    {
      name: 'a file larger than a ConfigMap can be',
      text: `# ${'x'.repeat(1 << 20)}`,
      field: 'file',
      reason: /larger than 1048576/,
    },
    {
      name: 'an alias bomb',
      text: `a: &a [1,1,1,1,1,1,1,1,1,1]\nb: &b [${'*a,'.repeat(10)}]\nc: &c [${'*b,'.repeat(10)}]\nd: [${'*c,'.repeat(10)}]`,
      field: 'file',
      reason: /alias/,
    },
  ];
  for (const c of cases) {
    it(`names field and reason: ${c.name}`, () => {
      const result = parseConfig(c.text, env);
      assert.ok(!result.ok);
      const problem = result.problems.find((one) => one.field === c.field);
      assert.ok(problem, `no problem of ${c.field} in ${result.problem}`);
      assert.match(problem.reason, c.reason);
      assert.equal(problem.object, 'config');
    });
  }

  it('names every wrong field at once', () => {
    const result = parseConfig('bgp: { asn: 0, port: 0 }\nzap: 1', env);
    assert.deepEqual(!result.ok && result.problems.map((one) => one.field).toSorted(), [
      'bgp.asn',
      'bgp.port',
      'uplink.interface',
      'zap',
    ]);
  });

  it('never throws, whatever the text', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.json()), (text) => {
        const result = parseConfig(text, env);
        assert.ok(result.ok || result.problems.length > 0);
      }),
    );
  });
});

describe('docs/config.md', () => {
  it('is what `npm run gen` writes', async () => {
    assert.equal(await readFile('docs/config.md', 'utf8'), formatReference());
  });
});
