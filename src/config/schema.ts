import { isAbsolute } from 'node:path';
import { z } from 'zod';
import { listenAddress } from '../service/listen-address.ts';

/** The configuration: every key, its default and what it means. The JSON schema for editors is generated from here. */

const defaultIgnore = [
  '.*',
  '*~',
  '*.tmp',
  '*.temp',
  '*.part',
  '*.partial',
  '*.filepart',
  '*.crdownload',
  '*.download',
  '*.swp',
];

const absolutePath = z
  .string()
  .refine(isAbsolute, { error: 'must be an absolute path, such as "/srv/dropledger/inbox"' })
  .refine((path) => !path.includes('\0'), { error: 'must not contain a NUL character' });

const name = z.string().min(1, { error: 'must not be empty' });
const whole = (least: number, most = Number.MAX_SAFE_INTEGER) => z.int().min(least).max(most);

const dropFolder = z.strictObject({
  path: absolutePath.describe('The watched folder, recursively. The daemon creates nothing in it.'),
  settleMs: whole(0, 86_400_000)
    .default(2000)
    .describe('A file whose size, mtime, ctime and inode have rested this long is complete. 0: as soon as it is seen.'),
  ignore: z
    .array(name)
    .default(defaultIgnore)
    .describe('Globs matched against each path segment at any depth; an ignored folder hides its contents.'),
  rescanSeconds: whole(1, 86_400)
    .default(30)
    .describe('How often the whole folder is compared with what is known; events are only a hint.'),
  afterUpload: z
    .enum(['archive', 'delete', 'keep'])
    .default('archive')
    .describe('What becomes of a file once object and ledger row are durable.'),
  archivePath: absolutePath
    .optional()
    .describe('Required for "archive": outside the drop folder, on the same mount. Relative paths are kept.'),
  archiveKeepDays: z.number().min(0).default(0).describe('Archived files older than this are removed; 0: never.'),
  quarantinePath: absolutePath.describe(
    'Same mount; where files go that can never be uploaded, each with a .reason.json beside it.',
  ),
  removeEmptyFoldersAfterHours: z
    .number()
    .min(0)
    .default(24)
    .describe('Folders that uploads have emptied are removed after this many hours; 0: never.'),
});

/** Stands for the host's name in `s3.prefix`. */
const hostMark = '$' + '{host}';

const s3 = z.strictObject({
  bucket: name.describe('The bucket, or an access point.'),
  prefix: z.string().default('').describe(`Object key = prefix + relative path. ${hostMark} is the name of this host.`),
  region: name.describe('The region of the bucket, such as eu-west-1.'),
  onConflict: z
    .enum(['keep-both', 'fail', 'overwrite'])
    .default('keep-both')
    .describe('The key exists with other content: store beside it under another name, quarantine, or overwrite.'),
  sharedPrefix: z
    .boolean()
    .default(false)
    .describe('Whether others write under this prefix too: what a 412 after an unanswered put means.'),
  partSizeMiB: whole(5, 5120)
    .default(8)
    .describe('Size of a part, and the largest file sent as one; raised by itself so that 10,000 parts suffice.'),
  concurrency: whole(1, 256).default(8).describe('Parallel requests over all files.'),
  memoryMiB: whole(5, 65_536).default(64).describe('The most memory that part buffers may take together.'),
  engine: z
    .enum(['native', 'lib-storage'])
    .default('native')
    .describe("The upload engine: native, or AWS's managed uploader."),
  endpoint: z
    .url({ protocol: /^https?$/, error: 'must be a URL, such as "https://s3.example.org"' })
    .optional()
    .describe('For S3-compatible stores; absent for AWS.'),
  forcePathStyle: z.boolean().default(false).describe('For S3-compatible stores: bucket in the path, not the host.'),
  checksums: z
    .enum(['send', 'confirm', 'off'])
    .default('send')
    .describe('send: always sent; confirm: a store that does not confirm them fails the upload; off.'),
  conditionalWrites: z.boolean().default(true).describe('Send If-None-Match: *, so that nothing is overwritten.'),
  expectedBucketOwner: z
    .string()
    .regex(/^\d{12}$/, { error: 'must be an AWS account number of 12 digits' })
    .optional()
    .describe('The account that must own the bucket.'),
  storageClass: name.optional().describe('Such as STANDARD_IA; absent: the bucket decides.'),
  sseKmsKeyId: name.optional().describe('KMS key (ARN) to encrypt with; absent: the bucket decides.'),
  metadata: z
    .record(z.string().regex(/^[A-Za-z0-9-]+$/), z.string().regex(/^[\x20-\x7e]*$/))
    .optional()
    .describe('User metadata of every object; printable ASCII.'),
  maxMbitPerSecond: z.number().positive().optional().describe('Bandwidth limit over all uploads.'),
});

