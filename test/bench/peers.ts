import { execFile, spawn } from 'node:child_process';
import { access, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Usage, usageOf } from './process-usage.ts';

/** Another uploader, on the same files. */
export interface Peer {
  readonly name: string;
  /** As it says itself. */
  readonly version: string;
  /** Uploads the folder once. Throws where it fails. */
  run(folder: string, tuning: Tuning): Promise<Measured>;
}

export interface Tuning {
  /** Requests, or files, at once. */
  readonly parallel: number;
  readonly kind: 'small' | 'large';
}

export interface Measured extends Pick<Usage, 'cpuSeconds' | 'peakRssMb'> {
  readonly seconds: number;
}

interface Target {
  readonly url: string;
  readonly caFile: string;
}

const keys = { AWS_ACCESS_KEY_ID: 'AKIDBENCH', AWS_SECRET_ACCESS_KEY: 'secret', AWS_REGION: 'us-east-1' };

/** Those that are installed, as their manuals say they are fast. */
export async function findPeers({ url, caFile }: Target, scratch: string): Promise<Peer[]> {
  const base = { PATH: process.env['PATH'] ?? '', HOME: scratch, ...keys, SSL_CERT_FILE: caFile };
  const awsConfig = join(scratch, 'aws-config');
  await mkdir(scratch, { recursive: true });

  const all: {
    name: string;
    program: string;
    versionOf: string;
    command: (from: string, t: Tuning) => Promise<string[]>;
  }[] = [
    {
      name: 'rclone',
      program: '/usr/bin/rclone',
      versionOf: 'version',
      command: async (from, { parallel, kind }) => [
        ...['copy', from, ':s3:bench/rclone', '--config', '/dev/null', '--s3-provider', 'Other', '--s3-endpoint', url],
        ...['--s3-env-auth', '--s3-region', 'us-east-1', '--no-check-dest', '--s3-no-head', '--s3-no-check-bucket'],
        ...(kind === 'small'
          ? ['--transfers', String(parallel)]
          : ['--transfers', '4', '--s3-chunk-size', '8M', '--s3-upload-concurrency', String(Math.ceil(parallel / 4))]),
        ...['--ca-cert', caFile, '--retries', '1', '-q'],
      ],
    },
    {
      name: 'aws-cli',
      program: '/usr/bin/aws',
      versionOf: '--version',
      async command(from, { parallel }) {
        const s3 = `  max_concurrent_requests = ${parallel}\n  addressing_style = path`;
        await writeFile(awsConfig, `[default]\nregion = us-east-1\ns3 =\n${s3}\n`);
        const where = ['--endpoint-url', url, '--ca-bundle', caFile];
        return ['s3', 'cp', '--recursive', '--only-show-errors', ...where, from, 's3://bench/aws-cli/'];
      },
    },
    {
      name: 's5cmd',
      program: 's5cmd',
      versionOf: 'version',
      command: async (from, { parallel, kind }) => [
        ...['--endpoint-url', url, '--numworkers', String(kind === 'small' ? parallel : 4), 'cp'],
        ...(kind === 'small' ? [] : ['--part-size', '8', '--concurrency', String(Math.ceil(parallel / 4))]),
        ...[`${from}/`, 's3://bench/s5cmd/'],
      ],
    },
  ];
  const found = await Promise.all(
    all.map(async ({ name, program, versionOf, command }) => {
      const path = await locate(program);
      if (path === undefined) return [];
      const env = { ...base, AWS_CONFIG_FILE: awsConfig, AWS_CA_BUNDLE: name === 's5cmd' ? caFile : '' };
      const { stdout } = await promisify(execFile)(path, [versionOf], { env });
      const version = /\d+\.\d+[.\d]*/.exec(stdout)?.[0] ?? '?';
      const run = async (folder: string, tuning: Tuning) => measure(path, await command(folder, tuning), env);
      return [{ name, version, run }];
    }),
  );
  return found.flat();
}

async function locate(program: string): Promise<string | undefined> {
  const folders = program.startsWith('/') ? [''] : (process.env['PATH'] ?? '').split(':');
  for (const folder of folders) {
    const path = program.startsWith('/') ? program : join(folder, program);
    if (
      await access(path).then(
        () => true,
        () => false,
      )
    )
      return path;
  }
  return undefined;
}

/** From its start to its end. */
async function measure(program: string, args: readonly string[], env: Record<string, string>): Promise<Measured> {
  const set = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
  const began = performance.now();
  const child = spawn(program, args, { env: set, stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (data: Buffer) => {
    said = (said + data.toString()).slice(-2000);
  });
  let usage: Usage = { cpuSeconds: 0, peakRssMb: 0, rssMb: 0 };
  const watching = setInterval(() => {
    const now = usageOf(child.pid ?? 0) ?? usage;
    usage = { ...now, peakRssMb: Math.max(now.peakRssMb, usage.peakRssMb) }; // a zombie has none
  }, 20);
  const code = await new Promise((resolve) => child.once('close', resolve));
  clearInterval(watching);
  const seconds = (performance.now() - began) / 1000;
  if (code !== 0) throw new Error(`${program} ended with ${String(code)}: ${said}`);
  return { seconds, cpuSeconds: usage.cpuSeconds, peakRssMb: usage.peakRssMb };
}
