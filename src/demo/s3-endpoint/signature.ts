import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { EndpointCredential } from './options.ts';
import { header, type S3Request } from './request.ts';
import { type S3Error, s3Error } from './s3-error.ts';

/**
 * Signature Version 4 in the `Authorization` header, verified as "Authenticating Requests" of the S3 API reference
 * describes it: the canonical request is built anew from what arrived, with the key that the scope names.
 */

const algorithm = 'AWS4-HMAC-SHA256';
const maxSkewMs = 15 * 60_000;

/** What the signature proved, and what is needed to verify the chunks of a signed stream. */
export interface Authentication {
  readonly credential: EndpointCredential;
  /** The `x-amz-content-sha256` that was signed. */
  readonly contentSha256: string;
  readonly signingKey: Buffer;
  readonly signature: string;
  readonly timestamp: string;
  readonly scope: string;
}

export interface AuthenticationRules {
  readonly credentials: readonly EndpointCredential[];
  readonly region: string;
  readonly nowMs: number;
}

/**
 * Who signed this S3 request. Throws S3's errors: AccessDenied where nothing or not enough is signed,
 * InvalidAccessKeyId, InvalidToken, ExpiredToken, RequestTimeTooSkewed, SignatureDoesNotMatch…
 */
export function authenticate(request: S3Request, rules: AuthenticationRules): Authentication {
  const authorization = parseAuthorization(request);
  if (authorization.service !== 's3')
    throw malformed(`The service "${authorization.service}" is wrong; expecting "s3".`);
  if (authorization.region !== rules.region) {
    throw s3Error('AuthorizationHeaderMalformed', {
      message: `The authorization header is malformed; the region '${authorization.region}' is wrong; expecting '${rules.region}'`,
      details: { Region: rules.region },
    });
  }
  const contentSha256 = header(request, 'x-amz-content-sha256');
  if (contentSha256 === undefined) {
    throw s3Error('InvalidRequest', { message: 'Missing required header for this request: x-amz-content-sha256' });
  }
  return verify(request, authorization, contentSha256, rules);
}

/** The same for a request to STS, whose payload hash stands in no header. */
export function authenticateSts(request: S3Request, payload: Buffer, rules: AuthenticationRules): Authentication {
  const authorization = parseAuthorization(request);
  if (authorization.service !== 'sts') throw malformed("Credential should be scoped to correct service: 'sts'.");
  return verify(request, authorization, createHash('sha256').update(payload).digest('hex'), rules);
}

function verify(
  request: S3Request,
  authorization: Authorization,
  contentSha256: string,
  { credentials, nowMs }: AuthenticationRules,
): Authentication {
  const credential = credentials.find(({ accessKeyId }) => accessKeyId === authorization.accessKeyId);
  if (credential === undefined) {
    throw s3Error('InvalidAccessKeyId', { details: { AWSAccessKeyId: authorization.accessKeyId } });
  }
  const timestamp = timestampOf(request);
  requireSigned(request, authorization.signedHeaders);
  const scope = `${authorization.date}/${authorization.region}/${authorization.service}/aws4_request`;
  const signingKey = signingKeyOf(credential.secretAccessKey, authorization);
  const canonical = canonicalRequest(request, authorization.signedHeaders, contentSha256);
  const canonicalHash = createHash('sha256').update(canonical, 'latin1').digest('hex');
  const stringToSign = `${algorithm}\n${timestamp}\n${scope}\n${canonicalHash}`;
  if (!equal(createHmac('sha256', signingKey).update(stringToSign).digest(), authorization.signature)) {
    // S3 shows its canonical request as well; here it stays out, because it may hold a session token.
    throw s3Error('SignatureDoesNotMatch', {
      details: {
        AWSAccessKeyId: authorization.accessKeyId,
        StringToSign: stringToSign,
        SignatureProvided: authorization.signature,
      },
    });
  }
  checkToken(request, credential);
  checkTime(timestamp, authorization.date, nowMs);
  return { credential, contentSha256, signingKey, signature: authorization.signature, timestamp, scope };
}

interface Authorization {
  readonly accessKeyId: string;
  /** `YYYYMMDD`. */
  readonly date: string;
  readonly region: string;
  readonly service: string;
  /** Lower case, in the order the client gave. */
  readonly signedHeaders: readonly string[];
  readonly signature: string;
}

