import { describe, expect, test } from 'vitest';
import { describeAbilities } from '../../../../src/cli/checks/store.ts';
import { parseConfig } from '../../../../src/config/load.ts';
import type { Config } from '../../../../src/config/schema.ts';
import type { StoreAbilities } from '../../../../src/s3/abilities.ts';

function s3With(changes: Partial<Config['s3']> = {}): Config['s3'] {
  const given = {
    dropFolder: { path: '/srv/inbox', archivePath: '/srv/archive', quarantinePath: '/srv/quarantine' },
    s3: { bucket: 'documents', region: 'eu-west-1', ...changes },
    ledger: { host: 'db.example.com', database: 'ledger', user: 'dropledger_writer' },
  };
  return parseConfig('/etc/dropledger/config.json', JSON.stringify(given)).s3;
}

const overwriting = (changes: Partial<Config['s3']>, abilities: StoreAbilities | undefined) =>
  describeAbilities(s3With(changes), abilities).find(({ name }) => name === 'overwriting');

describe('overwriting', () => {
  const knowsNone: StoreAbilities = { conditionalWrites: false, checksums: 'confirmed' };

  test('is refused by AWS', () => {
    expect(overwriting({}, undefined)).toMatchObject({ ok: true, detail: 'S3 refuses it (If-None-Match)' });
  });

  test('cannot be refused by a store that knows no conditional writes: that is to be configured', () => {
    const hint = expect.stringContaining('s3.conditionalWrites to false');
    expect(overwriting({}, knowsNone)).toMatchObject({ ok: false, exitCode: 78, hint });
    expect(overwriting({ conditionalWrites: false }, knowsNone)).toMatchObject({ ok: true });
  });

  test.each([
    ['AWS', undefined],
    ['a store that knows no conditional writes', knowsNone],
  ])('is what is configured, by s3.onConflict, on %s', (_where, abilities) => {
    const detail = expect.stringContaining('is replaced');
    expect(overwriting({ onConflict: 'overwrite' }, abilities)).toMatchObject({ ok: true, detail });
  });
});
