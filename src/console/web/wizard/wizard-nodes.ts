/** The pair for which a group is made. */
export interface WizardNodes {
  /** Console id of the node that is to be primary. */
  readonly id: string;
  readonly name: string;
  readonly isReachable: boolean;
  /** Null: this console does not have the other node. */
  readonly peerId: string | null;
  readonly peerName: string;
}
