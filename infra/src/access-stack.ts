import { Stack, type StackProps } from 'aws-cdk-lib';
import { CfnGroup } from 'aws-cdk-lib/aws-identitystore';
import { CfnAssignment, CfnPermissionSet } from 'aws-cdk-lib/aws-sso';
import type { Construct } from 'constructs';
import { type AccessSettings, type GroupName, namesOf, policyNameOf, type Settings } from './settings.ts';

export interface AccessStackProps extends StackProps {
  readonly settings: Settings;
  readonly access: AccessSettings;
}

const groups: Readonly<Record<GroupName, string>> = {
  operators: 'Look after the machine: a shell by Session Manager, its journal',
  ledgerReaders: 'Read the ledger and the objects',
  auditors: 'Read the trail, the ledger, the inventory, and how everything is set',
};

/** Who may come in, by IAM Identity Center: a permission set for each group of people, assigned to this one account. */
export class AccessStack extends Stack {
  constructor(scope: Construct, id: string, { settings, access, ...props }: AccessStackProps) {
    super(scope, id, props);
    for (const [group, description] of Object.entries(groups) as [GroupName, string][]) {
      this.#admit(group, {
        ...{ settings, access, description },
        policyName: policyNameOf(group, settings),
        groupId: this.#groupId(group, description, settings, access),
        sessionHours: access.sessionHours,
      });
    }
    const { uploader } = settings;
    if (uploader.kind === 'sso') {
      const policyName = namesOf(settings).uploader;
      const description = 'The machine that uploads, logged in by a person';
      this.#admit('uploader', { ...{ settings, access, description, policyName }, ...uploader });
    }
  }

  #admit(name: string, admitted: Admitted): void {
    const { settings, access, description, policyName, groupId, sessionHours } = admitted;
    const permissionSet = new CfnPermissionSet(this, `${name}Permissions`, {
      instanceArn: access.instanceArn,
      name: policyName,
      description: `${settings.name}: ${description}`,
      sessionDuration: `PT${sessionHours}H`,
      // Looked up by its name in the account that the set is assigned to: it must be there before.
      customerManagedPolicyReferences: [{ name: policyName }],
    });
    new CfnAssignment(this, `${name}Assignment`, {
      instanceArn: access.instanceArn,
      permissionSetArn: permissionSet.attrPermissionSetArn,
      principalType: 'GROUP',
      principalId: groupId,
      targetType: 'AWS_ACCOUNT',
      targetId: settings.account,
    });
  }

  #groupId(group: GroupName, description: string, settings: Settings, { groups: given }: AccessSettings): string {
    if (!('identityStoreId' in given)) return given[group];
    const made = new CfnGroup(this, `${group}Group`, {
      identityStoreId: given.identityStoreId,
      displayName: policyNameOf(group, settings),
      description,
    });
    return made.attrGroupId;
  }
}

interface Admitted {
  readonly settings: Settings;
  readonly access: AccessSettings;
  readonly description: string;
  readonly policyName: string;
  readonly groupId: string;
  readonly sessionHours: number;
}