const aws = z.strictObject({
  profile: name.optional().describe('A profile of ~/.aws; absent: the usual chain of the SDK.'),
  roleArn: z
    .string()
    .regex(/^arn:[\w-]+:iam::\d*:role\/.+$/, {
      error: 'must be the ARN of a role, such as "arn:aws:iam::123456789012:role/NAME"',
    })
    .optional()
    .describe('A role to assume with the credentials found.'),
  ssoSessionHours: z
    .number()
    .positive()
    .default(8)
    .describe('How long an SSO session lasts in your organisation; it stands in no file, so its end is an estimate.'),
});

const ledger = z.strictObject({
  host: name.describe('Host of the RDS instance, or the folder of a unix socket.'),
  port: whole(1, 65_535).default(5432),
  database: name,
  user: name.describe('The login role that writes, such as dropledger_writer.'),
  readerUser: name.optional().describe('The login role for the commands that read; absent: user.'),
  readerPasswordFile: absolutePath.optional().describe('The password of readerUser; absent: passwordFile.'),
  region: name.optional().describe('The region of the database; absent: s3.region.'),
  auth: z.enum(['iam', 'password']).default('iam').describe('iam: a fresh RDS token for each login.'),
  passwordFile: absolutePath.optional().describe('Required for "password": a file that only this user can read.'),
  caFile: absolutePath.optional().describe('CA bundle (PEM) to verify the server with; absent: the RDS roots.'),
  tls: z
    .enum(['verify-full', 'off'])
    .default('verify-full')
    .describe('"off" is accepted for loopback and unix sockets alone.'),
});

const journal = z.strictObject({
  path: absolutePath
    .optional()
    .describe('Local state; absent: $STATE_DIRECTORY/journal.db, else /var/lib/dropledger/journal.db.'),
  rememberDays: z.number().min(1).default(365).describe('How long it is remembered what was stored under which path.'),
});

/** A unix socket's address has room for so many bytes, and a NUL at its end (`sun_path`, unix(7)). */
const mostSocketBytes = 107;

const control = z.strictObject({
  socket: absolutePath
    .refine((path) => Buffer.byteLength(path) <= mostSocketBytes, {
      error: `must be at most ${mostSocketBytes} bytes long, as all unix sockets`,
    })
    .optional()
    .describe(
      'For status, explain and retry; absent: $RUNTIME_DIRECTORY/control.sock, else /run/dropledger/control.sock.',
    ),
});

const metrics = z.strictObject({
  listen: z
    .string()
    .refine((text) => listenAddress(text) !== undefined, { error: 'must be HOST:PORT, such as "127.0.0.1:9464"' })
    .optional()
    .describe('Prometheus /metrics, /healthz and /readyz; absent: off. A port alone listens on loopback.'),
});

const log = z.strictObject({
  level: z.enum(['debug', 'info', 'warning', 'error']).default('info'),
  format: z
    .enum(['auto', 'text', 'json'])
    .default('auto')
    .describe('auto: pretty on a terminal, priority-prefixed logfmt under journald, JSON elsewhere.'),
});

export const configSchema = z.strictObject({
  $schema: z.string().optional().describe('For editors: the path of config.schema.json.'),
  dropFolder,
  s3,
  aws: aws.prefault({}),
  ledger,
  journal: journal.prefault({}),
  control: control.prefault({}),
  metrics: metrics.prefault({}),
  log: log.prefault({}),
});

/** The configuration with its defaults filled in. */
export type Config = z.infer<typeof configSchema>;
