import type { FibPath } from '../fib/paths.ts';
import { describePath, readPath } from './ip.ts';
import { type Answers, Retval, type World, WouldCrashVpp } from './world.ts';

/** The abf plugin. Source: VPP v26.06 `plugins/abf/abf_api.c`. */
export function abfAnswers(world: World): Answers {
  const { abf } = world.plane;
  return {
    abf_plugin_get_version: () => ({ major: 1, minor: 0 }),
    abf_policy_add_del({ is_add: isAdd, policy }) {
      const { policy_id: id, acl_index: aclIndex } = policy;
      const known = abf.policies.get(id);
      if (policy.paths.length === 0) return { retval: Retval.invalidValue };
      if (!isAdd) {
        if (known === undefined) return { retval: Retval.invalidValue };
        const gone = new Set(policy.paths.map((path) => pathKey(readPath(path))));
        const paths = known.paths.filter((path) => !gone.has(pathKey(path)));
        abf.put({ ...known, paths });
        return { retval: 0 };
      }
      if (known !== undefined && known.aclIndex !== aclIndex)
        return { retval: Retval.invalidValue };
      abf.put({ id, aclIndex, paths: [...(known?.paths ?? []), ...policy.paths.map(readPath)] });
      return { retval: 0 };
    },
    *abf_policy_dump() {
      for (const { id, aclIndex, paths } of abf.policies.values())
        yield {
          policy: {
            policy_id: id,
            acl_index: aclIndex,
            paths: paths.map((path) => describePath(path, 4)),
          },
        };
    },
    abf_itf_attach_add_del({ is_add: isAdd, attach }) {
      // VPP does not look whether the interface exists.
      const one = {
        policyId: attach.policy_id,
        interface: attach.sw_if_index,
        priority: attach.priority,
        family: attach.is_ipv6 ? (6 as const) : (4 as const),
      };
      if (!isAdd) return { retval: abf.detach(one) ? 0 : Retval.noSuchEntry };
      if (!abf.policies.has(attach.policy_id))
        throw new WouldCrashVpp('SIGSEGV', 'an attachment to an unknown abf policy');
      return { retval: abf.attach(one) ? 0 : Retval.entryAlreadyExists };
    },
    *abf_itf_attach_dump() {
      for (const { policyId, interface: on, priority, family } of abf.attachments)
        yield {
          attach: {
            policy_id: policyId,
            sw_if_index: on,
            priority,
            is_ipv6: family === 6,
          },
        };
    },
  };
}

const pathKey = (path: FibPath): string => JSON.stringify(path);
