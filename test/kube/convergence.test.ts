import assert from 'node:assert/strict';
import fc from 'fast-check';
import { createApiServer } from '../../src/apiserver/server.ts';
import { createInterner } from '../../src/kube/intern.ts';
import type { JsonObject } from '../../src/kube/json.ts';
import { watchedKinds } from '../../src/kube/kinds.ts';
import type { WatchEvent } from '../../src/kube/reflector.ts';
import { createFactSink } from '../../src/kube/sink.ts';
import { createStore, type Store } from '../../src/model/store.ts';
import { createFaultProxy } from './fault-proxy.ts';
import { startRig } from './rig.ts';

/** What happens to a Service, and how the news travel. */
type Step =
  | { readonly kind: 'put'; readonly name: string; readonly port: number }
  | { readonly kind: 'delete'; readonly name: string }
  /** The events so far arrive together. */
  | { readonly kind: 'deliver' }
  /** The events so far are lost; a new picture comes instead. */
  | { readonly kind: 'relist' };

const name = fc.constantFrom('a', 'b', 'c', 'd');
// 0 and 70000 are no ports: such Services have problems, too.
const port = fc.constantFrom(80, 81, 0, 70_000);
const steps = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: fc.record({ kind: fc.constant('put' as const), name, port }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('delete' as const), name }) },
    { weight: 2, arbitrary: fc.constant<Step>({ kind: 'deliver' }) },
    { weight: 1, arbitrary: fc.constant<Step>({ kind: 'relist' }) },
  ),
  { maxLength: 40 },
);

function serviceOf(serviceName: string, servicePort: number): JsonObject {
  return {
    metadata: { name: serviceName, namespace: 'x' },
    spec: { ports: [{ port: servicePort }] },
  };
}

function startSink() {
  const store = createStore();
  const fixed = { store, interner: createInterner(), onProblemsChanged: () => {} };
  return { store, sink: createFactSink(watchedKinds.services, fixed) };
}

/** Facts and problems, in one order. */
function contentOf({ store, sink }: ReturnType<typeof startSink>) {
  const facts = [...store.facts.services].toSorted(([a], [b]) => (a < b ? -1 : 1));
  const problems = sink.problems().map((problem) => JSON.stringify(problem));
  return { facts, problems: problems.toSorted() };
}

function listInto(parts: ReturnType<typeof startSink>, truth: ReadonlyMap<string, JsonObject>) {
  const picture = parts.sink.startPicture();
  for (const object of truth.values()) picture.put(object);
  picture.finish();
}

describe('a fact sink', () => {
  it('ends with the same content for every partition of events and with relists anywhere', () => {
    fc.assert(
      fc.property(steps, (sequence) => {
        const parts = startSink();
        const truth = new Map<string, JsonObject>();
        let pending: WatchEvent[] = [];
        for (const step of [...sequence, { kind: 'deliver' } as const]) {
          switch (step.kind) {
            case 'put': {
              const object = serviceOf(step.name, step.port);
              pending.push({ type: truth.has(step.name) ? 'MODIFIED' : 'ADDED', object });
              truth.set(step.name, object);
              break;
            }
            case 'delete': {
              const object = truth.get(step.name);
              if (object !== undefined) pending.push({ type: 'DELETED', object });
              truth.delete(step.name);
              break;
            }
            case 'deliver':
              parts.sink.apply(pending);
              pending = [];
              break;
            case 'relist':
              listInto(parts, truth);
              pending = [];
              break;
          }
        }
        const fresh = startSink();
        listInto(fresh, truth);
        assert.deepEqual(contentOf(parts), contentOf(fresh));
      }),
      { numRuns: 500 },
    );
  });

  it('commits nothing when an update or a relist changes nothing that is read', () => {
    const parts = startSink();
    const truth = new Map([['a', serviceOf('a', 80)]]);
    listInto(parts, truth);
    parts.store.takeSnapshot();
    const before = parts.store.facts.services.get('x/a');
    const { revision } = parts.store;
    parts.sink.apply([{ type: 'MODIFIED', object: serviceOf('a', 80) }]);
    assert.equal(parts.store.revision, revision);
    listInto(parts, truth);
    assert.equal(parts.store.facts.services.get('x/a'), before);
    assert.deepEqual(parts.store.takeSnapshot().changed, {});
  });

  it('keeps the last good fact of an object that became unreadable, also over a relist', () => {
    const parts = startSink();
    listInto(parts, new Map([['a', serviceOf('a', 80)]]));
    const before = parts.store.facts.services.get('x/a');
    const broken = { metadata: { name: 'a', namespace: 'x' }, spec: { type: 'Magic' } };
    parts.sink.apply([{ type: 'MODIFIED', object: broken }]);
    assert.equal(parts.store.facts.services.get('x/a'), before);
    listInto(parts, new Map([['a', broken]]));
    assert.equal(parts.store.facts.services.get('x/a'), before);
    assert.equal(parts.sink.problems()[0]?.object, 'Service/x/a');
    parts.sink.apply([{ type: 'MODIFIED', object: serviceOf('a', 81) }]);
    assert.equal(parts.store.facts.services.get('x/a')?.ports[0]?.port, 81);
    assert.deepEqual(parts.sink.problems(), []);
  });
});

