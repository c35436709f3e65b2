import type { JsonObject } from './objects.ts';
import { formatGroupVersion, type Resource, resources } from './resources.ts';

const verbs = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];

/** The answer to a discovery path such as `/apis/apps/v1`; undefined when it is none. */
export function discover(path: string, version: string): JsonObject | undefined {
  switch (path) {
    case '/version':
      return formatVersion(version);
    case '/api':
      return { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: [] };
    case '/apis':
      return { kind: 'APIGroupList', apiVersion: 'v1', groups: groupNames().map(formatGroup) };
    case '/api/v1':
      return resourceList('', 'v1');
    default: {
      const [, group = '', groupVersion] = /^\/apis\/([^/]+)(?:\/([^/]+))?$/.exec(path) ?? [];
      if (!groupNames().includes(group)) return undefined;
      if (groupVersion === undefined) {
        return { kind: 'APIGroup', apiVersion: 'v1', ...formatGroup(group) };
      }
      return resourceList(group, groupVersion);
    }
  }
}

function groupNames(): readonly string[] {
  return [...new Set(resources.map((r) => r.group))].filter((group) => group !== '');
}

function formatGroup(group: string): JsonObject {
  const versions = resources.filter((r) => r.group === group).map((r) => r.version);
  const named = [...new Set(versions)].map((version) => ({
    groupVersion: `${group}/${version}`,
    version,
  }));
  return { name: group, versions: named, preferredVersion: named[0] };
}

function resourceList(group: string, version: string): JsonObject | undefined {
  const listed = resources.filter((r) => r.group === group && r.version === version);
  const [first] = listed;
  if (first === undefined) return undefined;
  const groupVersion = formatGroupVersion(first);
  const head = { kind: 'APIResourceList', apiVersion: 'v1', groupVersion };
  return { ...head, resources: listed.flatMap(formatResource) };
}

function formatResource(resource: Resource): readonly JsonObject[] {
  const { plural, singular, kind, namespaced, shortNames } = resource;
  const main = { name: plural, singularName: singular, namespaced, kind, verbs, shortNames };
  const categories = [
    'pods',
    'services',
    'deployments',
    'replicasets',
    'statefulsets',
    'daemonsets',
  ];
  const subresources = resource.subresources.map((name) => ({
    name: `${plural}/${name}`,
    singularName: '',
    namespaced,
    kind: name === 'scale' ? 'Scale' : kind,
    ...(name === 'scale' ? { group: 'autoscaling', version: 'v1' } : {}),
    verbs: ['get', 'patch', 'update'],
  }));
  return [categories.includes(plural) ? { ...main, categories: ['all'] } : main, ...subresources];
}

function formatVersion(version: string): JsonObject {
  const [, major = '', minor = ''] = /^v(\d+)\.(\d+)/.exec(version) ?? [];
  const platform = `${process.platform}/${process.arch}`;
  return { major, minor, gitVersion: version, platform };
}
