/** VPP 26.06: vpe.api */
import { dump, enumeration, f64, i32, reply, request, string } from '../schema.ts';

/** Messages of vpe.api, by name. */
export const vpeMessages = {
  show_version: request(0x51077d14, 'show_version_reply', {}),
  show_version_reply: reply(0xc919bde1, {
    retval: i32,
    program: string(32),
    version: string(32),
    build_date: string(32),
    build_directory: string(256),
  }),
  show_vpe_system_time: request(0x51077d14, 'show_vpe_system_time_reply', {}),
  show_vpe_system_time_reply: reply(0x7ffd8193, { retval: i32, vpe_system_time: f64 }),
  log_dump: dump(0x6ab31753, 'log_details', { start_timestamp: f64 }),
  log_details: reply(0x03d61cc0, {
    timestamp: f64,
    level: enumeration('log_level', 'u32'),
    msg_class: string(32),
    message: string(256),
  }),
} as const;
