import { parseAllDocuments } from 'yaml';
import type { PolicyFinding, PolicyLintView } from '../core/control-policy-lint.ts';
import { errorText } from '../core/error-text.ts';
import type { Problem } from '../core/problem.ts';
import { createInterner } from '../kube/intern.ts';
import { isObject, type JsonObject, listOf, objectOf, textOf } from '../kube/json.ts';
import { watchedKinds } from '../kube/kinds.ts';
import { keyOfObject, type Projection, projectObject } from '../kube/projection.ts';
import { policyRef } from '../model/selections.ts';
import type { FactKind, Facts } from '../model/store.ts';
import { lintPolicies } from '../policy/lint.ts';

/** `kvr policy lint`: mistakes of the policies in force. */
export function lintPoliciesInForce(facts: Facts): PolicyLintView {
  const policies = facts.policies.size + facts.clusterPolicies.size;
  return { usable: true, policies, findings: lintPolicies(facts) };
}

/**
 * `kvr policy lint FILE`: mistakes of the policies in manifests, as they would be among the pods,
 * namespaces and other policies of now. Pods and Namespaces of the manifests count as there.
 * `namespace` is that of objects without one. Nothing is applied.
 */
export function lintManifests(text: string, namespace: string, facts: Facts): PolicyLintView {
  const read = readManifests(text);
  if (!read.ok) return { usable: false, policies: 0, findings: [unreadable(read.problem)] };
  const next = new Map<FactKind, Map<string, unknown>>();
  const problems: Problem[] = [];
  const policies = new Set<string>();
  const interner = createInterner();
  for (const object of read.objects) {
    const known = kinds.find(
      (one) => one.objectKind === object.kind && one.apiVersion === object.apiVersion,
    );
    if (known === undefined) continue;
    const placed = known.isNamespaced ? inNamespace(object, namespace) : object;
    const key = keyOfObject(placed);
    const found = projectObject(known.objectKind, key, placed, interner, known.project);
    problems.push(...found.problems);
    if (known.isPolicy) policies.add(policyRef(known.objectKind as PolicyKind, key));
    if (found.fact === undefined || found.fact === 'keep') continue;
    const all = next.get(known.kind) ?? new Map<string, unknown>(facts[known.kind]);
    next.set(known.kind, all.set(key, found.fact));
  }
  const then: Facts = { ...facts, ...Object.fromEntries(next) };
  const findings = [...problems.map(unreadable), ...lintPolicies(then, policies)];
  return { usable: true, policies: policies.size, findings };
}

type PolicyKind = Parameters<typeof policyRef>[0];

const lookedAt: readonly FactKind[] = ['policies', 'clusterPolicies', 'namespaces', 'pods'];

/** What is read of manifests, as the daemon reads it from the API server. */
const kinds = Object.values(watchedKinds)
  .filter((one) => lookedAt.includes(one.kind))
  .map(({ kind, objectKind, apiVersion, project }) => ({
    kind,
    objectKind,
    apiVersion,
    project: project as Projection<unknown>,
    isPolicy: objectKind.endsWith('NetworkPolicy'),
    isNamespaced: kind === 'policies' || kind === 'pods',
  }));

type Manifests =
  | { readonly ok: true; readonly objects: readonly JsonObject[] }
  | { readonly ok: false; readonly problem: Problem };

/** Aliases in one document; more is an attempt to fill the memory. */
const aliasesMax = 100;

function readManifests(text: string): Manifests {
  const bad = (reason: string): Manifests => ({
    ok: false,
    problem: { object: 'manifests', field: '', reason },
  });
  try {
    const documents = parseAllDocuments(text);
    const objects: JsonObject[] = [];
    for (const document of 'empty' in documents ? [] : documents) {
      const [error] = document.errors;
      if (error !== undefined) return bad(error.message);
      const value: unknown = document.toJS({ maxAliasCount: aliasesMax });
      if (isObject(value)) objects.push(...(value.kind === 'List' ? itemsOf(value) : [value]));
    }
    return { ok: true, objects };
  } catch (error) {
    return bad(errorText(error));
  }
}

/** What `kubectl get -o yaml` prints of several objects. */
function itemsOf(list: JsonObject): JsonObject[] {
  return listOf(list.items).map(objectOf);
}

function inNamespace(object: JsonObject, namespace: string): JsonObject {
  const metadata = objectOf(object.metadata);
  if (textOf(metadata.namespace) !== '') return object;
  return { ...object, metadata: { ...metadata, namespace } };
}

function unreadable({ object, field, reason }: Problem): PolicyFinding {
  const meant = 'what the API server would take';
  return { severity: 'error', finding: 'unreadable', object, field, written: reason, meant };
}
