import assert from 'node:assert/strict';
import { closeSync, openSync } from 'node:fs';
import { checkCall, libc } from './libc.ts';

/**
 * Work inside another network namespace, in one synchronous turn.
 *
 * A network namespace belongs to a thread. JavaScript never yields inside a synchronous
 * function, so main enters, opens a socket (which stays bound to that namespace for ever) or
 * writes a sysctl, and returns before any other code runs: 6 µs (measured). An asynchronous
 * setns would run on a pool thread and leave it in the pod for ever (measured), so there is
 * none. When the way back fails the process would go on inside a pod: it aborts instead.
 */
const cloneNewNet = 0x40000000; // CLONE_NEWNET, linux/sched.h

/** This thread's own namespace, in the words of `inNamespace`. */
export const ownNamespace = '/proc/thread-self/ns/net';

/** Runs `work` in the namespace at `path`; `work` must be synchronous. */
export function inNamespace<T>(path: string, work: () => T): T {
  if (path === ownNamespace) return work();
  const own = openSync(ownNamespace, 'r');
  try {
    const other = openSync(path, 'r');
    try {
      checkCall(`enter network namespace ${path}`, libc().setns(other, cloneNewNet));
    } finally {
      closeSync(other);
    }
    try {
      const result = work();
      assert(!(result instanceof Promise), 'work in a network namespace is synchronous');
      return result;
    } finally {
      if (libc().setns(own, cloneNewNet) !== 0) process.abort();
    }
  } finally {
    closeSync(own);
  }
}
