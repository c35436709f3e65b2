import { createHash } from 'node:crypto';
import { ApiError, type KubeObject } from './objects.ts';
import { formatGroupVersion, type Resource } from './resources.ts';
import type { Matcher } from './selectors.ts';
import type { Storage } from './storage.ts';

/** One page of a list, all pages being a picture of one revision. */
export interface Page {
  readonly revision: number;
  readonly items: readonly KubeObject[];
  /** '' on the last page. */
  readonly continueToken: string;
  readonly remaining: number;
}

/** Answers lists in pages. */
export interface Lists {
  firstPage(resource: Resource, namespace: string, matches: Matcher, limit: number): Page;
  /** Throws 410 when the picture that the token belongs to is no longer held. */
  nextPage(token: string, limit: number): Page;
  /** Forgets every picture: every token is then gone. For tests of 410. */
  expire(): void;
}

/** Unfinished lists that are held; the oldest is dropped for a new one. */
const picturesLimit = 64;

/** A list that is read in pages keeps its picture, so that no page shows a later state. */
export function createLists(storage: Storage): Lists {
  const pictures = new Map<string, { readonly revision: number; readonly items: KubeObject[] }>();
  let count = 0;

  function page(items: readonly KubeObject[], revision: number, limit: number, from = 0): Page {
    const end = limit === 0 ? items.length : Math.min(items.length, from + limit);
    const shown = items.slice(from, end);
    if (end === items.length) return { revision, items: shown, continueToken: '', remaining: 0 };
    const id = createHash('sha256').update(`${revision} ${count++}`).digest('hex').slice(0, 16);
    pictures.set(id, { revision, items: items.slice(end) });
    const oldest = pictures.keys().next().value;
    if (pictures.size > picturesLimit && oldest !== undefined) pictures.delete(oldest);
    return { revision, items: shown, continueToken: id, remaining: items.length - end };
  }

  return {
    firstPage(resource, namespace, matches, limit) {
      const items = selectObjects(storage, resource, namespace, matches);
      return page(items, storage.revision, limit);
    },
    nextPage(token, limit) {
      const picture = pictures.get(token);
      if (picture === undefined) {
        const text = 'The provided continue parameter is too old to display a consistent list.';
        throw new ApiError(410, 'Expired', text);
      }
      // Kept until it is pushed out: a client may ask for the same page again.
      return page(picture.items, picture.revision, limit);
    },
    expire: () => pictures.clear(),
  };
}

/** The objects of a resource in a namespace ('' for all) that match. */
export function selectObjects(
  storage: Storage,
  resource: Resource,
  namespace: string,
  matches: Matcher,
): readonly KubeObject[] {
  const inNamespace = (object: KubeObject) =>
    namespace === '' || object.metadata.namespace === namespace;
  return storage.list(resource).filter((object) => inNamespace(object) && matches(object));
}

const texts = new WeakMap<KubeObject, string>();

/** The JSON of an object; made once, since every list and every watcher needs the same text. */
export function formatObject(object: KubeObject): string {
  let text = texts.get(object);
  if (text === undefined) {
    text = JSON.stringify(object);
    texts.set(object, text);
  }
  return text;
}

/** The JSON of a page as a `ServiceList` and so on, in pieces to be written one after the other. */
export function* formatPage(resource: Resource, page: Page): Generator<string> {
  const metadata = {
    resourceVersion: String(page.revision),
    ...(page.continueToken === ''
      ? {}
      : { continue: page.continueToken, remainingItemCount: page.remaining }),
  };
  const apiVersion = formatGroupVersion(resource);
  const head = { kind: `${resource.kind}List`, apiVersion, metadata };
  yield `${JSON.stringify(head).slice(0, -1)},"items":[`;
  let batch = '';
  for (const [i, object] of page.items.entries()) {
    batch += i === 0 ? formatObject(object) : `,${formatObject(object)}`;
    if (batch.length > pieceLength) {
      yield batch;
      batch = '';
    }
  }
  yield `${batch}]}\n`;
}

/** Characters of one piece: large enough for few writes, small enough to bound memory. */
const pieceLength = 256 * 1024;

/** The key of an object named in a path. */
export function keyOf(namespace: string, name: string): string {
  return namespace === '' ? name : `${namespace}/${name}`;
}
