import assert from 'node:assert/strict';
import { createRig, icmpAbout, ping, tcp, udp } from './rig.ts';

/** Sends packets through a fresh node and compares what comes out, one list a packet. */
async function walk(
  setUp: (rig: Awaited<ReturnType<typeof createRig>>) => Promise<unknown>,
  packets: readonly (readonly [string, Buffer, readonly string[]])[],
): Promise<void> {
  await using rig = await createRig();
  await setUp(rig);
  for (const [from, l3, expected] of packets) {
    assert.deepEqual(rig.send(from, l3), expected);
  }
}

describe('cnat in feature mode does what the truth table of VPP 26.06 says', () => {
  it('ClusterIP from a pod to a local pod: the server sees the pod, answers come from the VIP', () =>
    walk(
      (rig) => rig.service('10.96.0.10', 80, ['10.1.1.12:8080']),
      [
        [
          'pod1',
          tcp('10.1.1.11:1234', '10.96.0.10:80'),
          ['pod2: 10.1.1.11:1234 > 10.1.1.12:8080 tcp'],
        ],
        [
          'pod2',
          tcp('10.1.1.12:8080', '10.1.1.11:1234', 18),
          ['pod1: 10.96.0.10:80 > 10.1.1.11:1234 tcp'],
        ],
        [
          'pod1',
          tcp('10.1.1.11:1234', '10.96.0.10:80', 16, 'x'),
          ['pod2: 10.1.1.11:1234 > 10.1.1.12:8080 tcp'],
        ],
      ],
    ));

  it('ClusterIP over IPv6 and UDP', () =>
    walk(
      (rig) => rig.service('fd96::10', 53, ['[fd10:1::12]:5353'], { protocol: 17 }),
      [
        [
          'pod1',
          udp('[fd10:1::11]:1234', '[fd96::10]:53'),
          ['pod2: [fd10:1::11]:1234 > [fd10:1::12]:5353 udp'],
        ],
        [
          'pod2',
          udp('[fd10:1::12]:5353', '[fd10:1::11]:1234'),
          ['pod1: [fd96::10]:53 > [fd10:1::11]:1234 udp'],
        ],
      ],
    ));

  it('ClusterIP to a remote pod: an excluded prefix keeps the pod address', () =>
    walk(
      (rig) => rig.service('10.96.0.10', 80, ['10.1.2.11:8080']),
      [
        [
          'pod1',
          tcp('10.1.1.11:1234', '10.96.0.10:80'),
          ['uplink: 10.1.1.11:1234 > 10.1.2.11:8080 tcp'],
        ],
        [
          'uplink',
          tcp('10.1.2.11:8080', '10.1.1.11:1234', 18),
          ['pod1: 10.96.0.10:80 > 10.1.1.11:1234 tcp'],
        ],
      ],
    ));

  it('hairpin: the server sees the node, the client the VIP', () =>
    walk(
      (rig) => rig.service('10.96.0.10', 80, ['10.1.1.11:8080']),
      [
        [
          'pod1',
          tcp('10.1.1.11:1234', '10.96.0.10:80'),
          ['pod1: 192.0.2.1:1024 > 10.1.1.11:8080 tcp'],
        ],
        [
          'pod1',
          tcp('10.1.1.11:8080', '192.0.2.1:1024', 18),
          ['pod1: 10.96.0.10:80 > 10.1.1.11:1234 tcp'],
        ],
      ],
    ));

  it('NodePort from outside to a local pod keeps the client address', () =>
    walk(
      (rig) => rig.service('192.0.2.1', 30080, ['10.1.1.11:8080'], { real: true }),
      [
        [
          'uplink',
          tcp('203.0.113.9:5000', '192.0.2.1:30080'),
          ['pod1: 203.0.113.9:5000 > 10.1.1.11:8080 tcp'],
        ],
        [
          'pod1',
          tcp('10.1.1.11:8080', '203.0.113.9:5000', 18),
          ['uplink: 192.0.2.1:30080 > 203.0.113.9:5000 tcp'],
        ],
      ],
    ));

  it('NodePort from outside to a remote pod is masqueraded as the node', () =>
    walk(
      (rig) => rig.service('192.0.2.1', 30080, ['10.1.2.11:8080'], { real: true }),
      [
        [
          'uplink',
          tcp('203.0.113.9:5000', '192.0.2.1:30080'),
          ['uplink: 192.0.2.1:1024 > 10.1.2.11:8080 tcp'],
        ],
        [
          'uplink',
          tcp('10.1.2.11:8080', '192.0.2.1:1024', 18),
          ['uplink: 192.0.2.1:30080 > 203.0.113.9:5000 tcp'],
        ],
      ],
    ));

  it('a pod that talks to the outside is masqueraded: TCP, UDP and ICMP', () =>
    walk(
      async () => undefined,
      [
        [
          'pod1',
          tcp('10.1.1.11:1234', '203.0.113.9:80'),
          ['uplink: 192.0.2.1:1024 > 203.0.113.9:80 tcp'],
        ],
        [
          'uplink',
          tcp('203.0.113.9:80', '192.0.2.1:1024', 18),
          ['pod1: 203.0.113.9:80 > 10.1.1.11:1234 tcp'],
        ],
        [
          'pod1',
          udp('10.1.1.11:99', '203.0.113.9:53'),
          ['uplink: 192.0.2.1:1024 > 203.0.113.9:53 udp'],
        ],
        [
          'uplink',
          udp('203.0.113.9:53', '192.0.2.1:1024'),
          ['pod1: 203.0.113.9:53 > 10.1.1.11:99 udp'],
        ],
        [
          'pod1',
          ping('10.1.1.11', '203.0.113.9'),
          ['uplink: 192.0.2.1 > 203.0.113.9 echo 8 id 1024'],
        ],
        [
          'uplink',
          ping('203.0.113.9', '192.0.2.1', 1024, true),
          ['pod1: 203.0.113.9 > 10.1.1.11 echo 0 id 7'],
        ],
      ],
    ));

  it('an ICMPv6 echo is masqueraded but its answer is not translated back, as in VPP', () =>
    walk(
      async () => undefined,
      [
        [
          'pod1',
          ping('fd10:1::11', '2001:db8:5::9'),
          ['uplink: 2001:db8::1 > 2001:db8:5::9 echo 128 id 1024'],
        ],
        ['uplink', ping('2001:db8:5::9', '2001:db8::1', 1024, true), []],
      ],
    ));

  it('equal low 32 bits of two IPv6 pods are taken for a hairpin, as in VPP', () =>
    walk(
      (rig) => rig.service('fd96::10', 80, ['[fd10:2::11]:8080']),
      [
        [
          'pod1',
          tcp('[fd10:1::11]:1234', '[fd96::10]:80'),
          ['uplink: [2001:db8::1]:1024 > [fd10:2::11]:8080 tcp'],
        ],
      ],
    ));

  it('pod to pod without a service is left alone', () =>
    walk(
      async () => undefined,
      [
        [
          'pod1',
          tcp('10.1.1.11:1234', '10.1.1.12:80'),
          ['pod2: 10.1.1.11:1234 > 10.1.1.12:80 tcp'],
        ],
        [
          'pod2',
          tcp('10.1.1.12:80', '10.1.1.11:1234', 18),
          ['pod1: 10.1.1.12:80 > 10.1.1.11:1234 tcp'],
        ],
      ],
    ));

  it('another port of a VIP and a ping to it follow the route', () =>
    walk(
      (rig) => rig.service('10.96.0.10', 80, ['10.1.1.12:8080']),
      [
        [
          'pod1',
          tcp('10.1.1.11:1234', '10.96.0.10:81'),
          ['uplink: 192.0.2.1:1024 > 10.96.0.10:81 tcp'],
        ],
        [
          'pod1',
          ping('10.1.1.11', '10.96.0.10'),
          ['uplink: 192.0.2.1 > 10.96.0.10 echo 8 id 1024'],
        ],
      ],
    ));

  it('an ICMP error from the backend reaches the client in the name of the VIP', async () => {
    await using rig = await createRig();
    await rig.service('10.96.0.10', 53, ['10.1.1.12:5353'], { protocol: 17 });
    rig.send('pod1', udp('10.1.1.11:1234', '10.96.0.10:53'));
    const about = udp('10.1.1.11:1234', '10.1.1.12:5353');
    assert.deepEqual(rig.send('pod2', icmpAbout('10.1.1.12', '10.1.1.11', 3, 3, about)), [
      'pod1: 10.96.0.10 > 10.1.1.11 icmp 3/3 (10.1.1.11:1234 > 10.96.0.10:53 udp)',
    ]);
  });

  it('an ICMP error of a router on the way back to a masqueraded pod keeps the router', async () => {
    await using rig = await createRig();
    rig.send('pod1', udp('10.1.1.11:1234', '203.0.113.9:53'));
    const about = udp('192.0.2.1:1024', '203.0.113.9:53');
    assert.deepEqual(rig.send('uplink', icmpAbout('198.51.100.1', '192.0.2.1', 11, 0, about)), [
      'pod1: 198.51.100.1 > 10.1.1.11 icmp 11/0 (10.1.1.11:1234 > 203.0.113.9:53 udp)',
    ]);
  });

  it('ICMPv6 errors are translated with right checksums', async () => {
    await using rig = await createRig();
    await rig.service('fd96::10', 53, ['[fd10:1::12]:5353'], { protocol: 17 });
    rig.send('pod1', udp('[fd10:1::11]:1234', '[fd96::10]:53'));
    const about = udp('[fd10:1::11]:1234', '[fd10:1::12]:5353');
    assert.deepEqual(rig.send('pod2', icmpAbout('fd10:1::12', 'fd10:1::11', 1, 4, about)), [
      'pod1: fd96::10 > fd10:1::11 icmp 1/4 ([fd10:1::11]:1234 > [fd96::10]:53 udp)',
    ]);
  });
});

