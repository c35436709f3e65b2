export interface RunningVpp {
  readonly apiSocket: string;
  readonly statsSocket: string;
  readonly cliSocket: string;
  stop(): Promise<void>;
}
export function findVpp(): string | undefined;
export function vppEnv(vpp: string): NodeJS.ProcessEnv;
export function vppVersion(vpp: string): { readonly ok: boolean; readonly text: string };
export function startVpp(
  vpp: string,
  conf?: (directory: string) => string,
  namespace?: string,
): Promise<RunningVpp>;
