// Names that the demo and its client in the lab share.
export const USER = 'postgres';
export const DATABASE = 'bench';
/** Ids of transactions, chosen by the client. */
export const TABLE = 'promise';
