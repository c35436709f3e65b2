import type { Pod, Service } from './objects.ts';
import type { ServedPort } from './pod-protocol.ts';

/** The container ports that the pod program serves. */
export function podPorts(pod: Pod): ServedPort[] {
  return pod.spec.containers.flatMap((container) =>
    (container.ports ?? []).flatMap(({ containerPort, protocol = 'TCP' }) =>
      protocol === 'TCP' || protocol === 'UDP' ? [{ protocol, port: containerPort }] : [],
    ),
  );
}

/**
 * The environment of a pod's containers: the Services of its namespace as Kubernetes gives them
 * (`BACKEND_SERVICE_HOST`), then `env` with its `$(NAME)` references. The demo has no DNS.
 */
export function podEnvironment(pod: Pod, services: readonly Service[]): Record<string, string> {
  const env: Record<string, string> = {
    HOSTNAME: pod.metadata.name,
    NODE_NAME: pod.spec.nodeName ?? '',
  };
  for (const service of services) {
    const { clusterIP, ports } = service.spec;
    if (service.metadata.namespace !== pod.metadata.namespace) continue;
    if (clusterIP === undefined || clusterIP === 'None' || clusterIP === '') continue;
    const name = service.metadata.name.toUpperCase().replaceAll('-', '_');
    env[`${name}_SERVICE_HOST`] = clusterIP;
    env[`${name}_SERVICE_PORT`] = String(ports?.[0]?.port ?? '');
  }
  for (const { name, value = '' } of pod.spec.containers.flatMap((c) => c.env ?? [])) {
    env[name] = value.replace(
      /\$\(([A-Za-z_][A-Za-z0-9_]*)\)/g,
      (all, key: string) => env[key] ?? all,
    );
  }
  return env;
}
