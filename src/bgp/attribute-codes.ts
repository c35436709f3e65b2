/** Attribute type codes: IANA, BGP Path Attributes. */
export const type = {
  origin: 1,
  asPath: 2,
  nextHop: 3,
  med: 4,
  localPreference: 5,
  standard: 8,
  originatorId: 9,
  mpReach: 14,
  extended: 16,
  large: 32,
} as const;

/** RFC 4271 section 4.3: the high bits of an attribute's flags. */
export const flag = { optional: 0x80, transitive: 0x40, extendedLength: 0x10 } as const;

/** Subtypes of AS-specific extended communities: IANA, BGP Extended Communities. */
export const subtypes = { rt: 2, soo: 3, lb: 4 } as const;
export const twoByteAs = 0x00;
export const fourByteAs = 0x02;
/** Link bandwidth is not transitive: type 0x40. */
export const localTwoByteAs = 0x40;