describe('the source over a real connection', () => {
  const action = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant('put' as const),
        name,
        port: fc.constantFrom(80, 81),
      }),
    },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('delete' as const), name }) },
    { weight: 1, arbitrary: fc.constant({ kind: 'cut' as const }) },
    { weight: 1, arbitrary: fc.constant({ kind: 'forget' as const }) },
  );

  it('converges to the server with cuts and lost history at random points', async function () {
    this.timeout(60_000);
    await fc.assert(
      fc.asyncProperty(
        fc.array(action, { maxLength: 25 }),
        fc.boolean(),
        async (actions, watchList) => {
          await using server = await createApiServer({ endpointSlices: false });
          await using proxy = await createFaultProxy(server);
          await using rig = await startRig(proxy.url, ['services'], { watchList });
          for (const step of actions) {
            if (step.kind === 'put') server.load(JSON.stringify(manifest(step.name, step.port)));
            else if (step.kind === 'delete') removeService(server, step.name);
            else if (step.kind === 'cut') proxy.cut();
            else server.compact();
            await new Promise((resolve) => setImmediate(resolve));
          }
          server.load(JSON.stringify(manifest('last', 80)));
          await rig.until(() => rig.store.facts.services.has('default/last'));
          assert.deepEqual(portsIn(rig.store), portsOn(server));
        },
      ),
      { numRuns: 8 },
    );
  });
});

type Server = Awaited<ReturnType<typeof createApiServer>>;

const resource = {
  group: '',
  version: 'v1',
  plural: 'services',
  singular: 'service',
  kind: 'Service',
  shortNames: [],
  namespaced: true,
  subresources: [],
} as const;

function manifest(serviceName: string, servicePort: number) {
  const metadata = { name: serviceName };
  return { apiVersion: 'v1', kind: 'Service', metadata, spec: { ports: [{ port: servicePort }] } };
}

function removeService(server: Server, serviceName: string): void {
  const key = `default/${serviceName}`;
  if (server.api.storage.get(resource, key) !== undefined) server.api.remove(resource, key);
}

function portsIn(store: Store): readonly string[] {
  const facts = [...store.facts.services.values()];
  return facts.map((fact) => `${fact.key} ${fact.clusterIps} ${fact.ports[0]?.port}`).toSorted();
}

function portsOn(server: Server): readonly string[] {
  return server.api.storage.list(resource).map((object) => {
    const { clusterIP, ports } = object.spec ?? {};
    const [first] = ports as readonly { readonly port: number }[];
    return `default/${object.metadata.name} ${String(clusterIP)} ${first?.port}`;
  });
}
