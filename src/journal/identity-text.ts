import type { FileIdentity } from '../model.ts';

/** The identity as the journal keeps it: `ino:size:mtimeNs:ctimeNs`. */
export const identityText = ({ ino, size, mtimeNs, ctimeNs }: FileIdentity): string =>
  `${ino}:${size}:${mtimeNs}:${ctimeNs}`;

/** The reverse of `identityText`. */
export function identityFromText(text: string): FileIdentity {
  const [ino = '0', size = '0', mtimeNs = '0', ctimeNs = '0'] = text.split(':');
  return { ino: BigInt(ino), size: Number(size), mtimeNs: BigInt(mtimeNs), ctimeNs: BigInt(ctimeNs) };
}
