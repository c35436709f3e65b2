import { request } from 'node:http';
import type {
  PodView,
  RowView,
  ServiceView,
  StatusView,
  TableView,
} from '../src/core/control-api.ts';
import type { PeerView } from '../src/core/control-routing.ts';

/** Asks a daemon what `kvr` asks, over the same socket. */
export interface ControlClient {
  status(): Promise<StatusView>;
  tables(): Promise<readonly TableView[]>;
  rows(table: string): Promise<readonly RowView[]>;
  services(): Promise<readonly ServiceView[]>;
  peers(): Promise<readonly PeerView[]>;
  pods(): Promise<readonly PodView[]>;
}

const timeoutMs = 2000;

export function createControlClient(socketPath: string): ControlClient {
  const items = async <T>(path: string) => ((await get(socketPath, path)) as { items: T[] }).items;
  return {
    status: () => get(socketPath, '/status') as Promise<StatusView>,
    tables: () => items('/tables'),
    rows: (table) => items(`/tables/${table}`),
    services: () => items('/services'),
    peers: () => items('/peers'),
    pods: () => items('/pods'),
  };
}

function get(socketPath: string, path: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const out = request({ socketPath, path, timeout: timeoutMs }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        if (response.statusCode === 200) resolve(JSON.parse(text));
        else reject(new Error(`${path}: HTTP ${response.statusCode} ${text.slice(0, 200)}`));
      });
    });
    out.on('timeout', () => out.destroy(new Error(`${path}: no answer within ${timeoutMs} ms`)));
    out.on('error', reject);
    out.end();
  });
}
