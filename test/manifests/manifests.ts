import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, parseAllDocuments } from 'yaml';

/** The parts of the manifests that the tests look at. */
export interface Container {
  readonly name: string;
  readonly image: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly securityContext?: {
    readonly privileged?: boolean;
    readonly capabilities?: { readonly add?: readonly string[]; readonly drop?: readonly string[] };
  };
  readonly livenessProbe?: Probe;
  readonly readinessProbe?: Probe;
  readonly volumeMounts?: readonly {
    readonly name: string;
    readonly mountPath: string;
    readonly mountPropagation?: string;
  }[];
}

export interface Probe {
  readonly httpGet?: { readonly host: string; readonly port: number; readonly path: string };
  readonly exec?: { readonly command: readonly string[] };
}

export interface PodSpec {
  readonly initContainers: readonly Container[];
  readonly containers: readonly Container[];
  readonly volumes: readonly {
    readonly name: string;
    readonly configMap?: { readonly name: string };
    readonly hostPath?: { readonly path: string };
  }[];
  readonly serviceAccountName: string;
}

export interface PolicyRule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

export interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly spec?: { readonly template: { readonly spec: PodSpec } };
  readonly rules?: readonly PolicyRule[];
  readonly data?: Readonly<Record<string, string>>;
}

export interface Kustomization {
  readonly resources: readonly string[];
  readonly images: readonly { readonly name: string }[];
  readonly configMapGenerator: readonly {
    readonly name: string;
    readonly files: readonly string[];
  }[];
}

export const base = 'manifests/base';

export function readText(...path: string[]): string {
  return readFileSync(join(...path), 'utf8');
}

export function readKustomization(folder: string): Kustomization {
  return parse(readText(folder, 'kustomization.yaml'));
}

/** Every document of a text; throws where it is not YAML. */
export function readManifests(text: string): Manifest[] {
  return parseAllDocuments(text, { uniqueKeys: true }).map((document) => {
    const error = document.errors[0];
    if (error !== undefined) throw error;
    return document.toJS();
  });
}

/** The manifests of the base as they are written, before kustomize. */
export function baseManifests(): Manifest[] {
  return readKustomization(base).resources.flatMap((file) => readManifests(readText(base, file)));
}

/** The pod of the DaemonSet. */
export function podSpec(): PodSpec {
  const spec = baseManifests().find((one) => one.kind === 'DaemonSet')?.spec?.template.spec;
  if (spec === undefined) throw new Error('no DaemonSet in manifests/base');
  return spec;
}

export function containerOf(name: string): Container {
  const spec = podSpec();
  const found = [...spec.initContainers, ...spec.containers].find((one) => one.name === name);
  if (found === undefined) throw new Error(`no container ${name}`);
  return found;
}
