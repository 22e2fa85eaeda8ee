import type { EventLog } from '../model.ts';
import { ConfigError, ServiceUnavailable } from '../service/errors.ts';
import { crc32Base64 } from './calls.ts';
import type { Checksums, Confirm } from './context.ts';

/** With `send` a store that confirms nothing is warned about once. */
export function createConfirm(checksums: Checksums, log: EventLog): Confirm {
  let warned = false;
  return (answer, sent) => {
    if (sent === undefined) return null;
    const expected = crc32Base64(sent);
    if (answer.crc32 === expected) return expected;
    if (answer.crc32 !== undefined) {
      throw new ServiceUnavailable('s3', `The store answered the checksum ${answer.crc32} where ${expected} was sent`, {
        answered: true,
        hint: 'The file is sent again; if this goes on, the store or something before it changes what it is sent.',
      });
    }
    if (checksums === 'confirm') {
      throw new ConfigError('The store does not confirm the checksums it is sent, and s3.checksums is "confirm"', {
        hint: 'Set s3.checksums to "send", or use a store that verifies CRC32 checksums.',
      });
    }
    if (!warned) {
      warned = true;
      log.warning('warning', { hint: 'the column checksum_type stays null' }, 'the store confirms no checksums');
    }
    return null;
  };
}
