import { request as httpRequest } from 'node:http';

/** A JSON answer with its status. */
export interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

/** One request with a JSON body. */
export async function ask(
  url: string,
  method: string,
  path: string,
  body?: unknown,
  contentType = 'application/json',
): Promise<Answer> {
  const response = await fetch(url + path, {
    method,
    headers: { 'content-type': contentType },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as Answer['body'] };
}

/** One event of a watch. */
export interface WatchLine {
  readonly type: string;
  readonly object: {
    readonly metadata: { readonly name?: string; readonly resourceVersion: string };
  };
}

/** Reads a watch until it ends or `enough` events came. */
export function watchLines(
  url: string,
  path: string,
  enough: number,
): Promise<readonly WatchLine[]> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(url + path, (response) => {
      let text = '';
      const parse = () =>
        text
          .split('\n')
          .slice(0, -1)
          .map((line) => JSON.parse(line) as WatchLine);
      response.on('data', (chunk: Buffer) => {
        text += chunk.toString('utf8');
        const lines = parse();
        if (lines.length < enough) return;
        response.destroy();
        resolve(lines);
      });
      response.once('end', () => resolve(parse()));
    });
    request.once('error', reject);
    request.end();
  });
}
