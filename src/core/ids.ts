// Branded identifiers: a sequence cannot be passed where an epoch is meant.

/** Position of a record in the total order of its group; starts at 1, at most 2^53 - 1. */
export type Sequence = number & { readonly __brand: 'Sequence' };
/** Counts promotions of a group; starts at 1, at most 2^32 - 1. */
export type Epoch = number & { readonly __brand: 'Epoch' };
/** Identity of a node: the first 16 hex digits of the SHA-256 of its certificate's public key. */
export type NodeId = string & { readonly __brand: 'NodeId' };

export const sequence = (value: number): Sequence => value as Sequence;
export const epoch = (value: number): Epoch => value as Epoch;
export const nodeId = (value: string): NodeId => value as NodeId;
