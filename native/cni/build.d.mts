/** Name of the executable in the CNI bin folder; the network configuration's `type`. */
export const executableName: 'kube-vpp-router';
/** Compiles the CNI executable into `outDir` and returns its path; throws when no compiler is there. */
export function buildCni(outDir: string): string;