describe('cnat sessions', () => {
  const client = (port: number) => `10.1.1.11:${port}`;

  it('stay with their backend when others come, and move when theirs goes and the scan passed', async () => {
    await using rig = await createRig();
    await rig.service('10.96.0.10', 80, ['10.1.1.12:8080']);
    const first = rig.send('pod1', tcp(client(1), '10.96.0.10:80'));
    await rig.service('10.96.0.10', 80, ['10.1.1.12:8080', '10.1.2.11:8080']);
    assert.deepEqual(rig.send('pod1', tcp(client(1), '10.96.0.10:80', 16)), first);
    await rig.service('10.96.0.10', 80, ['10.1.2.11:8080']);
    assert.deepEqual(rig.send('pod1', tcp(client(1), '10.96.0.10:80', 16)), first);
    await rig.clock.advance(1000);
    assert.deepEqual(rig.send('pod1', tcp(client(1), '10.96.0.10:80', 16)), [
      'uplink: 10.1.1.11:1 > 10.1.2.11:8080 tcp',
    ]);
  });

  it('end after 30 s of silence, after an hour once TCP is established, 5 s after FIN', async () => {
    await using rig = await createRig();
    await rig.service('10.96.0.10', 80, ['10.1.1.12:8080']);
    const { sessions } = rig.emulator.plane.cnat;
    rig.send('pod1', tcp(client(1), '10.96.0.10:80'));
    await rig.clock.advance(32_000);
    assert.equal(sessions.count, 0);
    rig.send('pod1', tcp(client(1), '10.96.0.10:80'));
    rig.send('pod2', tcp('10.1.1.12:8080', client(1), 18));
    await rig.clock.advance(3_500_000);
    assert.equal(sessions.count, 1);
    rig.send('pod1', tcp(client(1), '10.96.0.10:80', 17));
    await rig.clock.advance(7000);
    assert.equal(sessions.count, 0);
  });

  it('spread over all backends, and keep one with affinity', async () => {
    await using rig = await createRig();
    const backends = ['10.1.2.11:80', '10.1.2.12:80', '10.1.2.13:80'];
    for (const maglev of [false, true]) {
      for (const affinity of [false, true]) {
        const vip = `10.96.${maglev ? 1 : 0}.${affinity ? 1 : 0}`;
        await rig.service(vip, 80, backends, { maglev, affinity });
        const seen = new Map<string, number>();
        for (let port = 1024; port < 1324; port++) {
          const out = rig.send('pod1', tcp(client(port), `${vip}:80`))[0] ?? '';
          const target = out.slice(out.indexOf('> '));
          seen.set(target, (seen.get(target) ?? 0) + 1);
        }
        assert.equal(seen.size, affinity ? 1 : 3, `${vip} ${[...seen]}`);
        if (!affinity) for (const n of seen.values()) assert.ok(n > 50, `${vip} ${[...seen]}`);
      }
    }
  });

  it('a service without reverse path forwards unchanged: no NAT towards the route of the backend', async () => {
    await using rig = await createRig();
    await rig.service('203.0.113.80', 80, ['10.1.1.12:80'], {
      maglev: true,
      flags: 13,
      pathFlags: 2,
    });
    assert.deepEqual(rig.send('uplink', tcp('198.51.100.9:5', '203.0.113.80:80')), [
      'pod2: 198.51.100.9:5 > 203.0.113.80:80 tcp',
    ]);
  });
});
