import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { exitCodes } from '../../src/cli/ask.ts';
import { formatDuration } from '../../src/cli/columns.ts';
import { runKvr } from '../../src/cli/run.ts';
import { serveControl } from '../../src/daemon/control.ts';
import type { DaemonView } from '../../src/daemon/view.ts';
import { sampleView } from '../daemon/view.ts';

describe('kvr', () => {
  const abort = new AbortController();
  let directory = '';
  let view: DaemonView = sampleView;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'kvr-cli-'));
    const current = new Proxy(sampleView, { get: (_, name) => Reflect.get(view, name) });
    const socketPath = join(directory, 'control.sock');
    await serveControl({ view: current, socketPath, signal: abort.signal });
  });
  after(async () => {
    abort.abort();
    await rm(directory, { recursive: true });
  });

  async function kvr(args: string, socket = 'control.sock') {
    let out = '';
    let err = '';
    const streams = {
      out: (text: string) => {
        out += text;
      },
      err: (text: string) => {
        err += text;
      },
    };
    const words = ['--socket', join(directory, socket), ...args.split(' ')];
    const code = await runKvr(words, streams, '1.2.3');
    return { code, out, err };
  }

  it('shows services as aligned columns, long lists shortened', async () => {
    const { code, out } = await kvr('show services');
    assert.equal(code, 0);
    assert.deepEqual(out.split('\n'), [
      'SERVICE           KIND       FRONTEND             STATUS   BACKENDS',
      'default/web:http  ClusterIP  10.96.0.10:80/tcp    done     10.244.1.2:8080 10.244.2.2:8080 10.244.2.3:8080 + 1 more',
      'default/empty     NodePort   192.0.2.1:30080/udp  pending  <none>',
      '',
    ]);
  });

  const texts = [
    { args: 'show services -o wide', shows: /10\.244\.2\.4:8080/ },
    { args: 'show pods', shows: /^default\/web-1 {2}10\.244\.1\.2 fd00:10:244:1::2 {2}kvr3f2a/m },
    { args: 'show pods', shows: /STATUS +POLICIES\n.* done +ingress$/m },
    {
      args: 'show policies',
      shows:
        /^NetworkPolicy\/shop\/web +audit +Ingress +shop\/web-1 shop\/web-2 shop\/web-3 \+ 1 more +3 +12 +7 +0 +2 +done/m,
    },
    {
      args: 'show policies',
      shows: /tenants +Admin 10 +Ingress Egress +<none> .* - +spec\.egress\[0\]: matches nothing$/m,
    },
    { args: 'show policies -o wide', shows: /shop\/web-1 shop\/web-2 shop\/web-3 shop\/web-4/ },
    { args: 'show pods -o wide', shows: /CONTAINER\n.*veth {2}c0ffee/ },
    { args: 'show peers', shows: /^192\.0\.2\.2 {2}64512 {2}established {2}1h02m {2}2/m },
    {
      args: 'show peers -o wide',
      shows:
        /^192\.0\.2\.2 {2}node {2}64512 {2}established {2}1h02m {2}2 +2 +1 +3 +node\/worker-2 +mesh$/m,
    },
    {
      args: 'show routes',
      shows: /^failed {2}10\.2\.0\.0\/24 {2}drop +own +this node +no such table$/m,
    },
    {
      args: 'show advertisements',
      shows:
        /^done {4}10\.96\.0\.10\/32 {2}192\.0\.2\.1 {2}service {2}shop\/web {2}100 +70 +64512:7$/m,
    },
    { args: 'show advertisements -o wide', shows: /NEIGHBOURS\n.* {2}peer\/tor-a$/m },
    {
      args: 'show errors',
      shows: /^Service\/default\/web {2}spec\.externalIPs\[0\] {2}not an IP/m,
    },
    { args: 'show tables', shows: /^routes {2}3 +2 +1$/m },
    { args: 'show tables routes', shows: /10\.1\.0\.0\/24 via 192\.0\.2\.2/ },
    { args: 'show tables nat', shows: /^none$/m },
    { args: 'trace 10.1.1.1 10.96.0.10:80', shows: /delivered to 10\.244\.1\.2:80$/m },
    { args: '--version', shows: /^1\.2\.3$/m },
    { args: 'show --help', shows: /services +frontends/ },
  ];
  for (const c of texts) {
    it(`prints for people: ${c.args}`, async () => {
      const { code, out, err } = await kvr(c.args);
      assert.match(out, c.shows);
      assert.deepEqual([code, err], [0, '']);
    });
  }

  it('explains a route: the verdict first, then next hops, paths and Services', async () => {
    const { code, out } = await kvr('explain route 10.1.0.9');
    assert.equal(code, 0);
    assert.deepEqual(out.replaceAll(/ +$/gm, '').split('\n'), [
      '10.1.0.9: by 10.1.0.0/24 of 192.0.2.2 (n2), 192.0.2.2 by direct; in force',
      'Gate x wants this prefix, too',
      '',
      'NEXT HOP   NODE  BY      PATH                      WHY',
      '192.0.2.2  n2    direct  via 192.0.2.2 dev uplink  it is in a subnet of this node',
      '',
      'PATH         FROM     NEXT HOP   AS PATH  PREF  COMMUNITIES  AGE    USE               WHY',
      '10.1.0.0/24  node/n2  192.0.2.2  65001    100   64512:7      1h02m  best',
      '10.1.0.0/24  peer/a   192.0.2.2  65001    100   64512:7      1h02m  rejected (stale)  ours, IPv4',
      '',
      'ClusterIP of Service shop/web, announced as 10.96.0.10/32: announced by bgp.advertise.clusterIps',
      '',
      'HEARD BY  ADDRESS      NEXT HOP   PREPENDED  PREF  COMMUNITIES',
      'peer/a    192.0.2.253  192.0.2.2  65001      100   64512:7',
      '',
      'NOT HEARD BY  WHY',
      'node/n2       no statement',
      '',
      'GoBGP does not answer: it is away',
      '',
    ]);
    const json = JSON.parse((await kvr('explain route 10.1.0.9 -o json')).out);
    assert.equal(json.candidates.length, 2);
    const wrong = await kvr('explain route nowhere');
    assert.deepEqual(
      [wrong.code, wrong.err],
      [exitCodes.refused, 'kvr: "nowhere" is neither an address nor a prefix\n'],
    );
  });

  it('explains a flow: the verdict first, then each end with its rule, counts and what is in force', async () => {
    const asked = 'explain policy --from shop/web-1 --to svc/shop/db --port 5432';
    const { code, out } = await kvr(asked);
    assert.equal(code, 0);
    assert.deepEqual(out.replaceAll(/ +$/gm, '').split('\n'), [
      'shop/web-1 to svc/shop/db 5432: denied on the way into shop/db-1: no rule allows it',
      'Service shop/db 10.96.0.10:5432/tcp',
      '10.244.1.2 to 10.244.2.3 5432/tcp',
      'END         POD         NODE  VERDICT  BY                                                                           FILTER               RULE                                   HITS           DENIED  IN FORCE',
      'egress of   shop/web-1  n1    allowed  NetworkPolicy/shop/out rule 2 (db); would be denied: NetworkPolicy/shop/try  np-12 rule 4         reflect tcp 0.0.0.0/0 > 10.244.2.3/32  5 (of 2 pods)  9       done',
      'ingress of  shop/db-1   n2    DENIED   no rule of NetworkPolicy/shop/db allows it                                   np-deny-in-2 rule 0  deny any 0.0.0.0/0 > 0.0.0.0/0         -              -       elsewhere',
      '',
      'shop/db-1 on node n2: judged by what is known here',
      '',
    ]);
    const json = JSON.parse((await kvr(`${asked} -o json`)).out);
    assert.equal(json.flows[0].ends.length, 2);
    const wrong = await kvr('explain policy --from nobody/x --to shop/db-1');
    assert.deepEqual([wrong.code, wrong.err], [exitCodes.refused, 'kvr: from: no pod nobody/x\n']);
  });

  it("explains a pod's policies: both lists in order, with reasons and counts", async () => {
    const { code, out } = await kvr('explain policy --pod shop/web-1');
    assert.equal(code, 0);
    assert.deepEqual(out.replaceAll(/ +$/gm, '').split('\n'), [
      'shop/web-1: isolated: Ingress',
      '10.244.1.2 on kvr3f2a, done',
      '',
      'what the pod sends (Egress): the first rule that matches decides',
      'FILTER   RULES  HITS            STATUS  WHY',
      'np-open  2      40 (of 3 pods)  done    no policy says anything',
      '',
      'what is sent to the pod (Ingress, isolated): the first rule that matches decides',
      'FILTER        RULES  HITS  STATUS       WHY',
      'np-deny-in-1  2      -     VPP says no  no rule of NetworkPolicy/shop/web allows it',
      '',
      'problems',
      'OBJECT          FIELD     REASON',
      'Pod/shop/web-1  policies  too many rules',
      '',
    ]);
    const json = JSON.parse((await kvr('-o json explain policy --pod shop/web-1')).out);
    assert.equal(json.lists.length, 2);
    assert.equal((await kvr('explain policy --pod nobody/x')).err, 'kvr: no pod nobody/x\n');
  });

  it('prints what the daemon said as JSON and YAML', async () => {
    const expected = { items: sampleView.pods() };
    assert.deepEqual(JSON.parse((await kvr('show pods -o json')).out), expected);
    assert.deepEqual(parse((await kvr('-o yaml show pods')).out), expected);
  });

  it('status ends with 1 while the node is not ready, and says why', async () => {
    const { code, out } = await kvr('status');
    assert.equal(code, exitCodes.notReady);
    assert.match(out, /^worker-1: NOT READY/);
    assert.match(out, /^vpp +NO +not connected to \/run\/vpp\/api\.sock$/m);
    view = { ...sampleView, checks: () => [] };
    const ready = await kvr('status');
    view = sampleView;
    assert.equal(ready.code, 0);
    assert.match(ready.out, /^worker-1: ready/);
  });

  it('never sends control characters of an object to the terminal', async () => {
    const object = 'Service/a/\u001b[2Jb';
    view = { ...sampleView, problems: () => [{ object, field: 'x', reason: 'a\nb' }] };
    const { out } = await kvr('show errors');
    view = sampleView;
    assert.match(out, /^Service\/a\/\?\[2Jb {2}x {6}a\?b$/m);
  });

  const usage = [
    { args: 'show zap', says: /unknown command 'zap'/ },
    { args: 'trace 10.1.1.1', says: /missing required argument 'dst'/ },
    { args: 'trace 10.1.1.1 web:80', says: /DST is not an address/ },
    { args: 'explain policy', says: /say --from and --to, or --pod/ },
    { args: 'explain policy --from a/b', says: /say --from and --to, or --pod/ },
    { args: 'explain policy --pod a/b --port 80', says: /say --from and --to, or --pod/ },
    { args: 'show pods -o xml', says: /Allowed choices are text, wide, json, yaml/ },
    { args: 'show pods --bogus', says: /unknown option '--bogus'/ },
  ];
  for (const c of usage) {
    it(`ends with 2 and says what is wrong: ${c.args}`, async () => {
      const { code, out, err } = await kvr(c.args);
      assert.match(err, c.says);
      assert.deepEqual([code, out], [exitCodes.usage, '']);
    });
  }

  it('ends with 3 and says which socket when there is no daemon', async () => {
    const { code, out, err } = await kvr('show pods', 'absent.sock');
    assert.match(err, /no daemon: .*absent\.sock does not exist.*--socket PATH/);
    assert.deepEqual([code, out], [exitCodes.unreachable, '']);
  });

  it('ends with 3 when whoever listens hangs up', async () => {
    const server = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => server.listen(join(directory, 'odd.sock'), resolve));
    const { code, err } = await kvr('show pods', 'odd.sock');
    server.close();
    assert.match(err, /cannot ask the daemon on .*odd\.sock/);
    assert.equal(code, exitCodes.unreachable);
  });

  it('ends with 4 and the reason when the daemon refuses', async () => {
    const { code, err } = await kvr('show tables zap');
    assert.match(err, /^kvr: no table "zap"; there are /);
    assert.equal(code, exitCodes.refused);
    view = { ...sampleView, peers: () => Promise.reject(new Error('gobgpd does not answer')) };
    const peers = await kvr('show peers');
    view = sampleView;
    assert.equal(peers.err, 'kvr: gobgpd does not answer\n');
  });
});

describe('formatDuration', () => {
  const cases: readonly [number, string][] = [
    [0, '0s'],
    [59.9, '59s'],
    [60, '1m00s'],
    [3725, '1h02m'],
    [90_000, '1d01h'],
    [-5, '0s'],
  ];
  for (const [seconds, text] of cases) {
    it(`${seconds} s is ${text}`, () => assert.equal(formatDuration(seconds), text));
  }
});
