import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { parsePrefix } from '../core/ip.ts';
import { createApiServer } from './server.ts';

/**
 * Runs the API server for development until SIGINT or SIGTERM.
 *
 *   node --import tsx src/apiserver/main.ts --listen 127.0.0.1:8001 --load objects.yaml
 */
const usage = `usage: main.ts [--listen ADDRESS:PORT] [--socket PATH] [--service-cidr CIDR]… [--load FILE]…`;

await main();

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      listen: { type: 'string' },
      socket: { type: 'string' },
      'service-cidr': { type: 'string', multiple: true },
      load: { type: 'string', multiple: true },
      help: { type: 'boolean' },
    },
  });
  if (values.help === true) {
    console.log(usage);
    return;
  }
  const listen = values.listen === undefined ? {} : { listen: parseListen(values.listen) };
  const socket = values.socket === undefined ? {} : { socketPath: values.socket };
  const cidrs = values['service-cidr']?.map(parseCidr);
  const serviceCidrs = cidrs === undefined ? {} : { serviceCidrs: cidrs };
  await using server = await createApiServer({ ...listen, ...socket, ...serviceCidrs });
  for (const path of values.load ?? []) server.load(readFileSync(path, 'utf8'));
  console.log(`listening on ${server.url}`);
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
}

function parseListen(text: string): { readonly address: string; readonly port: number } {
  const [, address, port] = /^\[?([^\]]+?)\]?:(\d{1,5})$/.exec(text) ?? [];
  if (address === undefined) throw new TypeError(`--listen ${text}: expected ADDRESS:PORT`);
  return { address, port: Number(port) };
}

function parseCidr(text: string) {
  const cidr = parsePrefix(text);
  if (cidr === undefined) throw new TypeError(`--service-cidr ${text}: not a prefix`);
  return cidr;
}
