import assert from 'node:assert/strict';
import fc from 'fast-check';
import { answerVersion, parseCall } from '../../src/cni/call.ts';
import { formatFailure, formatResult } from '../../src/cni/result.ts';
import { formatReply, formatRequest, parseRequest } from '../../src/cni/wire.ts';
import { ip } from '../../src/core/ip.ts';
import { podArgs } from './runtime.ts';

function rawCall(changes: Record<string, string>, config: object = {}): Map<string, string> {
  const values = {
    CNI_COMMAND: 'ADD',
    CNI_CONTAINERID: 'c1',
    CNI_NETNS: '/run/netns/x',
    CNI_IFNAME: 'eth0',
    CNI_ARGS: podArgs,
    stdin: JSON.stringify({ cniVersion: '1.0.0', name: 'pods', type: 'x', ...config }),
  };
  return new Map(Object.entries({ ...values, ...changes }));
}

describe('parseCall', () => {
  const refusals: {
    change?: Record<string, string>;
    config?: object;
    code: number;
    says: RegExp;
  }[] = [
    { change: { CNI_COMMAND: 'FROB' }, code: 4, says: /CNI_COMMAND .*"FROB"/ },
    { change: { CNI_CONTAINERID: '' }, code: 4, says: /CNI_CONTAINERID/ },
    { change: { CNI_CONTAINERID: '../x' }, code: 4, says: /CNI_CONTAINERID/ },
    { change: { CNI_IFNAME: 'a/b' }, code: 4, says: /CNI_IFNAME/ },
    { change: { CNI_IFNAME: '..' }, code: 4, says: /CNI_IFNAME/ },
    { change: { CNI_IFNAME: 'sixteen-bytes-xx' }, code: 4, says: /CNI_IFNAME/ },
    { change: { CNI_NETNS: '' }, code: 4, says: /CNI_NETNS/ },
    { change: { CNI_NETNS: 'relative' }, code: 4, says: /CNI_NETNS/ },
    { change: { CNI_ARGS: '' }, code: 4, says: /K8S_POD_NAMESPACE/ },
    {
      change: { CNI_ARGS: 'K8S_POD_NAMESPACE=a;K8S_POD_NAME=B' },
      code: 4,
      says: /K8S_POD_NAME .*"B"/,
    },
    { change: { stdin: '{' }, code: 6, says: /not a JSON object/ },
    { change: { stdin: '[]' }, code: 6, says: /not a JSON object/ },
    { config: { cniVersion: '2.0.0' }, code: 1, says: /cniVersion "2.0.0"/ },
    { config: { name: '' }, code: 7, says: /^name / },
    { config: { ipam: { type: 'host-local' } }, code: 2, says: /ipam.type "host-local"/ },
    { change: { CNI_COMMAND: 'GC' }, code: 7, says: /cni.dev\/valid-attachments is not a list/ },
  ];
  for (const { change = {}, config = {}, code, says } of refusals) {
    it(`refuses ${JSON.stringify({ ...change, ...config })} with code ${code}`, () => {
      const call = parseCall(rawCall(change, config));
      assert.equal(call.ok, false);
      if (call.ok) return;
      assert.equal(call.code, code);
      assert.match(call.problem, says);
    });
  }

  it('reads an ADD, and a DEL without a namespace', () => {
    const add = parseCall(rawCall({}));
    assert.ok(add.ok);
    assert.deepEqual(add.value.pod, { key: 'shop/web-0', uid: '6f2c' });
    assert.equal(add.value.netns, '/run/netns/x');
    assert.ok(parseCall(rawCall({ CNI_COMMAND: 'DEL', CNI_NETNS: '', CNI_ARGS: '' })).ok);
  });

  it('reads the attachments that a GC keeps', () => {
    const kept = [{ containerID: 'c1', ifname: 'eth0' }];
    const gc = parseCall(rawCall({ CNI_COMMAND: 'GC' }, { 'cni.dev/valid-attachments': kept }));
    assert.ok(gc.ok);
    assert.deepEqual([...gc.value.validAttachments], ['c1/eth0']);
  });

  it('law: any environment and configuration give a call or a failure, never a throw', () => {
    const command = fc.constantFrom('ADD', 'DEL', 'CHECK', 'GC', 'STATUS', 'VERSION');
    const text = fc.string({ unit: 'binary', maxLength: 40 });
    const config = fc.oneof(
      fc.json(),
      text,
      fc.record({ cniVersion: fc.jsonValue(), name: fc.jsonValue() }).map((v) => JSON.stringify(v)),
    );
    fc.assert(
      fc.property(command, text, text, config, (name, id, args, stdin) => {
        const raw = rawCall({ CNI_COMMAND: name, CNI_CONTAINERID: id, CNI_ARGS: args, stdin });
        const call = parseCall(raw);
        const version = answerVersion(raw);
        if (!call.ok) JSON.parse(formatFailure(version, call));
      }),
    );
  });
});

