import type { Config } from '../../config/schema.ts';
import { createObjectReader, type ObjectReader } from '../../s3/read-objects.ts';
import { version } from '../../service/version.ts';
import type { ReaderLogin } from './reader-login.ts';

/** The bucket of the configuration, to be read as whoever runs the command. */
export function openBucket({ config, credentials, network }: ReaderLogin, bucket = config.s3.bucket): ObjectReader {
  return createObjectReader({ ...config.s3, bucket, credentials, network, userAgent: `dropledger/${version}` });
}

const hostMark = '$' + '{host}';

/** Where all hosts that share this configuration put their objects: the prefix up to a host's name. */
export const sharedPrefix = ({ s3 }: Config): string => s3.prefix.split(hostMark)[0] ?? '';
