import type { Installation, Json } from './installations.ts';

/**
 * What CloudFormation would put in the place of its functions, as far as the policies use them: ids that AWS gives are
 * made up (`db-LEDGER`, `key/LOGICAL-ID`), the same wherever they are referred to.
 */
export function resolverOf({ templates, settings }: Installation) {
  const { account, region, name } = settings;

  const resolve = (value: Json, stack: string): Json => {
    if (Array.isArray(value)) return value.map((item) => resolve(item, stack));
    if (value === null || typeof value !== 'object') return value;
    const [[first, argument] = []] = Object.entries<Json>(value);
    switch (first) {
      case 'Ref':
        return reference(argument, stack);
      case 'Fn::GetAtt':
        return attribute(argument[0], argument[1], stack);
      case 'Fn::Join':
        return resolve(argument[1], stack).join(argument[0]);
      case 'Fn::Split':
        return resolve(argument[1], stack).split(argument[0]);
      case 'Fn::Select':
        return resolve(argument[1], stack)[argument[0]];
      case 'Fn::ImportValue':
        return imported(argument);
    }
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, resolve(item, stack)]));
  };

  const reference = (id: string, stack: string): string => {
    const known: Record<string, string> = { 'AWS::Partition': 'aws', 'AWS::Region': region, 'AWS::AccountId': account };
    const { BucketName, RoleName, UserName, LogGroupName } = templates[stack].Resources[id]?.Properties ?? {};
    return known[id] ?? BucketName ?? RoleName ?? UserName ?? LogGroupName ?? id;
  };

  const attribute = (id: string, attributeName: string, stack: string): string => {
    const { Type, Properties } = templates[stack].Resources[id];
    switch (`${Type}.${attributeName}`) {
      case 'AWS::KMS::Key.Arn':
        return `arn:aws:kms:${region}:${account}:key/${id}`;
      case 'AWS::S3::Bucket.Arn':
        return `arn:aws:s3:::${Properties.BucketName}`;
      case 'AWS::IAM::Role.Arn':
        return `arn:aws:iam::${account}:role/${Properties.RoleName ?? id}`;
      case 'AWS::Logs::LogGroup.Arn':
        return `arn:aws:logs:${region}:${account}:log-group:${Properties.LogGroupName}:*`;
      case 'AWS::RDS::DBInstance.DbiResourceId':
        return 'db-LEDGER';
      case 'AWS::RDS::DBCluster.DBClusterResourceId':
        return 'cluster-LEDGER';
      case 'AWS::RDS::DBProxy.DBProxyArn':
        return `arn:aws:rds:${region}:${account}:db-proxy:prx-LEDGER`;
      case 'AWS::RolesAnywhere::TrustAnchor.TrustAnchorArn':
        return `arn:aws:rolesanywhere:${region}:${account}:trust-anchor/${id}`;
    }
    return `${Type}.${attributeName}`;
  };

  /** `STACK:EXPORT`, which is an output of that stack. */
  const imported = (exportName: string): Json => {
    const stack = exportName.split(':')[0]?.slice(name.length + 1) ?? '';
    const outputs: Json[] = Object.values(templates[stack].Outputs);
    return resolve(outputs.find(({ Export }) => Export?.Name === exportName).Value, stack);
  };

  return resolve;
}
