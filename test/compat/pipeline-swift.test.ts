import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectInvariants } from '../support/daemon-invariants.ts';
import { runProgram } from '../support/daemon-program.ts';
import { ownerOf, type Store } from '../support/daemon-store.ts';
import { makeWorkplaceAt, type Workplace } from '../support/daemon-workplace.ts';
import { usePostgres } from '../support/postgres.ts';
import { type Swift, startSwift, swiftMissing } from '../support/swift.ts';

/** A store that lacks much of what S3 has: what it lacks is said before the first file, and with the cure it works. */

const missing = swiftMissing();
const cured = { conditionalWrites: false, checksums: 'off' } as const;

describe.skipIf(missing !== undefined)('the daemon, against OpenStack Swift', () => {
  const postgres = usePostgres();
  let swift: Swift;
  beforeAll(async () => {
    swift = await startSwift();
  });
  afterAll(() => swift?.[Symbol.asyncDispose]());

  const makePlace = async (bucket: string): Promise<Workplace> => {
    await swift.createBucket(bucket);
    const { url, region, owner } = swift;
    const store: Store = { url, region, bucket, prefix: 'in/', owner, writer: owner };
    return makeWorkplaceAt(store, { postgres });
  };
  const check = ({ configFile, env }: Workplace) => runProgram(['check', '--config', configFile], env);

  test('check names what it lacks, each with its cure', async () => {
    await using place = await makePlace('lacking');
    const { code, stdout } = await check(place);
    expect(code).toBe(78);
    expect(stdout).toMatch(/^✓ write access/m);
    expect(stdout).toMatch(/^✗ overwriting .*501 .*\n +→ .*s3\.conditionalWrites to false/m);
    expect(stdout).toMatch(/^✗ checksums .*\n +→ .*s3\.checksums to "off"/m);

    await place.configure({ s3: cured });
    const now = await check(place);
    expect(now.stdout).toMatch(/^✓ overwriting .*\n +→ .*is overwritten, whatever s3\.onConflict says/m);
    expect(now.code).toBe(0);
    using owner = ownerOf(place.store);
    expect([...(await owner.sizes()).keys()]).toEqual([]);
  });

  test('the daemon does not start with conditional writes: exit 78, and one notice with the cure', async () => {
    await using place = await makePlace('conditional');
    await place.drop('waits.txt', 'waits');
    const daemon = place.spawn();
    expect(await daemon.exited).toEqual({ code: 78, signal: null });
    expect(daemon.lines.filter(({ level }) => level === 'error')).toMatchObject([
      {
        event: 'stopped',
        error: expect.stringContaining('501'),
        hint: expect.stringContaining('s3.conditionalWrites'),
      },
    ]);
    await place.configure({ s3: cured });
    await place.start();
    await expectInvariants(place);
  });

  test('where objects may be replaced none is conditional: check is content, and the daemon starts', async () => {
    await using place = await makePlace('replacing');
    await place.configure({ s3: { onConflict: 'overwrite', checksums: 'off' } });
    const { code, stdout } = await check(place);
    expect(stdout).toMatch(/^✓ overwriting .*s3\.onConflict is "overwrite"/m);
    expect(code).toBe(0);
    await place.drop('arrives.txt', 'arrives');
    await place.start();
    await expectInvariants(place);
  });

  test('without them, files small and large arrive', async () => {
    await using place = await makePlace('cured');
    await place.configure({ s3: cured });
    const daemon = await place.start();
    for (let file = 0; file < 40; file += 1) await place.drop(`folder ${file % 5}/ünï ${file}.txt`, `content ${file}`);
    await place.drop('empty', '');
    await place.drop('large.bin', Buffer.alloc(25 * 2 ** 20, 'large'));
    await expectInvariants(place, { patienceMs: 90_000 });
    expect([...daemon.named('paused'), ...daemon.named('retrying')]).toEqual([]);
  });
});

if (missing !== undefined) {
  test.skipIf(process.env['DROPLEDGER_REQUIRE_COMPAT'] !== '1')(`Swift can't be started: ${missing}`, () => {
    expect.fail(missing);
  });
}