function parseAuthorization(request: S3Request): Authorization {
  const value = header(request, 'authorization');
  if (value === undefined) throw s3Error('AccessDenied');
  if (!value.startsWith(`${algorithm} `)) {
    throw s3Error('InvalidRequest', {
      message: `The authorization mechanism you have provided is not supported. Please use ${algorithm}.`,
    });
  }
  const fields = new Map<string, string>();
  for (const field of value.slice(algorithm.length + 1).split(',')) {
    const equals = field.indexOf('=');
    if (equals > 0) fields.set(field.slice(0, equals).trim(), field.slice(equals + 1).trim());
  }
  const [accessKeyId, date, region, service, end, ...more] = (fields.get('Credential') ?? '').split('/');
  const signedHeaders = fields.get('SignedHeaders')?.split(';');
  const signature = fields.get('Signature');
  if (
    !accessKeyId ||
    !date ||
    !/^\d{8}$/.test(date) ||
    !region ||
    !service ||
    end !== 'aws4_request' ||
    more.length > 0
  ) {
    throw malformed('the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".');
  }
  if (signedHeaders === undefined || !signedHeaders.includes('host') || !signature) {
    throw malformed('it needs Credential, SignedHeaders (with host among them) and Signature.');
  }
  return { accessKeyId, date, region, service, signedHeaders, signature };
}

const malformed = (what: string): S3Error =>
  s3Error('AuthorizationHeaderMalformed', { message: `The authorization header is malformed; ${what}` });

/** `x-amz-date`, as `YYYYMMDDTHHMMSSZ`; the `Date` header is not accepted in its place: no client of today needs that. */
function timestampOf(request: S3Request): string {
  const timestamp = header(request, 'x-amz-date');
  if (timestamp === undefined || !/^\d{8}T\d{6}Z$/.test(timestamp)) {
    throw s3Error('AccessDenied', { message: 'AWS authentication requires a valid Date or x-amz-date header' });
  }
  return timestamp;
}

/** S3 wants every `x-amz-` header signed, else somebody on the way could add one. */
function requireSigned(request: S3Request, signedHeaders: readonly string[]): void {
  const unsigned = Object.keys(request.headers).filter(
    (name) => name.startsWith('x-amz-') && !signedHeaders.includes(name),
  );
  if (unsigned.length === 0) return;
  throw s3Error('AccessDenied', {
    message: 'There were headers present in the request which were not signed',
    details: { HeadersNotSigned: unsigned.join(', ') },
  });
}

function canonicalRequest(request: S3Request, signedHeaders: readonly string[], contentSha256: string): string {
  const query = request.queryPairs
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .sort()
    .join('&');
  let headers = '';
  for (const name of signedHeaders) headers += `${name}:${(header(request, name) ?? '').trim().replace(/ +/g, ' ')}\n`;
  const path = request.path.split('/').map(encode).join('/');
  return `${request.method}\n${path}\n${query}\n${headers}\n${signedHeaders.join(';')}\n${contentSha256}`;
}

/** RFC 3986, which also encodes what `encodeURIComponent` leaves alone. */
const encode = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);

const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();

/** The last keys derived: the same one signs everything for a day. */
const signingKeys = new Map<string, Buffer>();

function signingKeyOf(secret: string, { date, region, service }: Authorization): Buffer {
  const name = `${date}/${region}/${service}/${secret}`;
  let key = signingKeys.get(name);
  if (key === undefined) {
    key = hmac(hmac(hmac(hmac(`AWS4${secret}`, date), region), service), 'aws4_request');
    if (signingKeys.size >= 100) signingKeys.clear();
    signingKeys.set(name, key);
  }
  return key;
}

/** Whether `hex` is this digest. */
export function equal(digest: Buffer, hex: string): boolean {
  const other = Buffer.from(hex, 'hex');
  return other.length === digest.length && hex.length === 2 * digest.length && timingSafeEqual(digest, other);
}

function checkToken(request: S3Request, credential: EndpointCredential): void {
  const token = header(request, 'x-amz-security-token');
  // A temporary key alone is one that S3 does not know; a token beside a key that has none is no token.
  if (token === undefined && credential.sessionToken !== undefined) {
    throw s3Error('InvalidAccessKeyId', { details: { AWSAccessKeyId: credential.accessKeyId } });
  }
  if (token !== credential.sessionToken) throw s3Error('InvalidToken');
  if (credential.expired === true) throw s3Error('ExpiredToken');
}

function checkTime(timestamp: string, date: string, nowMs: number): void {
  const [, year, month, day, hour, minute, second] = /^(....)(..)(..)T(..)(..)(..)Z$/.exec(timestamp) ?? [];
  const requestTime = `${year}-${month}-${day}T${hour}:${minute}:${second}Z`;
  const requestMs = Date.parse(requestTime);
  if (!timestamp.startsWith(date)) {
    throw malformed(
      `Invalid credential date "${date}". This date is not the same as X-Amz-Date: "${timestamp.slice(0, 8)}".`,
    );
  }
  if (Math.abs(requestMs - nowMs) <= maxSkewMs) return;
  throw s3Error('RequestTimeTooSkewed', {
    details: {
      RequestTime: timestamp,
      ServerTime: new Date(nowMs).toISOString(),
      MaxAllowedSkewMilliseconds: String(maxSkewMs),
    },
  });
}
