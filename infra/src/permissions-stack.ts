import { Stack, type StackProps } from 'aws-cdk-lib';
import { ManagedPolicy } from 'aws-cdk-lib/aws-iam';
import type { Construct } from 'constructs';
import { acknowledgeWildcards } from './acknowledge.ts';
import type { AuditStack } from './audit-stack.ts';
import type { LedgerStack } from './ledger-stack.ts';
import type { ObjectsStack } from './objects-stack.ts';
import { permissionsOf } from './permissions.ts';
import { type GroupName, policyNameOf, type Settings } from './settings.ts';

export interface PermissionsStackProps extends StackProps {
  readonly settings: Settings;
  readonly objects: ObjectsStack;
  readonly ledger: LedgerStack;
  readonly audit: AuditStack;
}

const groups: readonly GroupName[] = ['operators', 'ledgerReaders', 'auditors'];

/**
 * The policies of people, in the account of the bucket and the ledger: the permission sets of Identity Center, which may
 * live in another account, attach them by their names.
 */
export class PermissionsStack extends Stack {
  constructor(scope: Construct, id: string, { settings, objects, ledger, audit, ...props }: PermissionsStackProps) {
    super(scope, id, props);
    const places = {
      ledgerResourceId: ledger.resourceId,
      objectKeyArn: objects.key.keyArn,
      auditKeyArn: audit.key.keyArn,
      ledgerLogArn: ledger.logGroup.logGroupArn,
    };
    for (const group of groups) {
      const policy = new ManagedPolicy(this, group, {
        managedPolicyName: policyNameOf(group, settings),
        description: `dropledger: ${group}`,
        statements: permissionsOf(group, settings, places),
      });
      acknowledgeWildcards(policy, settings);
    }
  }
}
