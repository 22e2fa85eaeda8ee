/** User metadata of every object that the daemon stores; `verify` and `verify-chain --anchors` read it back. */
export const metadataNames = { head: 'dropledger-head', fileId: 'dropledger-file-id' } as const;
