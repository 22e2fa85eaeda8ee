import { CfnOutput, Duration, Stack, type StackProps } from 'aws-cdk-lib';
import { ManagedPolicy, PolicyStatement, Role, ServicePrincipal, User } from 'aws-cdk-lib/aws-iam';
import { CfnProfile, CfnTrustAnchor } from 'aws-cdk-lib/aws-rolesanywhere';
import type { Construct } from 'constructs';
import { acknowledge } from './acknowledge.ts';
import { namesOf, type RolesAnywhereUploader, type Settings } from './settings.ts';

export interface IdentityStackProps extends StackProps {
  readonly settings: Settings;
}

/** Who the daemon is: a role, or a user where nothing else goes. What it may do is attached by the uploader stack. */
export class IdentityStack extends Stack {
  readonly principal: Role | User;

  constructor(scope: Construct, id: string, { settings, ...props }: IdentityStackProps) {
    super(scope, id, props);
    const { uploader } = settings;
    switch (uploader.kind) {
      case 'instance':
        this.principal = this.#instanceRole(settings);
        break;
      case 'roles-anywhere':
        this.principal = this.#certificateRole(settings, uploader);
        break;
      case 'static-key':
        // No access key here: a template keeps no secret. It is made by hand, once, on the machine that needs it.
        this.principal = new User(this, 'Uploader', { userName: namesOf(settings).uploader });
        break;
      case 'sso':
        throw new Error('Identity Center makes the role of "sso" itself');
    }
  }

  #instanceRole(settings: Settings): Role {
    const role = new Role(this, 'Uploader', {
      roleName: namesOf(settings).uploader,
      description: 'dropledger: writes to its bucket and its ledger, and reads neither',
      assumedBy: new ServicePrincipal('ec2.amazonaws.com'),
      managedPolicies: [ManagedPolicy.fromAwsManagedPolicyName('AmazonSSMManagedInstanceCore')],
    });
    acknowledge(role, {
      'AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/AmazonSSMManagedInstanceCore]':
        "What the SSM agent needs is AWS's to maintain; it grants nothing in S3, KMS or RDS, and the bucket's policy holds against it.",
    });
    return role;
  }

  #certificateRole(settings: Settings, { caCertificatePem, commonNames }: RolesAnywhereUploader): Role {
    const { uploader: name } = namesOf(settings);
    const anchor = new CfnTrustAnchor(this, 'TrustAnchor', {
      name,
      enabled: true,
      source: { sourceType: 'CERTIFICATE_BUNDLE', sourceData: { x509CertificateData: caCertificatePem } },
    });
    const service = new ServicePrincipal('rolesanywhere.amazonaws.com', {
      conditions: {
        ArnEquals: { 'aws:SourceArn': anchor.attrTrustAnchorArn },
        StringEquals: { 'aws:PrincipalTag/x509Subject/CN': [...commonNames] },
      },
    });
    const role = new Role(this, 'Uploader', {
      roleName: name,
      description: 'dropledger: writes to its bucket and its ledger, and reads neither',
      maxSessionDuration: Duration.hours(1),
      assumedBy: service,
    });
    // The session carries the certificate's subject, as tags and as source identity: it takes both rights.
    role.assumeRolePolicy?.addStatements(
      new PolicyStatement({
        principals: [service],
        actions: ['sts:TagSession', 'sts:SetSourceIdentity'],
        conditions: service.policyFragment.conditions,
      }),
    );
    const profile = new CfnProfile(this, 'Profile', {
      name,
      enabled: true,
      roleArns: [role.roleArn],
      durationSeconds: 3600,
    });
    new CfnOutput(this, 'CredentialProcess', {
      description: 'For ~/.aws/config of the service user: [default] credential_process = …',
      value: `aws_signing_helper credential-process --certificate /etc/dropledger/machine.pem --private-key /etc/dropledger/machine.key --trust-anchor-arn ${anchor.attrTrustAnchorArn} --profile-arn ${profile.attrProfileArn} --role-arn ${role.roleArn}`,
    });
    return role;
  }
}
