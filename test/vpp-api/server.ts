/** The other end of a connection, in memory: a VPP that does what a test tells it to. */
import { type Duplex, duplexPair } from 'node:stream';
import { type MessageName, messageNames } from '../../native/vpp-api/catalogue/index.ts';
import {
  codecOf,
  decodeHeader,
  encodeFrame,
  type FieldsOf,
  messageId,
  nameCrcOf,
} from '../../native/vpp-api/codec.ts';
import { createDeframer } from '../../native/vpp-api/frame.ts';

/** A request as the server saw it. */
export interface Received {
  readonly name: MessageName;
  readonly clientIndex: number;
  readonly context: number;
  readonly fields: Record<string, unknown>;
}

export interface Server {
  /** The client's end. */
  readonly stream: Duplex;
  /** The server's end. */
  readonly far: Duplex;
  readonly received: Received[];
  reply<N extends MessageName>(name: N, context: number, fields: FieldsOf<N>): void;
}

export const clientIndex = 0x80000001;
const version = {
  retval: 0,
  program: 'vpe',
  version: '26.06',
  build_date: '',
  build_directory: '',
};

/** Answers the handshake and `show_version`, and tells `script` about everything else. */
export function createServer(
  script: (request: Received, server: Server) => void = () => undefined,
  missing: readonly MessageName[] = [],
): Server {
  const [stream, far] = duplexPair();
  // Ids of another VPP than the one that the catalogue was read from.
  const ids = new Map(messageNames.map((name, i) => [name, 2000 - i]));
  ids.set('sockclnt_create', 15).set('sockclnt_create_reply', 16);
  const names = new Map([...ids].map(([name, id]) => [id, name]));
  const deframer = createDeframer();
  const server: Server = {
    stream,
    far,
    received: [],
    reply(name, context, fields) {
      const header = { id: ids.get(name) ?? 0, clientIndex, context };
      far.write(encodeFrame(name, header, fields));
    },
  };
  far.on('data', (chunk: Buffer) =>
    deframer.push(chunk, (bytes) => {
      const name = names.get(messageId(bytes)) ?? 'control_ping';
      const { context, clientIndex: index } = decodeHeader(name, bytes);
      const fields = codecOf(name).decode(bytes) as Record<string, unknown>;
      if (name === 'sockclnt_create') {
        const present = [...ids].filter(([other]) => !missing.includes(other));
        const table = present.map(([other, id]) => ({ index: id, name: nameCrcOf(other) }));
        const reply = { response: 0, index: clientIndex, message_table: table };
        server.reply('sockclnt_create_reply', context, reply);
      } else if (name === 'sockclnt_delete') {
        server.reply('sockclnt_delete_reply', context, { response: 1 });
        far.end();
      } else if (name === 'show_version') server.reply('show_version_reply', context, version);
      else {
        const request = { name, context, clientIndex: index, fields };
        server.received.push(request);
        script(request, server);
      }
    }),
  );
  return server;
}

export const pong = { retval: 0, client_index: 0, vpe_pid: 1 };

/** Answers pings, and with 0 what `script` does not. */
export function ponging(
  script: (request: Received, server: Server) => boolean = () => false,
): (request: Received, server: Server) => void {
  return (request, server) => {
    if (script(request, server)) return;
    if (request.name === 'control_ping') server.reply('control_ping_reply', request.context, pong);
  };
}
