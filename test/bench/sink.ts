/**
 * An S3 endpoint that swallows what it is sent, as fast as one core can: nothing is stored, hashed or checked. A process
 * of its own (`startSink`), so that its CPU time is nobody else's:
 *
 *     node test/bench/sink.ts CERTIFICATE KEY LATENCY_MS      (prints its port)
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer, type TLSSocket } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { createTestCa } from '../support/tls.ts';

export interface Sink extends AsyncDisposable {
  readonly url: string;
  readonly caFile: string;
}

/** Its certificate is made in `folder`; each answer waits for `latencyMs`. */
export async function startSink(folder: string, latencyMs = 0): Promise<Sink> {
  const ca = await createTestCa(folder);
  const { certFile, keyFile } = await ca.issue('127.0.0.1');
  const args = [fileURLToPath(import.meta.url), certFile, keyFile, String(latencyMs)];
  const child: ChildProcess = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const [port] = (await once(child.stdout as NonNullable<ChildProcess['stdout']>, 'data')) as [Buffer];
  return {
    url: `https://127.0.0.1:${String(port).trim()}`,
    caFile: ca.certFile,
    async [Symbol.asyncDispose]() {
      child.kill();
      await once(child, 'exit');
    },
  };
}

const endOfHead = Buffer.from('\r\n\r\n');
/** Of the kind that multipart objects have: clients don't take it for an MD5. */
const etag = '"00000000000000000000000000000000-1"';

/** Reads requests and answers each once its body has come. */
function serve(socket: TLSSocket, latencyMs: number): void {
  let head: Buffer | undefined;
  let bodyLeft = 0;
  let respond = () => {};

  const take = (data: Buffer): void => {
    let rest = data;
    while (rest.length > 0) {
      if (bodyLeft === 0) {
        const all: Buffer = head === undefined ? rest : Buffer.concat([head, rest]);
        const end = all.indexOf(endOfHead);
        head = end === -1 ? all : undefined;
        if (end === -1) return;
        begin(all.toString('latin1', 0, end));
        rest = all.subarray(end + endOfHead.length);
      } else {
        const taken = Math.min(bodyLeft, rest.length);
        bodyLeft -= taken;
        rest = rest.subarray(taken);
      }
      if (bodyLeft === 0) respond();
    }
  };

  const begin = (text: string): void => {
    const headers = text.toLowerCase();
    bodyLeft = Number(/\r\ncontent-length: *(\d+)/.exec(headers)?.[1] ?? 0);
    if (headers.includes('\r\nexpect: 100-continue')) socket.write('HTTP/1.1 100 Continue\r\n\r\n');
    const answer = answerTo(text.slice(0, text.indexOf('\r\n')), /\r\nx-amz-checksum-crc32: *(\S+)/i.exec(text)?.[1]);
    respond = () => {
      if (latencyMs === 0) socket.write(answer);
      else setTimeout(() => socket.write(answer), latencyMs);
    };
  };

  socket.on('data', take);
  socket.on('error', () => socket.destroy());
}

let uploads = 0;

function answerTo(requestLine: string, crc32: string | undefined): string {
  const [method = '', target = ''] = requestLine.split(' ');
  const query = target.split('?')[1] ?? '';
  if (method === 'DELETE') return answer('204 No Content', '');
  if (method === 'POST' && /^uploads/.test(query)) {
    uploads += 1;
    const id = `<UploadId>${uploads}</UploadId>`;
    return answer('200 OK', `<InitiateMultipartUploadResult>${id}</InitiateMultipartUploadResult>`);
  }
  if (method === 'POST') {
    return answer('200 OK', `<CompleteMultipartUploadResult><ETag>${etag}</ETag></CompleteMultipartUploadResult>`);
  }
  if (method === 'GET') return answer('200 OK', '<ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>');
  if (method === 'HEAD') return answer('404 Not Found', '');
  return answer('200 OK', '', crc32 === undefined ? '' : `x-amz-checksum-crc32: ${crc32}\r\n`);
}

const answer = (status: string, body: string, more = '') =>
  `HTTP/1.1 ${status}\r\nx-amz-request-id: SINK\r\nETag: ${etag}\r\n${more}Content-Length: ${body.length}\r\n\r\n${body}`;

if (import.meta.main) {
  const [certFile = '', keyFile = '', latencyMs = '0'] = process.argv.slice(2);
  const server = createServer({ cert: readFileSync(certFile), key: readFileSync(keyFile) }, (socket) => {
    socket.setNoDelay();
    serve(socket, Number(latencyMs));
  });
  server.listen(0, '127.0.0.1', () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`));
}
