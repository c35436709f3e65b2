import assert from 'node:assert/strict';
import { ip } from '../../src/core/ip.ts';
import { tables } from '../../src/desired/tables.ts';
import type { EndpointSlice, Service } from '../../src/model/facts.ts';
import { createStore } from '../../src/model/store.ts';
import { servicePlanner } from '../../src/proxy/plan.ts';
import { config, endpoint, node, port, service, slice, uplink } from '../facts.ts';

function plan(one: Service, slices: readonly EndpointSlice[], given = config): string[] {
  const store = createStore();
  store.replace('config', new Map([['config', given]]));
  store.replace('uplink', new Map([['uplink', uplink]]));
  store.replace('nodes', new Map([['n1', node('n1', 1)]]));
  store.commit('services', [[one.key, one]]);
  store.commit(
    'slices',
    slices.map((s) => [s.key, s] as const),
  );
  const { rows } = servicePlanner.plan(store.facts, one.key);
  return (rows.translations ?? []).map(tables.translations.format);
}

const two = [endpoint('10.244.2.6'), endpoint('10.244.2.5')];
const web = [slice('d/web-1', 'd/web', two)];

describe('servicePlanner', () => {
  const cases: {
    name: string;
    service: Service;
    slices: readonly EndpointSlice[];
    out: readonly string[];
  }[] = [
    {
      name: 'a ClusterIP goes to the endpoints, in the order of their addresses',
      service: service('d/web'),
      slices: web,
      out: ['10.96.0.10:80/tcp 10.244.2.5:8080 10.244.2.6:8080'],
    },
    {
      name: 'KP-03 ExternalName has no frontend',
      service: service('d/web', { type: 'ExternalName' }),
      slices: web,
      out: [],
    },
    {
      name: 'KP-03 a headless Service has no frontend',
      service: service('d/web', { clusterIps: [], headless: true }),
      slices: web,
      out: [],
    },
    {
      name: 'KP-04 the same port with TCP and UDP is two frontends',
      service: service('d/web', {
        ports: [port({ name: 't' }), port({ name: 'u', protocol: 'UDP' })],
      }),
      slices: [
        slice('d/web-1', 'd/web', [endpoint('10.244.2.5')], {
          ports: [
            { name: 't', protocol: 'TCP', port: 8080 },
            { name: 'u', protocol: 'UDP', port: 5353 },
          ],
        }),
      ],
      out: ['10.96.0.10:80/tcp 10.244.2.5:8080', '10.96.0.10:80/udp 10.244.2.5:5353'],
    },
    {
      name: 'KP-05 ports match by name, and the number is the one of each slice',
      service: service('d/web', { ports: [port({ name: 'http' })] }),
      slices: [
        slice('d/web-1', 'd/web', [endpoint('10.244.2.5')], {
          ports: [{ name: 'http', protocol: 'TCP', port: 8080 }],
        }),
        slice('d/web-2', 'd/web', [endpoint('10.244.2.6')], {
          ports: [
            { name: 'http', protocol: 'TCP', port: 9090 },
            { name: 'other', protocol: 'TCP', port: 1 },
          ],
        }),
      ],
      out: ['10.96.0.10:80/tcp 10.244.2.5:8080 10.244.2.6:9090'],
    },
    {
      name: 'KP-07 an endpoint in two slices counts once',
      service: service('d/web'),
      slices: [...web, slice('d/web-2', 'd/web', [endpoint('10.244.2.5')])],
      out: ['10.96.0.10:80/tcp 10.244.2.5:8080 10.244.2.6:8080'],
    },
    {
      name: 'KP-07 an endpoint that one slice has twice counts once',
      service: service('d/web'),
      slices: [slice('d/web-1', 'd/web', [endpoint('10.244.2.5'), endpoint('10.244.2.5')])],
      out: ['10.96.0.10:80/tcp 10.244.2.5:8080'],
    },
    {
      name: 'KP-08 slices of the other family do not count',
      service: service('d/web'),
      slices: [slice('d/web-6', 'd/web', [endpoint('fd00::5')], { family: 6 }), ...web],
      out: ['10.96.0.10:80/tcp 10.244.2.5:8080 10.244.2.6:8080'],
    },
    {
      name: 'KP-10 a Service without a selector serves the slices that it is given',
      service: service('d/web'),
      slices: [slice('d/by-hand', 'd/web', [endpoint('198.51.100.7', 'ready', { node: '' })])],
      out: ['10.96.0.10:80/tcp 198.51.100.7:8080'],
    },
    {
      name: 'KP-19 internalTrafficPolicy Local uses the endpoints of this node',
      service: service('d/web', { internalTrafficPolicy: 'Local' }),
      slices: [
        slice('d/web-1', 'd/web', [
          endpoint('10.244.2.5'),
          endpoint('10.244.1.5', 'ready', { node: 'n1' }),
        ]),
      ],
      out: ['10.96.0.10:80/tcp 10.244.1.5:8080'],
    },
    {
      name: 'KP-22 without a usable endpoint the packet goes where it is refused',
      service: service('d/web', { ports: [port({ nodePort: 30080 })] }),
      slices: [slice('d/web-1', 'd/web', [endpoint('10.244.2.5', 'gone')])],
      out: ['10.96.0.10:80/tcp 169.254.1.2:1', '192.0.2.1:30080/tcp 169.254.1.2:1'],
    },
    {
      name: 'KP-26 dual stack: each family has its frontend and its endpoints',
      service: service('d/web', { clusterIps: [ip('10.96.0.10'), ip('fd00:96::10')] }),
      slices: [slice('d/web-6', 'd/web', [endpoint('fd00::5')], { family: 6 }), ...web],
      out: [
        '10.96.0.10:80/tcp 10.244.2.5:8080 10.244.2.6:8080',
        '[fd00:96::10]:80/tcp [fd00::5]:8080',
      ],
    },
    {
      name: 'KP-27 a NodePort answers on the addresses of the node, in the families of the Service',
      service: service('d/web', { type: 'NodePort', ports: [port({ nodePort: 30080 })] }),
      slices: web,
      out: [
        '10.96.0.10:80/tcp 10.244.2.5:8080 10.244.2.6:8080',
        '192.0.2.1:30080/tcp 10.244.2.5:8080 10.244.2.6:8080',
      ],
    },
    {
      name: 'KP-28 one number serves TCP and UDP',
      service: service('d/web', {
        ports: [
          port({ name: 't', nodePort: 30053 }),
          port({ name: 'u', nodePort: 30053, protocol: 'UDP' }),
        ],
      }),
      slices: [
        slice('d/web-1', 'd/web', [endpoint('10.244.2.5')], {
          ports: [
            { name: 't', protocol: 'TCP', port: 53 },
            { name: 'u', protocol: 'UDP', port: 53 },
          ],
        }),
      ],
      out: [
        '10.96.0.10:80/tcp 10.244.2.5:53',
        '192.0.2.1:30053/tcp 10.244.2.5:53',
        '10.96.0.10:80/udp 10.244.2.5:53',
        '192.0.2.1:30053/udp 10.244.2.5:53',
      ],
    },
    {
      name: 'KP-20 externalTrafficPolicy Local: the NodePort uses the endpoints of this node',
      service: service('d/web', {
        externalTrafficPolicy: 'Local',
        ports: [port({ nodePort: 30080 })],
      }),
      slices: [
        slice('d/web-1', 'd/web', [
          endpoint('10.244.2.5'),
          endpoint('10.244.1.5', 'ready', { node: 'n1' }),
        ]),
      ],
      out: [
        '10.96.0.10:80/tcp 10.244.1.5:8080 10.244.2.5:8080',
        '192.0.2.1:30080/tcp 10.244.1.5:8080',
      ],
    },
  ];
  for (const c of cases) it(c.name, () => assert.deepEqual(plan(c.service, c.slices), c.out));

  it('KP-27 NodePorts keep to the configured addresses', () => {
    const only6 = {
      ...config,
      services: { ...config.services, nodePortAddresses: ['2001:db8::/32'] },
    };
    const one = service('d/web', { ports: [port({ nodePort: 30080 })] });
    assert.deepEqual(plan(one, web, only6 as never), [
      '10.96.0.10:80/tcp 10.244.2.5:8080 10.244.2.6:8080',
    ]);
  });

  it('KP-14 internal policy Local leaves the frontends for the outside to all endpoints', () => {
    const one = service('d/web', {
      type: 'NodePort',
      internalTrafficPolicy: 'Local',
      ports: [port({ nodePort: 30080 })],
    });
    const here = endpoint('10.244.1.5', 'ready', { node: 'n1' });
    assert.deepEqual(plan(one, [slice('d/web-1', 'd/web', [here, ...two])]), [
      '10.96.0.10:80/tcp 10.244.1.5:8080',
      '192.0.2.1:30080/tcp 10.244.1.5:8080 10.244.2.5:8080 10.244.2.6:8080',
    ]);
  });

  it('KP-37 cluster IPs of several service ranges are frontends like any other', () => {
    const clusterIps = [ip('172.20.7.7')];
    assert.deepEqual(plan(service('d/web', { clusterIps }), web), [
      '172.20.7.7:80/tcp 10.244.2.5:8080 10.244.2.6:8080',
    ]);
  });

  it('KP-39 with affinity, too, only endpoints that are used are chosen from', () => {
    const gone = [endpoint('10.244.2.5'), endpoint('10.244.2.6', 'draining')];
    const one = service('d/web', { affinitySeconds: 60 });
    assert.deepEqual(plan(one, [slice('d/web-1', 'd/web', gone)]), [
      '10.96.0.10:80/tcp 10.244.2.5:8080',
    ]);
  });

  it('70,000 endpoints: 2,000 of them are used, other ones on another node, and the user is told', () => {
    const many = Array.from({ length: 70 }, (_, part) =>
      slice(
        `d/web-${part}`,
        'd/web',
        Array.from({ length: 1000 }, (__, i) =>
          endpoint(`10.${64 + part}.${Math.floor(i / 250)}.${(i % 250) + 1}`),
        ),
      ),
    );
    const planFor = (nodeName: string) => {
      const store = createStore();
      store.replace('config', new Map([['config', { ...config, nodeName }]]));
      store.commit('services', [['d/web', service('d/web')]]);
      store.commit(
        'slices',
        many.map((s) => [s.key, s] as const),
      );
      return servicePlanner.plan(store.facts, 'd/web');
    };
    const [a, b] = [planFor('n1'), planFor('n2')];
    assert.equal(a.rows.translations?.[0]?.backends.length, 2000);
    assert.notDeepEqual(a.rows.translations, b.rows.translations);
    assert.match(a.problems[0]?.reason ?? '', /more than 2000 endpoints; this node uses 2000/);
  });
});
