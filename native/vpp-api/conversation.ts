/** Requests and replies on a stream whose message table is known. */
import type { Duplex } from 'node:stream';
import { createBatch } from './batch.ts';
import { catalogue, type MessageName, type RequestName } from './catalogue/index.ts';
import type { RequestOptions, Requests, VppConnection } from './client.ts';
import { type FieldsOf, nameCrcOf } from './codec.ts';
import { createRetvalError, VppError, VppUnsupportedError } from './errors.ts';
import { createExchanges, type ExchangeOptions } from './exchanges.ts';
import type { MessageTable } from './handshake.ts';
import { guardRequest, type HazardState, learnReply } from './hazards.ts';
import { retvalAgain, retvalOf } from './retval.ts';

/** Calls that one cursor stream may take. */
const maxStreamCalls = 10_000;

type Conversation = Pick<
  VppConnection,
  | 'request'
  | 'requestAll'
  | 'dump'
  | 'events'
  | 'assumeSnatAddresses'
  | 'closed'
  | typeof Symbol.asyncDispose
>;

export function createConversation(
  stream: Duplex,
  table: MessageTable,
  options: ExchangeOptions,
): Conversation {
  const hazards: HazardState = { snatAddressesSet: false };
  let version = '';
  const exchanges = createExchanges(stream, table, options);
  const start = (
    name: MessageName,
    fields: unknown,
    reply: MessageName,
    details: MessageName | undefined,
    signal: AbortSignal | undefined,
  ) => {
    const missing = [name, reply].filter((message) => table.idOf(message) === undefined);
    if (missing.length > 0) {
      return Promise.reject(new VppUnsupportedError(name, missing.map(nameCrcOf), version));
    }
    try {
      guardRequest(name, fields as FieldsOf<MessageName>, hazards);
    } catch (error) {
      return Promise.reject(error);
    }
    return exchanges.start({ name, fields, reply, details, signal });
  };

  const call = (name: MessageName, fields: unknown, request: RequestOptions | undefined) => {
    const reply = catalogue[name].reply as MessageName;
    return start(name, fields, reply, undefined, request?.signal).then((answer) => {
      const retval = retvalOf(answer.reply);
      learnReply(name, retval, hazards);
      if (name === 'show_version') version = (answer.reply as { version: string }).version;
      if (retval < 0 && !request?.allow?.includes(retval)) throw createRetvalError(name, retval);
      return answer.reply;
    });
  };

  const all = (name: RequestName, requests: Requests<RequestName>): Promise<void> => {
    const reply = catalogue[name].reply as MessageName;
    const missing = [name, reply].filter((message) => table.idOf(message) === undefined);
    if (missing.length > 0) {
      const error = new VppUnsupportedError(name, missing.map(nameCrcOf), version);
      return Promise.reject(error);
    }
    if (requests.length === 0) return Promise.resolve();
    return new Promise((resolve) => {
      exchanges.startBatch(createBatch({ name, reply }, requests, { hazards, resolve }));
    });
  };

  const dump = async (name: MessageName, fields: object, request: RequestOptions | undefined) => {
    const { reply, details } = catalogue[name];
    const items: unknown[] = [];
    let next: object = fields;
    for (let calls = 0; calls < maxStreamCalls; calls++) {
      const end = (reply ?? 'control_ping_reply') as MessageName;
      const answer = await start(name, next, end, details as MessageName, request?.signal);
      for (const item of answer.items) items.push(item);
      const retval = retvalOf(answer.reply);
      if (retval !== retvalAgain) {
        if (retval < 0 && !request?.allow?.includes(retval)) throw createRetvalError(name, retval);
        return items;
      }
      next = { ...fields, cursor: (answer.reply as { cursor?: number }).cursor };
    }
    throw new VppError(name, `does not end after ${maxStreamCalls} calls`);
  };

  return {
    request: call as unknown as Conversation['request'],
    requestAll: all as unknown as Conversation['requestAll'],
    dump: dump as unknown as Conversation['dump'],
    events: exchanges.events,
    assumeSnatAddresses() {
      hazards.snatAddressesSet = true;
    },
    closed: exchanges.closed,
    [Symbol.asyncDispose]: exchanges.end,
  };
}
