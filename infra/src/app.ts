import { App, type AppProps, Tags, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { AccessStack } from './access-stack.ts';
import { AuditStack } from './audit-stack.ts';
import { IdentityStack } from './identity-stack.ts';
import { LedgerStack } from './ledger-stack.ts';
import { NetworkStack } from './network-stack.ts';
import { ObjectsStack } from './objects-stack.ts';
import { PermissionsStack } from './permissions-stack.ts';
import { problemsIn, type Settings } from './settings.ts';
import { UploaderStack } from './uploader-stack.ts';

const context = {
  '@aws-cdk/core:enablePartitionLiterals': true,
  '@aws-cdk/core:checkSecretUsage': true,
  // A stack that others use something of can't take it away from them.
  '@aws-cdk/core:defaultCrossStackReferences': 'strong',
  '@aws-cdk/aws-s3:serverAccessLogsUseBucketPolicy': true,
};

/** An app that checks itself by cdk-nag; what is acknowledged stands in the templates, with the reasons. */
export function createApp(props: AppProps = {}): App {
  const app = new App({ context, ...props });
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app, { writeSuppressionsToCloudFormation: true }));
  return app;
}

/** Every stack, in the order in which one builds on the other. */
export function createStacks(app: App, settings: Settings) {
  const problems = problemsIn(settings);
  if (problems.length > 0)
    throw new Error(`The settings are wrong:\n${problems.map((text) => `  ${text}`).join('\n')}`);

  const { name, account, region } = settings;
  const env = { account, region };
  const stackOf = (part: string) => `${name}-${part}`;

  const network = new NetworkStack(app, stackOf('network'), { env, settings });
  const identity =
    settings.uploader.kind === 'sso' ? undefined : new IdentityStack(app, stackOf('identity'), { env, settings });
  const objects = new ObjectsStack(app, stackOf('objects'), { env, settings, identity });
  const ledger = new LedgerStack(app, stackOf('ledger'), { env, settings, network });
  const uploader = new UploaderStack(app, stackOf('uploader'), { env, settings, network, identity, objects, ledger });
  const audit = new AuditStack(app, stackOf('audit'), { env, settings, objects, ledger });
  const permissions = new PermissionsStack(app, stackOf('permissions'), { env, settings, objects, ledger, audit });
  const access =
    settings.access === undefined
      ? undefined
      : new AccessStack(app, stackOf('access'), {
          env: { account: settings.access.account, region: settings.access.region },
          settings,
          access: settings.access,
        });

  // It finds the policies by their names only: no reference says that they come first.
  access?.addStackDependency(permissions);
  access?.addStackDependency(uploader);
  Tags.of(app).add('application', name);
  return { network, identity, objects, ledger, uploader, audit, permissions, access };
}
