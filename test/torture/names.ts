// Paths that the torture's programs inside and outside of the hosts share.

/** While it exists on a host, the file worker there does nothing. Gone after a reboot. */
export const HOLD = '/run/torture-hold';
export const GROUP = 'torture';
