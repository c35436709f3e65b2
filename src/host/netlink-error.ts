import { constants } from 'node:os';

/** Linux refused something: a netlink request, a system call or a sysctl. */
export class NetlinkError extends Error {
  override readonly name = 'NetlinkError';
  /** What was asked for, such as `RTM_NEWROUTE 10.0.0.0/24`. */
  readonly request: string;
  /** Positive errno; 0 when the kernel gave none. */
  readonly errno: number;
  /** Name of the errno, such as `EEXIST`. */
  readonly code: string;

  constructor(request: string, errno: number, detail: string, options?: ErrorOptions) {
    const code = errnoName(errno);
    super(`${request}: ${[code, detail].filter((part) => part !== '').join(' ')}`, options);
    this.request = request;
    this.errno = errno;
    this.code = code;
  }
}

/** True when `error` is Linux saying one of these errnos, such as `ENODEV`. */
export function isErrno(error: unknown, ...codes: readonly string[]): boolean {
  if (!(error instanceof Error) || !('code' in error)) return false;
  return typeof error.code === 'string' && codes.includes(error.code);
}

function errnoName(errno: number): string {
  for (const [name, value] of Object.entries(constants.errno)) if (value === errno) return name;
  return errno === 0 ? '' : `errno ${errno}`;
}
