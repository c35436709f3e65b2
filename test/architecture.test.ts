import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';

/**
 * The rules of the whole tree, executable. `mayImport`: folder to the folders it may import.
 * Only src/daemon, which wires everything, is free.
 */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  'src/core': [],
  'native/vpp-api': ['src/core'],
  'src/model': ['src/core'],
  'src/desired': ['src/core'],
  'src/proxy': ['src/core', 'src/model', 'src/desired'],
  'src/routing': ['src/core', 'src/model', 'src/desired'],
  'src/policy': ['src/core', 'src/model', 'src/desired'],
  'src/lb-ecmp': ['src/core', 'src/model', 'src/desired'],
  // Decides about addresses, and writes them by what it is given.
  'src/lb-pools': ['src/core', 'src/model'],
  'src/kube': ['src/core', 'src/model'],
  'src/cni': ['src/core', 'src/model'],
  'src/config': ['src/core', 'src/model'],
  'src/reconcile': ['src/core', 'src/desired'],
  'src/vpp': ['src/core', 'src/desired', 'src/reconcile', 'native/vpp-api'],
  'src/bgp': ['src/core', 'src/model', 'src/desired', 'src/reconcile', 'proto'],
  'src/host': ['src/core', 'src/model', 'src/desired', 'src/reconcile'],
  // Never src/vpp or src/desired: it is the other end of the wire, read independently.
  'src/emulator': ['src/core', 'native/vpp-api'],
  // It stands for Kubernetes: it must not know how we read Kubernetes.
  'src/apiserver': ['src/core'],
  // src/config for `kvr lint` alone, which judges a file without a daemon.
  'src/cli': ['src/core', 'src/config'],
};
const planners = ['src/proxy', 'src/routing', 'src/policy', 'src/lb-ecmp'];

const linesMax = 500;
const importPattern = /(?:from|import)\s*\(?\s*'(\.[^']+)'/g;

function filesIn(folder: string, ending = '.ts'): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending))
    .map((name) => posix.join(folder, name));
}

/** `src/kube/watch.ts` is in `src/kube`, `proto/generated/x.ts` in `proto`, a root file in ``. */
function folderOf(file: string): string {
  const parts = file.split('/');
  if (parts[0] === 'proto') return 'proto';
  return parts.length === 1 ? '' : parts.slice(0, 2).join('/');
}

function importsOf(file: string): string[] {
  return [...readFileSync(file, 'utf8').matchAll(importPattern)].map(([, target = '']) =>
    folderOf(posix.join(posix.dirname(file), target)),
  );
}

const written = ['src', 'native', 'test', 'demo', 'bench', 'scripts'].flatMap((folder) => [
  ...filesIn(folder),
  ...filesIn(folder, '.mjs'),
]);
const sources = written.filter((file) => file.startsWith('src/') || file.startsWith('native/'));

describe('architecture', () => {
  for (const [folder, allowed] of Object.entries(mayImport)) {
    it(`${folder} imports only ${allowed.join(', ') || 'nothing of ours'}`, () => {
      for (const file of filesIn(folder)) {
        for (const to of importsOf(file)) {
          const fine = to === folder || to === '' || allowed.includes(to);
          assert.ok(fine, `${file} imports ${to}`);
        }
      }
    });
  }

  it('knows every folder of sources', () => {
    const unknown = readdirSync('src').filter(
      (name) => name !== 'daemon' && mayImport[`src/${name}`] === undefined,
    );
    assert.deepEqual(unknown, []);
  });

  it('planners are pure: no waiting, no clock, no chance, no environment', () => {
    const impure = /\bawait\b|\basync\b|Date\.now|new Date\(\)|Math\.random|process\.|console\./;
    for (const file of planners.flatMap((folder) => filesIn(folder))) {
      const code = readFileSync(file, 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');
      assert.doesNotMatch(code, impure, file);
    }
  });

  it(`no file of sources has more than ${linesMax} lines`, () => {
    const long = sources
      .map((file) => ({ file, lines: readFileSync(file, 'utf8').split('\n').length - 1 }))
      .filter(({ lines }) => lines > linesMax);
    assert.deepEqual(long, []);
  });

  it('no part is named after nothing in particular', () => {
    const vague =
      /(^|[-/])(controllers?|managers?|handlers?|processors?|engines?|helpers?|utils?|common)([-./]|$)/;
    assert.deepEqual(
      written.filter((file) => vague.test(file)),
      [],
    );
  });

  it('no check is switched off and no test left out', () => {
    // Spelled in pieces: this file is checked, too.
    const pattern = new RegExp(
      [
        ['biome', 'ignore'].join('-'),
        ['eslint', 'disable'].join('-'),
        ['@ts', '(ignore|nocheck|expect-error)'].join('-'),
        String.raw`\b(it|describe)\.${'(only|skip)'}\(`,
        `\\b${['TO', 'DO'].join('')}\\b`,
      ].join('|'),
    );
    assert.deepEqual(
      written.filter((file) => pattern.test(readFileSync(file, 'utf8'))),
      [],
    );
  });

  it('has the documents that a stranger looks for', () => {
    const documents = [
      'README.md',
      'ARCHITECTURE.md',
      'CONTRIBUTING.md',
      'CHANGELOG.md',
      'LICENSE',
      'SECURITY.md',
      'docs/config.md',
      'docs/operations.md',
      'docs/bgp.md',
      'docs/routing.md',
      'docs/conformance.md',
      'docs/differences.md',
    ];
    assert.deepEqual(
      documents.filter((name) => !existsSync(name)),
      [],
    );
  });

  it('claims no rule of Kubernetes without the test that it names', () => {
    const rows = [
      ...readFileSync('docs/conformance.md', 'utf8').matchAll(
        /^\| ((?:KP|C?NP)-\d+) +\| (.+?) +\| `(.+)` +\|$/gm,
      ),
    ];
    assert.ok(rows.length > 0);
    for (const [, id = '', title = '', file = ''] of rows) {
      const lines = readFileSync(file, 'utf8').split('\n');
      assert.ok(
        lines.some((line) => line.includes(id) && line.includes(title)),
        `${file} has no test of "${id} ${title}": npm run gen`,
      );
    }
  });

  it('claims no feature of routing without the test that it names', () => {
    const rows = [
      ...readFileSync('docs/routing.md', 'utf8').matchAll(/\| `([^`|]+\.ts)`: (.+?) +\|$/gm),
    ];
    assert.ok(rows.length > 30);
    for (const [, file = '', title = ''] of rows)
      assert.ok(readFileSync(file, 'utf8').includes(title), `${file} has no test of "${title}"`);
  });

  it('has no link in its documents that leads nowhere', () => {
    const pages = [
      ...readdirSync('.').filter((name) => name.endsWith('.md')),
      ...filesIn('docs', '.md'),
    ];
    for (const page of pages) {
      for (const [, target = ''] of readFileSync(page, 'utf8').matchAll(/\]\(([^)#]+)[^)]*\)/g)) {
        if (/^https?:/.test(target)) continue;
        const path = posix.join(posix.dirname(page), target);
        assert.ok(existsSync(path), `${page} links to ${target}`);
      }
    }
  });
});
