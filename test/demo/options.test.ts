import assert from 'node:assert/strict';
import { parseOptions } from '../../demo/options.ts';
import { findVpp } from '../../demo/vpp-config.ts';

describe("the demo's options", () => {
  it('have defaults: two nodes, the embedded data plane, stay up', () => {
    const options = parseOptions([]);
    assert.ok(options.ok);
    const { dataplane, nodes, once, manifests, port } = options.value;
    assert.deepEqual(
      { dataplane, nodes, once, manifests, port },
      { dataplane: 'embedded', nodes: 2, once: false, manifests: undefined, port: 0 },
    );
  });

  const wrong = [
    { args: ['--dataplane', 'dpdk'], says: /--dataplane .* not dpdk/ },
    { args: ['--nodes', '4'], says: /--nodes is 2 or 3, not 4/ },
    { args: ['--port', '70000'], says: /--port .* 70000/ },
    { args: ['--crashes', '-1'], says: /--crashes/ },
    { args: ['--crashes', '1', '--manifests', '.'], says: /--crashes .* --manifests/ },
    { args: ['--seed', 'x'], says: /--seed .* x/ },
    { args: ['--only', '('], says: /--only is a regular expression/ },
    { args: ['--twice'], says: /--twice/ },
    { args: ['folder'], says: /folder/ },
  ];
  for (const { args, says } of wrong) {
    it(`refuse ${args.join(' ')} and say why`, () => {
      const options = parseOptions(args);
      assert.ok(!options.ok);
      assert.match(options.problem, says);
    });
  }
});

describe('the search for VPP', () => {
  it('takes what VPP_BIN names, and nothing else', () => {
    const found = findVpp({ VPP_BIN: process.execPath, PATH: '' });
    assert.ok(found.ok);
    assert.equal(found.value.program, process.execPath);
  });

  it('says that VPP_BIN names no executable', () => {
    const found = findVpp({ VPP_BIN: '/nowhere/vpp' });
    assert.ok(!found.ok);
    assert.match(found.problem, /\/nowhere\/vpp/);
  });
});
