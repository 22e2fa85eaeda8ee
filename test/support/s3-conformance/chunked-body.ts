import { createHmac } from 'node:crypto';
import type { HttpRequest } from '@smithy/types';
import { type Credentials, type RawRequest, sha256Hex } from '../signed-request.ts';

/** Bodies in `aws-chunked` framing, made by hand from the documentation: not by the code that is under test. */

type Framed = Pick<RawRequest, 'headers' | 'frame'>;

/** `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`: each chunk is signed, and its signature with the next. */
export function frameSigned(
  content: string,
  server: { readonly owner: Credentials; readonly region: string },
  { chunkBytes = 8192, tamper = false }: { readonly chunkBytes?: number; readonly tamper?: boolean } = {},
): Framed {
  const chunks: string[] = [];
  for (let at = 0; at < content.length; at += chunkBytes) chunks.push(content.slice(at, at + chunkBytes));
  chunks.push('');
  // Every chunk's signature has 64 characters: the length is known before any is made.
  const framedBytes = chunks.reduce((sum, chunk) => sum + header(chunk, '0'.repeat(64)).length + chunk.length + 2, 0);
  return {
    headers: {
      'content-encoding': 'aws-chunked',
      'content-length': String(framedBytes),
      'x-amz-content-sha256': 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
      'x-amz-decoded-content-length': String(content.length),
    },
    frame(signed) {
      const sign = chunkSigner(signed, server);
      let body = '';
      for (const chunk of chunks) body += `${header(chunk, sign(chunk))}${chunk}\r\n`;
      return Buffer.from(tamper ? body.replace('\r\na', '\r\nb') : body, 'latin1');
    },
  };
}

const header = (chunk: string, signature: string): string =>
  `${chunk.length.toString(16)};chunk-signature=${signature}\r\n`;

function chunkSigner(
  signed: HttpRequest,
  { owner, region }: { readonly owner: Credentials; readonly region: string },
): (chunk: string) => string {
  const timestamp = signed.headers['x-amz-date'] ?? '';
  const date = timestamp.slice(0, 8);
  const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest();
  const key = hmac(hmac(hmac(hmac(`AWS4${owner.secretAccessKey}`, date), region), 's3'), 'aws4_request');
  let previous = /Signature=([0-9a-f]{64})/.exec(signed.headers['authorization'] ?? '')?.[1] ?? '';
  return (chunk) => {
    const scope = `${date}/${region}/s3/aws4_request`;
    const lines = ['AWS4-HMAC-SHA256-PAYLOAD', timestamp, scope, previous, sha256Hex(''), sha256Hex(chunk)];
    previous = hmac(key, lines.join('\n')).toString('hex');
    return previous;
  };
}

/** `STREAMING-UNSIGNED-PAYLOAD-TRAILER`, in one chunk; `trailer` is `[name, value]`. `cut`: the end is missing. */
export function framePlain(
  content: string,
  { trailer, cut = false }: { readonly trailer: readonly [string, string] | undefined; readonly cut?: boolean },
): Framed {
  const end = trailer === undefined ? '0\r\n\r\n' : `0\r\n${trailer[0]}:${trailer[1]}\r\n\r\n`;
  const body = Buffer.from(`${content.length.toString(16)}\r\n${content}\r\n${cut ? '' : end}`, 'latin1');
  return {
    headers: {
      'content-encoding': 'aws-chunked',
      'content-length': String(body.length),
      'x-amz-content-sha256': 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
      'x-amz-decoded-content-length': String(content.length),
      ...(trailer !== undefined && { 'x-amz-trailer': trailer[0] }),
    },
    frame: () => body,
  };
}
