import {
  ConfigError,
  CredentialsError,
  type DropledgerError,
  FileRejected,
  ServiceUnavailable,
} from '../service/errors.ts';
import { isCertificateFailure } from '../service/http-exchange.ts';
import { S3Failure } from './failure.ts';

const credentialCodes: ReadonlySet<string> = new Set([
  'AccessDenied',
  'AccessDeniedException',
  'AccountProblem',
  'AllAccessDisabled',
  'AuthFailure',
  'ExpiredToken',
  'ExpiredTokenException',
  'Forbidden',
  'InvalidAccessKeyId',
  'InvalidClientTokenId',
  'InvalidSecurity',
  'InvalidToken',
  'KMS.AccessDeniedException',
  'NotSignedUp',
  'SignatureDoesNotMatch',
  'TokenRefreshRequired',
  'UnrecognizedClientException',
]);

/** Code → what to do. */
const configCodes: ReadonlyMap<string, string> = new Map([
  ['NoSuchBucket', 'Create the bucket, or correct s3.bucket (or s3.endpoint).'],
  ['InvalidBucketName', 'Correct s3.bucket.'],
  ['InvalidBucketOwnerAWSAccountID', 'Correct s3.expectedBucketOwner: twelve digits.'],
  ['PermanentRedirect', 'Correct s3.region (or s3.endpoint).'],
  ['TemporaryRedirect', 'Correct s3.region (or s3.endpoint).'],
  ['AuthorizationHeaderMalformed', 'Correct s3.region.'],
  ['IllegalLocationConstraintException', 'Correct s3.region.'],
  ['InvalidStorageClass', 'Correct s3.storageClass.'],
  ['InvalidEncryptionAlgorithmError', 'Correct s3.sseKmsKeyId.'],
  ['KMS.NotFoundException', 'Correct s3.sseKmsKeyId: the key must be in the region of the bucket.'],
  ['KMS.DisabledException', 'Enable the KMS key, or correct s3.sseKmsKeyId.'],
  ['KMS.KMSInvalidStateException', 'Enable the KMS key, or correct s3.sseKmsKeyId.'],
  ['KMS.InvalidKeyUsageException', 'Correct s3.sseKmsKeyId: it must be a symmetric encryption key.'],
  // the only document that we send is Complete's list of parts, and their checksums are the only news in it
  ['MalformedXML', 'Set s3.checksums to "off": the store takes no checksums at the end of a multipart upload.'],
  ['MethodNotAllowed', 'Correct s3.endpoint: what answers there does not take uploads.'],
]);

/** There is no room for more. Some say so with a 403. */
const fullCodes: ReadonlySet<string> = new Set([
  'InsufficientStorage',
  'QuotaExceeded',
  'XMinioAdminBucketQuotaExceeded',
  'XMinioStorageFull',
]);

const fileCodes: ReadonlyMap<string, string> = new Map([
  ['KeyTooLongError', 'Shorten the path, or s3.prefix: a key has at most 1,024 bytes.'],
  ['EntityTooLarge', 'The store takes no file of this size.'],
  ['MetadataTooLarge', 'Shorten s3.metadata: at most 2 KB.'],
  ['InvalidURI', 'Rename the file: the store takes no such key.'],
  ['InvalidObjectName', 'Rename the file: the store takes no such key.'],
  ['XMinioInvalidObjectName', 'Rename the file: the store takes no such key.'],
]);

/**
 * What a failure of S3 means, as one of the kinds of `service/errors.ts`; anything else comes back as it is.
 * By the error code: a status says too little. Messages carry S3's code and words, which name no secret.
 *
 * A 4xx with a code that is not known here (`InvalidRequest`, `InvalidArgument`…) may be one file's fault or that of a
 * setting. It is tried again for ever, ever more rarely: to quarantine a file for it would, with a wrong setting,
 * quarantine them all.
 */
export function classifyS3Failure(error: unknown, bucket?: string): unknown {
  if (!(error instanceof S3Failure)) return error;
  if (!error.answered) return unreachable(error);
  if (error.code === 'RequestTimeTooSkewed') return clockIsWrong(error);
  if (error.status === 501 || error.code === 'NotImplemented') return notImplemented(error);
  const configHint = configCodes.get(error.code);
  if (configHint !== undefined || isRedirect(error)) return configIsWrong(error, configHint, bucket);
  const fileHint = fileCodes.get(error.code);
  if (fileHint !== undefined) return new FileRejected(said(error), { hint: fileHint, cause: error });
  if (fullCodes.has(error.code) || error.status === 507) return isFull(error);
  if (credentialCodes.has(error.code) || error.status === 401 || error.status === 403) return refused(error);
  return new ServiceUnavailable('s3', said(error), {
    answered: true,
    hint: 'The upload is tried again; if this goes on, look at the state of the store.',
    cause: error,
  });
}

