import { randomUUID } from 'node:crypto';
import { arnOf } from './access.ts';
import type { Answer } from './call.ts';
import type { S3Request } from './request.ts';
import { S3Error } from './s3-error.ts';
import { type AuthenticationRules, authenticateSts } from './signature.ts';
import { xmlDocument } from './xml.ts';

const namespace = 'https://sts.amazonaws.com/doc/2011-06-15/';
const maxFormBytes = 16 * 1024;

/** `GetCallerIdentity`, the one call of AWS's Security Token Service that the daemon makes; with STS's own errors. */
export async function answerSts(
  request: S3Request,
  rules: AuthenticationRules & { readonly accountId: string },
): Promise<Answer> {
  try {
    const form = await readForm(request);
    const { credential } = authenticateSts(request, form, rules);
    const action = new URLSearchParams(form.toString('utf8')).get('Action');
    if (action !== 'GetCallerIdentity') {
      throw new S3Error('InvalidAction', 400, `Could not find operation ${action} for version 2011-06-15`);
    }
    return {
      status: 200,
      body: xmlDocument(
        'GetCallerIdentityResponse',
        {
          GetCallerIdentityResult: {
            Arn: arnOf(credential, rules.accountId),
            UserId: credential.accessKeyId,
            Account: rules.accountId,
          },
          ResponseMetadata: { RequestId: randomUUID() },
        },
        namespace,
      ),
    };
  } catch (error) {
    if (error instanceof S3Error) return errorAnswer(error);
    throw error;
  }
}

async function readForm(request: S3Request): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request.message as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxFormBytes) throw new S3Error('RequestEntityTooLarge', 413, 'Request body is too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** S3's code → STS's code, status and message ("Common Error Types" of the STS API reference). */
const stsErrors: Readonly<Record<string, readonly [string, number, string]>> = {
  AccessDenied: ['MissingAuthenticationToken', 403, 'Request is missing Authentication Token'],
  InvalidAccessKeyId: ['InvalidClientTokenId', 403, 'The security token included in the request is invalid.'],
  InvalidToken: ['InvalidClientTokenId', 403, 'The security token included in the request is invalid.'],
  ExpiredToken: ['ExpiredToken', 403, 'The security token included in the request is expired'],
  RequestTimeTooSkewed: ['SignatureDoesNotMatch', 403, 'Signature expired or not yet current'],
  AuthorizationHeaderMalformed: ['IncompleteSignature', 400, 'The request signature does not conform to AWS standards'],
};

function errorAnswer(error: S3Error): Answer {
  const [code, status, message] = stsErrors[error.code] ?? [error.code, error.status, error.message];
  const content = { Error: { Type: 'Sender', Code: code, Message: message }, RequestId: randomUUID() };
  return { status, body: xmlDocument('ErrorResponse', content, namespace) };
}
