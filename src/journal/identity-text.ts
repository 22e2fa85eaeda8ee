import type { FileIdentity } from '../model.ts';

/** The identity as the journal keeps it: `dev:ino:size:mtimeNs:ctimeNs`. */
export const identityText = ({ dev, ino, size, mtimeNs, ctimeNs }: FileIdentity): string =>
  `${dev}:${ino}:${size}:${mtimeNs}:${ctimeNs}`;

/** The reverse of `identityText`. */
export function identityFromText(text: string): FileIdentity {
  const [dev = '0', ino = '0', size = '0', mtimeNs = '0', ctimeNs = '0'] = text.split(':');
  return { dev: BigInt(dev), ino: BigInt(ino), size: Number(size), mtimeNs: BigInt(mtimeNs), ctimeNs: BigInt(ctimeNs) };
}
