/**
 * The protocol between the CNI executable and the daemon. Pure.
 *
 * One call a connection; lengths are decimal numbers of bytes. The executable's source,
 * native/cni/kvr-cni.c, is the other side.
 *
 *     request  "kvr-cni 1\n" *( name " " length "\n" value "\n" ) "end\n"
 *     reply    "kvr-cni 1 " exit-code " " length "\n" value
 */
export const requestMaxBytes = 1024 * 1024 + 64 * 1024;

/** Environment and standard input of the executable; `stdin` is one of the names. */
export type RawCall = ReadonlyMap<string, string>;

export type RequestParse =
  | { readonly state: 'complete'; readonly call: RawCall }
  | { readonly state: 'incomplete' }
  | { readonly state: 'damaged'; readonly problem: string };

const magic = Buffer.from('kvr-cni 1\n');
const ending = Buffer.from('end\n');
const newline = 10;
const names: ReadonlySet<string> = new Set([
  'CNI_COMMAND',
  'CNI_CONTAINERID',
  'CNI_NETNS',
  'CNI_IFNAME',
  'CNI_ARGS',
  'CNI_PATH',
  'stdin',
]);
/** Longest line before a value: a name, a space and a length. */
const lineMaxBytes = 64;

/** What has arrived so far, as a call. */
export function parseRequest(bytes: Buffer): RequestParse {
  if (bytes.length > requestMaxBytes) return damaged(`longer than ${requestMaxBytes} bytes`);
  const start = bytes.subarray(0, magic.length);
  if (!magic.subarray(0, start.length).equals(start)) return damaged('unknown protocol');
  const call = new Map<string, string>();
  let at = magic.length;
  for (;;) {
    const end = bytes.indexOf(newline, at);
    if (end < 0) {
      return bytes.length - at > lineMaxBytes ? damaged('line too long') : { state: 'incomplete' };
    }
    if (bytes.subarray(at, end + 1).equals(ending)) {
      return end + 1 === bytes.length
        ? { state: 'complete', call }
        : damaged('bytes after the end');
    }
    const line = bytes.toString('latin1', at, Math.min(end, at + lineMaxBytes));
    const [, name = '', lengthText = ''] = /^([A-Za-z_]+) (\d{1,8})$/.exec(line) ?? [];
    if (!names.has(name)) return damaged(`unknown field ${JSON.stringify(line)}`);
    if (call.has(name)) return damaged(`${name} twice`);
    const valueEnd = end + 1 + Number(lengthText);
    if (valueEnd > requestMaxBytes) return damaged(`${name} is too long`);
    if (valueEnd >= bytes.length) return { state: 'incomplete' };
    if (bytes[valueEnd] !== newline) return damaged(`${name} has another length`);
    call.set(name, bytes.toString('utf8', end + 1, valueEnd));
    at = valueEnd + 1;
  }
}

export function formatRequest(call: RawCall): Buffer {
  const parts: Buffer[] = [magic];
  for (const [name, value] of call) {
    const bytes = Buffer.from(value);
    parts.push(Buffer.from(`${name} ${bytes.length}\n`), bytes, Buffer.of(newline));
  }
  return Buffer.concat([...parts, ending]);
}

export function formatReply(exitCode: number, output: string): Buffer {
  return Buffer.from(`kvr-cni 1 ${exitCode} ${Buffer.byteLength(output)}\n${output}`);
}

function damaged(problem: string): RequestParse {
  return { state: 'damaged', problem };
}
