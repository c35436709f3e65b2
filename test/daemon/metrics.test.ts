import assert from 'node:assert/strict';
import { ip } from '../../src/core/ip.ts';
import { peerSeriesMax } from '../../src/daemon/bgp-metrics.ts';
import { createMetrics, serveMetrics } from '../../src/daemon/metrics.ts';
import { countConnects } from '../../src/daemon/target-metrics.ts';
import { sampleView } from './view.ts';

describe('countConnects', () => {
  it('counts every new connection once, until the end', async () => {
    const metrics = createMetrics(() => undefined);
    const stop = new AbortController();
    const first = {};
    let wake = () => {};
    const target = {
      name: 'vpp',
      session: undefined as object | undefined,
      sessionChanged: () =>
        new Promise<void>((resolve) => {
          wake = resolve;
        }),
    };
    const become = async (session: object | undefined) => {
      target.session = session;
      wake();
      await new Promise((resolve) => setImmediate(resolve));
    };
    countConnects(target, metrics, stop.signal);
    for (const session of [first, first, undefined, {}]) await become(session);
    const text = await metrics.registry.metrics();
    assert.match(text, /^kvr_target_connects_total\{target="vpp"\} 2$/m);
    stop.abort();
    await become({});
    assert.equal(await metrics.registry.metrics().then((t) => /"vpp"\} 2$/m.test(t)), true);
  });
});

