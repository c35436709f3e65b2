import {
  ApiError,
  asObject,
  asObjects,
  asText,
  asTexts,
  type JsonObject,
  type KubeObject,
} from './objects.ts';

/** Decides whether an object is part of a list or watch. */
export type Matcher = (object: KubeObject) => boolean;

/** The `labelSelector` and `fieldSelector` of a request as one test; throws 400 when malformed. */
export function parseSelectors(labelSelector: string, fieldSelector: string): Matcher {
  const tests = [...parseLabelSelector(labelSelector), ...parseFieldSelector(fieldSelector)];
  return tests.length === 0 ? () => true : (object) => tests.every((test) => test(object));
}

/** Equality-based selectors of Services: every label must be there; an empty selector matches none. */
export function matchesLabels(selector: JsonObject, labels: JsonObject | undefined): boolean {
  const wanted = Object.entries(selector);
  return wanted.length > 0 && wanted.every(([key, value]) => labels?.[key] === value);
}

/** A `LabelSelector` object (matchLabels and matchExpressions); empty matches everything. */
export function matchesSelector(selector: JsonObject, labels: JsonObject = {}): boolean {
  for (const [key, value] of Object.entries(asObject(selector.matchLabels))) {
    if (labels[key] !== value) return false;
  }
  return asObjects(selector.matchExpressions).every((expression) => {
    const value = labels[asText(expression.key)];
    const listed = typeof value === 'string' && asTexts(expression.values).includes(value);
    switch (expression.operator) {
      case 'In':
        return listed;
      case 'NotIn':
        return !listed;
      case 'Exists':
        return value !== undefined;
      case 'DoesNotExist':
        return value === undefined;
      default:
        return false;
    }
  });
}

// `key in (a,b)` contains commas, so requirements are cut only at commas outside parentheses.
const requirementPattern =
  /^(!?)\s*([A-Za-z0-9./_-]+)\s*(?:(==|=|!=)\s*([A-Za-z0-9._-]*)|(in|notin)\s*\(([^)]*)\))?$/;

function parseLabelSelector(text: string): Matcher[] {
  if (text.trim() === '') return [];
  return text.split(/,(?![^(]*\))/).map((part) => parseRequirement(part.trim()));
}

function parseRequirement(text: string): Matcher {
  const match = requirementPattern.exec(text);
  const [, not = '', key = '', equality, value = '', set, listed = ''] = match ?? [];
  if (match === null || (not === '!' && (equality ?? set) !== undefined)) {
    throw new ApiError(400, 'BadRequest', `unable to parse requirement: ${text}`);
  }
  const labelOf = (object: KubeObject) => object.metadata.labels?.[key];
  if (equality === '!=') return (object) => labelOf(object) !== value;
  if (equality !== undefined) return (object) => labelOf(object) === value;
  if (set !== undefined) {
    const values = new Set(listed.split(',').map((item) => item.trim()));
    const wanted = set === 'in';
    return (object) => {
      const label = labelOf(object);
      return (label !== undefined && values.has(label)) === wanted;
    };
  }
  if (not === '!') return (object) => labelOf(object) === undefined;
  return (object) => labelOf(object) !== undefined;
}

const fields: Readonly<Record<string, (object: KubeObject) => string>> = {
  'metadata.name': (object) => object.metadata.name,
  'metadata.namespace': (object) => object.metadata.namespace ?? '',
  'spec.nodeName': (object) => asText(object.spec?.nodeName),
  'status.phase': (object) => asText(object.status?.phase),
  'spec.type': (object) => asText(object.spec?.type),
  'spec.clusterIP': (object) => asText(object.spec?.clusterIP),
  type: (object) => asText(object.type),
  reason: (object) => asText(object.reason),
  'involvedObject.kind': (object) => asText(asObject(object.involvedObject).kind),
  'involvedObject.name': (object) => asText(asObject(object.involvedObject).name),
  'involvedObject.namespace': (object) => asText(asObject(object.involvedObject).namespace),
  'involvedObject.uid': (object) => asText(asObject(object.involvedObject).uid),
};

function parseFieldSelector(text: string): Matcher[] {
  if (text.trim() === '') return [];
  return text.split(',').map((part) => {
    const [, name = '', operator, value = ''] = /^([^=!]+)(==|=|!=)(.*)$/.exec(part.trim()) ?? [];
    const read = fields[name];
    if (read === undefined) {
      throw new ApiError(400, 'BadRequest', `field label not supported: ${part.trim()}`);
    }
    return operator === '!='
      ? (object: KubeObject) => read(object) !== value
      : (object: KubeObject) => read(object) === value;
  });
}
