import { changes } from './changes.ts';
import type { CheckGroup } from './check.ts';
import { crashes } from './crashes.ts';
import { routing } from './routing.ts';
import { nodePorts, services } from './services.ts';

/** The checks of demo/manifests, in the order in which they are run. */
export const shopChecks: readonly CheckGroup[] = [routing, services, nodePorts, changes, crashes];