describe('metrics', () => {
  it('shows the rows, problems, sources and targets of the moment', async () => {
    let view: typeof sampleView | undefined;
    const metrics = createMetrics(() => view);
    assert.doesNotMatch(await metrics.registry.metrics(), /^kvr_rows\{/m);
    view = sampleView;
    const text = await metrics.registry.metrics();
    for (const line of [
      'kvr_build_info{version="0.1.0"} 1',
      'kvr_rows{table="routes",state="desired"} 3',
      'kvr_rows{table="routes",state="failed"} 1',
      'kvr_problems{kind="Service"} 1',
      'kvr_source_synced{source="services"} 1',
      'kvr_source_last_event_timestamp_seconds{source="services"} 1700000000',
      'kvr_target_connected{target="vpp"} 0',
      'kvr_bgp_peers{state="established"} 1',
      'kubeproxy_sync_proxy_rules_no_local_endpoints_total{ip_family="IPv4",traffic_policy="external"} 3',
      'kvr_bgp_peer_info{peer="192.0.2.2",kind="node",description="node/worker-2",asn="64512",state="established"} 1',
      'kvr_bgp_peer_up{peer="192.0.2.2"} 1',
      'kvr_bgp_peer_prefixes{peer="192.0.2.2",direction="received"} 2',
      'kvr_bgp_peer_prefixes{peer="192.0.2.2",direction="accepted"} 2',
      'kvr_bgp_peer_prefixes{peer="192.0.2.2",direction="advertised"} 1',
      'kvr_bgp_paths{kind="service"} 1',
      'kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds 1700000000.5',
    ]) {
      assert.ok(text.split('\n').includes(line), `no line ${line}`);
    }
  });

  it('forgets what is no longer there', async () => {
    let view = sampleView;
    const metrics = createMetrics(() => view);
    await metrics.registry.metrics();
    view = { ...sampleView, problems: () => [] };
    assert.doesNotMatch(await metrics.registry.metrics(), /^kvr_problems\{/m);
  });

  it('counts the same for two scrapes at once', async () => {
    const { registry } = createMetrics(() => sampleView);
    const [first, second] = await Promise.all([registry.metrics(), registry.metrics()]);
    for (const text of [first, second]) {
      assert.match(text ?? '', /^kvr_bgp_peers\{state="established"\} 1$/m);
      assert.match(text ?? '', /^kvr_problems\{kind="Service"\} 1$/m);
    }
  });

  it('asks GoBGP once for all metrics of a scrape', async () => {
    let asked = 0;
    const peers: typeof sampleView.peers = (signal) => {
      asked++;
      return sampleView.peers(signal);
    };
    const { registry } = createMetrics(() => ({ ...sampleView, peers }));
    await registry.metrics();
    assert.equal(asked, 1);
    await registry.metrics();
    assert.equal(asked, 2);
  });

  it('has series for a bounded number of neighbours, those outside of the mesh first', async () => {
    const [one] = await sampleView.peers(new AbortController().signal);
    assert.ok(one !== undefined);
    const many = Array.from({ length: peerSeriesMax }, (_, i) => ({
      ...one,
      address: `node-${i}`,
    }));
    const tor = { ...one, address: '192.0.2.253', kind: 'peer' as const, state: 'idle' };
    const range = { ...one, address: '192.0.2.0/24', kind: 'range' as const };
    const peers = async () => [...many, range, tor];
    const text = await createMetrics(() => ({ ...sampleView, peers })).registry.metrics();
    assert.equal(text.match(/^kvr_bgp_peer_up\{/gm)?.length, peerSeriesMax);
    assert.match(text, /^kvr_bgp_peer_up\{peer="192\.0\.2\.253"\} 0$/m);
    assert.doesNotMatch(text, /peer="192\.0\.2\.0\/24"/);
  });

  it('counts entries that are left out, by section', async () => {
    const problems = () =>
      [
        ['config', 'bgp.peers[1].asn'],
        ['config', 'bgp.peers[1].address'],
        ['config', 'bgp.peers[4].name'],
        ['config', 'pods.mtu'],
        ['Node/n1', 'metadata.annotations[kube-router.io/peers][2]'],
        ['Node/n1', 'metadata.annotations[kube-router.io/node.asn]'],
        ['Service/d/web', 'spec.externalIPs[0]'],
      ].map(([object = '', field = '']) => ({ object, field, reason: 'wrong' }));
    const { registry } = createMetrics(() => ({ ...sampleView, problems }));
    const lines = (await registry.metrics()).match(/^kvr_config_rejected_entries\{.*$/gm);
    assert.deepEqual(lines, [
      'kvr_config_rejected_entries{section="bgp.peers"} 2',
      'kvr_config_rejected_entries{section="other"} 1',
      'kvr_config_rejected_entries{section="node"} 1',
    ]);
  });

  it('has the state of each BFD session', async () => {
    const text = await createMetrics(() => sampleView).registry.metrics();
    assert.match(text, /^kvr_bfd_sessions\{peer="192.0.2.254",state="up"\} 1$/m);
  });

  it('does without the sessions when GoBGP does not answer', async () => {
    const peers = () => Promise.reject(new Error('gobgpd does not answer'));
    const text = await createMetrics(() => ({ ...sampleView, peers })).registry.metrics();
    assert.doesNotMatch(text, /^kvr_bgp_peers?(_\w+)?\{/m);
    assert.match(text, /^kvr_target_connected\{/m);
  });

  it("keeps kube-proxy's names and buckets of the programming SLI", async () => {
    const metrics = createMetrics(() => undefined);
    metrics.programming.observe({ ip_family: 'IPv4' }, 0.3);
    const text = await metrics.registry.metrics();
    const bounds = [
      ...text.matchAll(/programming_duration_seconds_bucket\{le="([^"]+)",ip_family="IPv4"\}/g),
    ].map((match) => match[1]);
    assert.deepEqual(bounds.slice(0, 4), ['0.25', '0.5', '1', '2']);
    assert.deepEqual(bounds.slice(-3), ['270', '300', '+Inf']);
    assert.ok(bounds.includes('59') && bounds.includes('115') && bounds.includes('120'));
  });

  it('KP-56 serves them, the proxy mode and the configuration over HTTP', async () => {
    const abort = new AbortController();
    await using server = await serveMetrics({
      metrics: createMetrics(() => sampleView),
      listen: { address: ip('127.0.0.1'), port: 0 },
      signal: abort.signal,
      config: () => ({ nodeName: 'n1' }),
    });
    const get = (path: string) => fetch(`http://127.0.0.1:${server.port}${path}`);
    const scrape = await get('/metrics');
    assert.match(scrape.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/);
    assert.match(await scrape.text(), /^kvr_rows\{/m);
    assert.equal(await (await get('/proxyMode')).text(), 'vpp');
    assert.deepEqual(await (await get('/configz')).json(), {
      'kube-vpp-router': { nodeName: 'n1' },
    });
    assert.equal((await get('/')).status, 404);
  });
});
