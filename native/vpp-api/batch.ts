/** Many requests of one kind, each an exchange only while it is in flight. */
import type { MessageName, RequestName } from './catalogue/index.ts';
import type { Requests } from './client.ts';
import { createRetvalError } from './errors.ts';
import { guardRequest, type HazardState, learnReply } from './hazards.ts';
import { type Batch, type Exchange, rejectExchange } from './pending.ts';
import { retvalOf } from './retval.ts';

/** The caller's requests with the guards in front and the retvals looked at behind. */
export function createBatch(
  message: { readonly name: RequestName; readonly reply: MessageName },
  requests: Requests<RequestName>,
  { hazards, resolve }: { readonly hazards: HazardState; readonly resolve: () => void },
): Batch {
  const { name } = message;
  let left = requests.length;
  const settled = () => {
    if (--left === 0) resolve();
  };
  const failed = (index: number, error: unknown) => {
    requests.failed(index, error);
    settled();
  };
  return {
    ...message,
    length: requests.length,
    fieldsOf(index) {
      const fields = requests.fieldsOf(index);
      guardRequest(name, fields, hazards);
      return fields;
    },
    answered(index, answer) {
      const retval = retvalOf(answer);
      learnReply(name, retval, hazards);
      if (retval < 0 && !requests.allow?.includes(retval)) {
        failed(index, createRetvalError(name, retval));
        return;
      }
      requests.done(index, answer as never);
      settled();
    },
    failed,
  };
}

/** A batch and how far it is. */
export interface BatchInProgress {
  readonly of: Batch;
  next: number;
}

const unused = () => undefined;

/** Settled already when its fields cannot be had. */
export function nextOfBatch(batch: BatchInProgress): Exchange {
  const { of } = batch;
  const index = batch.next++;
  try {
    return batchExchange(of, index, of.fieldsOf(index));
  } catch (error) {
    const exchange = batchExchange(of, index, undefined);
    rejectExchange(exchange, error);
    return exchange;
  }
}

/** Those that were not sent. */
export function restOfBatch(batch: BatchInProgress): Exchange[] {
  const rest: Exchange[] = [];
  while (batch.next < batch.of.length) rest.push(batchExchange(batch.of, batch.next++, undefined));
  return rest;
}

function batchExchange(batch: Batch, index: number, fields: unknown): Exchange {
  return {
    name: batch.name,
    fields,
    reply: batch.reply,
    details: undefined,
    items: undefined,
    bytes: 0,
    order: 0,
    sentAt: 0,
    settled: false,
    resolve: unused,
    reject: unused,
    batch,
    index,
    unlisten: undefined,
  };
}
