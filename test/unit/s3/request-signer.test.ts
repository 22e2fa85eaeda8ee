import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { hmacSha256 } from '../../../src/s3/request-signer.ts';

it('makes the HMACs that Node makes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.uint8Array({ maxLength: 200 }), (secret, data) => {
      expect(hmacSha256(secret, data)).toEqual(createHmac('sha256', secret).update(data).digest());
    }),
  );
});
