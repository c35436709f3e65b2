/** VPP 26.06: tracedump.api */
import { bool, dump, enumeration, i32, reply, request, stream, text, u8, u32 } from '../schema.ts';

/** Values of `vl_api_trace_filter_flag_t`. */
export const trace_filter_flag = {
  TRACE_FF_NONE: 0,
  TRACE_FF_INCLUDE_NODE: 1,
  TRACE_FF_EXCLUDE_NODE: 2,
  TRACE_FF_INCLUDE_CLASSIFIER: 3,
  TRACE_FF_EXCLUDE_CLASSIFIER: 4,
} as const;

/** Messages of tracedump.api, by name. */
export const tracedumpMessages = {
  trace_set_filters: request(0xf522b44a, 'trace_set_filters_reply', {
    flag: enumeration('trace_filter_flag', 'u32'),
    count: u32,
    node_index: u32,
    classifier_table_index: u32,
  }),
  trace_set_filters_reply: reply(0xe8d4e804, { retval: i32 }),
  trace_capture_packets: request(0x9e791a9b, 'trace_capture_packets_reply', {
    node_index: u32,
    max_packets: u32,
    use_filter: bool,
    verbose: bool,
    pre_capture_clear: bool,
  }),
  trace_capture_packets_reply: reply(0xe8d4e804, { retval: i32 }),
  trace_clear_capture: request(0x51077d14, 'trace_clear_capture_reply', {}),
  trace_clear_capture_reply: reply(0xe8d4e804, { retval: i32 }),
  trace_dump: stream(0xc7d6681f, 'trace_dump_reply', 'trace_details', {
    clear_cache: u8,
    thread_id: u32,
    position: u32,
    max_records: u32,
  }),
  trace_dump_reply: reply(0xe0e87f9d, {
    retval: i32,
    last_thread_id: u32,
    last_position: u32,
    more_this_thread: u8,
    more_threads: u8,
    flush_only: u8,
    done: u8,
  }),
  trace_details: {
    ...reply(0x1553e9eb, {
      thread_id: u32,
      position: u32,
      more_this_thread: u8,
      more_threads: u8,
      done: u8,
      packet_number: u32,
      trace_data: text,
    }),
    header: 'client+context',
  },
  trace_clear_cache: request(0x51077d14, 'trace_clear_cache_reply', {}),
  trace_clear_cache_reply: reply(0xe8d4e804, { retval: i32 }),
  trace_v2_dump: dump(0x83f88d8e, 'trace_v2_details', {
    thread_id: u32,
    position: u32,
    max: u32,
    clear_cache: bool,
  }),
  trace_v2_details: reply(0x91f87d52, {
    thread_id: u32,
    position: u32,
    more: bool,
    trace_data: text,
  }),
  trace_set_filter_function: request(0x616abb92, 'trace_set_filter_function_reply', {
    filter_function_name: text,
  }),
  trace_set_filter_function_reply: reply(0xe8d4e804, { retval: i32 }),
  trace_filter_function_dump: dump(0x51077d14, 'trace_filter_function_details', {}),
  trace_filter_function_details: reply(0x28821359, { selected: bool, name: text }),
} as const;
