import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Clock, sleep } from '../core/clock.ts';
import { errorText } from '../core/error-text.ts';
import { passwordDigest } from '../core/password-digest.ts';
import type { Problem } from '../core/problem.ts';
import type { Store } from '../model/store.ts';

/**
 * Passwords of BGP sessions: the files of a directory where a Secret is mounted, one file per
 * key. Facts hold their digests only, so no password is in what is planned, shown or logged; the
 * one who opens a session asks for it by its key.
 *
 * kubelet replaces the files as a whole some time after the Secret changed, so looking every few
 * seconds is soon enough. What cannot be read keeps its last good value.
 */
export interface Passwords extends AsyncDisposable {
  /** Undefined: there is none of that key. */
  passwordOf(key: string): string | undefined;
}

export interface PasswordOptions {
  /** `bgp.passwordsDir` of now; '' for none. */
  readonly directory: () => string;
  readonly store: Pick<Store, 'commit' | 'facts' | 'markSynced'>;
  readonly onProblems: (problems: readonly Problem[]) => void;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** How long a changed password may be unknown. */
export const lookEveryMs = 3_000;
/** TCP_MD5SIG_MAXKEYLEN (linux/tcp.h). */
const passwordMaxBytes = 80;
const filesMax = 256;

/** Reads once before it resolves; then again and again until it is disposed of. */
export async function watchPasswords(options: PasswordOptions): Promise<Passwords> {
  const { store, clock, onProblems } = options;
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  let known: ReadonlyMap<string, string> = new Map();
  let told = '';

  async function look(): Promise<void> {
    const { passwords, problems } = await readAll(options.directory(), known);
    const changes: [string, string | undefined][] = [];
    for (const key of known.keys()) if (!passwords.has(key)) changes.push([key, undefined]);
    for (const [key, password] of passwords)
      if (known.get(key) !== password) changes.push([key, passwordDigest(password)]);
    known = passwords;
    if (changes.length > 0) store.commit('passwords', changes);
    const text = JSON.stringify(problems);
    if (text !== told) onProblems(problems);
    told = text;
  }

  async function keep(): Promise<void> {
    while (!signal.aborted) {
      // Ends early by the signal only, which the loop sees next.
      await sleep(clock, lookEveryMs, signal).catch(() => undefined);
      if (!signal.aborted) await look();
    }
  }

  await look();
  store.markSynced('passwords');
  const kept = keep();
  return {
    passwordOf: (key) => known.get(key),
    async [Symbol.asyncDispose]() {
      stop.abort();
      await kept;
    },
  };
}

interface Read {
  readonly passwords: ReadonlyMap<string, string>;
  readonly problems: readonly Problem[];
}

async function readAll(directory: string, before: ReadonlyMap<string, string>): Promise<Read> {
  const problems: Problem[] = [];
  const passwords = new Map<string, string>();
  if (directory === '') return { passwords, problems };
  const wrong = (reason: string) =>
    problems.push({ object: 'config', field: 'bgp.passwordsDir', reason });
  let names: string[];
  try {
    // `..data` and its like are how kubelet swaps all files at once.
    names = (await readdir(directory)).filter((name) => !name.startsWith('.')).toSorted();
  } catch (error) {
    wrong(`cannot read ${directory}: ${errorText(error)}; the passwords of before are kept`);
    return { passwords: before, problems };
  }
  if (names.length > filesMax) wrong(`more than ${filesMax} files; the others are not read`);
  for (const name of names.slice(0, filesMax)) {
    const read = await readOne(join(directory, name));
    const kept = before.get(name);
    if (read.password !== undefined) passwords.set(name, read.password);
    else {
      wrong(`${name}: ${read.problem}${kept === undefined ? '' : '; the one of before is kept'}`);
      if (kept !== undefined) passwords.set(name, kept);
    }
  }
  return { passwords, problems };
}

async function readOne(
  path: string,
): Promise<{ readonly password?: string; readonly problem?: string }> {
  try {
    await using file = await open(path);
    const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(passwordMaxBytes + 3) });
    // Editors and `echo` leave a line end.
    const password = buffer.toString('utf8', 0, bytesRead).replace(/\r?\n$/, '');
    if (password === '') return { problem: 'is empty' };
    if (Buffer.byteLength(password) > passwordMaxBytes)
      return { problem: `is longer than ${passwordMaxBytes} bytes, the kernel's limit` };
    return { password };
  } catch (error) {
    return { problem: `cannot be read: ${errorText(error)}` };
  }
}