const isRedirect = ({ status }: S3Failure) => status === 301 || status === 307;

/** `S3 answered 503 SlowDown: Please reduce your request rate. (request 4442587FB7D0A2F9)` */
function said({ status, code, message, requestId }: S3Failure): string {
  const words = message === code ? '' : `: ${withoutSecrets(message)}`;
  return `S3 answered ${status} ${code}${words}${requestId === undefined ? '' : ` (request ${requestId})`}`;
}

/** SignatureDoesNotMatch and its like quote what was signed in elements of their own; the message itself may in clones. */
const withoutSecrets = (text: string) =>
  text
    .replace(/(signature|token|secret)(["'\s:=]+)[\w+/=%-]{16,}/gi, '$1$2…')
    .replace(/\s+/g, ' ')
    .slice(0, 400);

function unreachable(error: S3Failure): DropledgerError {
  if (isCertificateFailure(error.code)) {
    return new ServiceUnavailable('s3', `The certificate of the S3 endpoint can't be trusted: ${error.message}`, {
      hint: certificateHint(error.code),
      cause: error,
    });
  }
  const unknownHost = error.code === 'ENOTFOUND';
  return new ServiceUnavailable('s3', `S3 can't be reached: ${error.message} (${error.code})`, {
    hint: unknownHost
      ? 'Check the network and its DNS; if they work, check s3.region, s3.bucket and s3.endpoint.'
      : 'Check the network, the proxy and the firewall.',
    cause: error,
  });
}

function certificateHint(code: string): string {
  switch (code) {
    case 'CERT_HAS_EXPIRED':
    case 'CERT_NOT_YET_VALID':
      return "Renew the endpoint's certificate; if it is current, this machine's clock is wrong.";
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return 'Set s3.endpoint to a name that stands in the certificate, or look who answers in its place.';
    default:
      return 'If it is signed by an authority of your own, name its PEM file in AWS_CA_BUNDLE or NODE_EXTRA_CA_CERTS.';
  }
}

function clockIsWrong(error: S3Failure): DropledgerError {
  const { clockAheadMs } = error;
  const howMuch =
    clockAheadMs === undefined
      ? ' by more than 15 minutes'
      : `: it is ${Math.round(Math.abs(clockAheadMs) / 60_000)} minutes ${clockAheadMs > 0 ? 'fast' : 'slow'}`;
  return new ServiceUnavailable('s3', `This machine's clock is wrong${howMuch}`, {
    answered: true,
    hint: 'Set the clock, and let it be kept right (timedatectl set-ntp true).',
    cause: error,
  });
}

const isFull = (error: S3Failure): DropledgerError =>
  new ServiceUnavailable('s3', said(error), {
    answered: true,
    hint: 'The store has no room left: raise the quota of the user or the bucket, or remove objects.',
    cause: error,
  });

function notImplemented(error: S3Failure): DropledgerError {
  return new ConfigError(`The store can't do what is asked of it: ${said(error)}`, {
    hint: 'If it knows no conditional writes (If-None-Match), set s3.conditionalWrites to false; nothing else may then write under the prefix.',
    cause: error,
  });
}

function configIsWrong(error: S3Failure, hint: string | undefined, bucket: string | undefined): DropledgerError {
  const region = error.region === undefined ? undefined : `Set s3.region to ${error.region}: the bucket is there.`;
  const noBucket = error.code === 'NoSuchBucket' && bucket !== undefined ? `There is no bucket ${bucket}: ` : '';
  return new ConfigError(`${noBucket}${said(error)}`, {
    hint: region ?? hint ?? 'Correct s3.region (or s3.endpoint).',
    cause: error,
  });
}

function refused(error: S3Failure): DropledgerError {
  const lacksRight = error.code === 'AccessDenied' || error.code === 'KMS.AccessDeniedException';
  return new CredentialsError(said(error), {
    hint: lacksRight
      ? 'Grant s3:PutObject and s3:AbortMultipartUpload on the bucket and prefix (dropledger policy prints it).'
      : 'Renew the credentials: dropledger check says where they come from.',
    cause: error,
  });
}
