import type { Config } from '../../config/schema.ts';
import type { StoreAbilities } from '../../s3/abilities.ts';
import { ConfigError } from '../../service/errors.ts';
import { type CheckResult, failed, passed } from './result.ts';

/** What the store lacks, in plain words; `undefined` is AWS, which lacks nothing. */
export const describeAbilities = (s3: Config['s3'], abilities: StoreAbilities | undefined): CheckResult[] => [
  conditionalWrites(s3, abilities),
  checksums(s3, abilities),
];

function conditionalWrites(
  { conditionalWrites: wanted, onConflict }: Config['s3'],
  abilities: StoreAbilities | undefined,
) {
  const name = 'overwriting';
  if (onConflict === 'overwrite') {
    return passed(name, 's3.onConflict is "overwrite": an object that has the key is replaced');
  }
  if (!wanted) {
    const hint =
      'an object that somebody else has put under the same key is overwritten, whatever s3.onConflict says: nothing else may write under the prefix';
    return passed(name, 's3.conditionalWrites is false: nothing keeps the store from it', hint);
  }
  if (abilities === undefined) return passed(name, 'S3 refuses it (If-None-Match)');
  if (abilities.conditionalWrites) {
    const hint =
      'some stores forget it when a multipart upload is completed, and that cannot be seen without leaving an object';
    return passed(name, 'the store takes If-None-Match, which refuses it', hint);
  }
  return failed(
    name,
    new ConfigError('the store knows no conditional writes: it answers 501 to If-None-Match', {
      hint: 'set s3.conditionalWrites to false; then nothing else may write under the prefix, for it would be overwritten',
    }),
  );
}

function checksums({ checksums: wanted }: Config['s3'], abilities: StoreAbilities | undefined) {
  const name = 'checksums';
  if (wanted === 'off') return passed(name, 's3.checksums is "off": the store is given none to verify');
  if (abilities?.checksums === 'refused') {
    const what = 'the store takes no checksums at the end of a multipart upload';
    return failed(name, new ConfigError(what, { hint: 'set s3.checksums to "off"' }));
  }
  if (abilities === undefined || abilities.checksums === 'confirmed')
    return passed(name, 'the store verifies CRC32s, and says so');
  const what = 'the store does not say that it verifies the CRC32s it is sent';
  if (wanted === 'send') {
    return passed(name, what, "checksum_type stays null in the ledger: dropledger verify proves the bucket's content");
  }
  return failed(name, new ConfigError(what, { hint: 'set s3.checksums to "send", or use a store that verifies them' }));
}
