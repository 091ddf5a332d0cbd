/** Where the API begins, on the Unix socket and on the TLS port. */
export const API_PREFIX = '/api/v1';