describe('formatResult', () => {
  const attachment = {
    key: 'c1/eth0',
    containerId: 'c1',
    ifName: 'eth0',
    pod: 'shop/web-0',
    podUid: '',
    hostInterface: 'kvr0123',
    kind: 'veth',
    netns: '/run/netns/x',
    ips: [ip('10.1.0.2')],
    mac: '02:00:00:00:00:01',
    gatewayMac: '02:00:00:00:00:02',
    mtu: 1450,
  } as const;
  const gateways = { 4: ip('169.254.1.1'), 6: ip('fe80::1') };
  const interfaces = [
    { name: 'kvr0123', mac: '02:00:00:00:00:02' },
    { name: 'eth0', mac: '02:00:00:00:00:01', sandbox: '/run/netns/x' },
  ];
  const address = { address: '10.1.0.2/32', gateway: '169.254.1.1', interface: 1 };
  const cases = [
    { version: '0.4.0', interfaces, ips: [{ version: '4', ...address }] },
    { version: '1.0.0', interfaces, ips: [address] },
    { version: '1.1.0', interfaces: interfaces.map((i) => ({ ...i, mtu: 1450 })), ips: [address] },
  ] as const;
  for (const { version, ...expected } of cases) {
    it(`words ${version} as that version does`, () => {
      const dns = { nameservers: ['10.0.0.10'] };
      const routes = [{ dst: '0.0.0.0/0', gw: '169.254.1.1' }];
      const result = JSON.parse(formatResult(version, attachment, { gateways, dns }));
      assert.deepEqual(result, { cniVersion: version, ...expected, routes, dns });
    });
  }
});

describe('the protocol of the executable', () => {
  it('law: a request is read back from its bytes, and each shorter part is incomplete', () => {
    const value = fc.string({ unit: 'grapheme', maxLength: 60 });
    fc.assert(
      fc.property(value, value, fc.nat(), (stdin, args, at) => {
        const call = new Map([
          ['CNI_COMMAND', 'ADD'],
          ['CNI_ARGS', args],
          ['stdin', stdin],
        ]);
        const bytes = formatRequest(call);
        assert.deepEqual(parseRequest(bytes), { state: 'complete', call });
        assert.equal(parseRequest(bytes.subarray(0, at % bytes.length)).state, 'incomplete');
      }),
    );
  });

  it('law: any bytes are a call, incomplete, or damaged', () => {
    const start = Buffer.from('kvr-cni 1\n');
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, withStart) => {
        parseRequest(Buffer.concat([withStart ? start : Buffer.alloc(0), bytes]));
      }),
    );
  });

  const damaged = [
    { name: 'another protocol', bytes: 'GET / HTTP/1.1\r\n\r\n', says: /unknown protocol/ },
    {
      name: 'an unknown field',
      bytes: 'kvr-cni 1\nPATH 1\nx\nend\n',
      says: /unknown field "PATH 1"/,
    },
    { name: 'a field twice', bytes: 'kvr-cni 1\nstdin 0\n\nstdin 0\n\nend\n', says: /stdin twice/ },
    { name: 'a wrong length', bytes: 'kvr-cni 1\nstdin 1\nxx\nend\n', says: /another length/ },
    { name: 'a length beyond the limit', bytes: 'kvr-cni 1\nstdin 99999999\n', says: /too long/ },
    { name: 'an endless line', bytes: `kvr-cni 1\n${'x'.repeat(99)}`, says: /line too long/ },
    { name: 'bytes after the end', bytes: 'kvr-cni 1\nend\nx', says: /after the end/ },
  ];
  for (const { name, bytes, says } of damaged) {
    it(`${name} is refused`, () => {
      const parse = parseRequest(Buffer.from(bytes));
      assert.ok(parse.state === 'damaged', parse.state);
      assert.match(parse.problem, says);
    });
  }

  it('a reply carries its exit code and its length in bytes', () => {
    assert.equal(formatReply(1, 'ü').toString(), 'kvr-cni 1 1 2\nü');
  });
});
