import { expect, it } from 'vitest';
import { parseIni } from '../../../src/aws/shared-files.ts';

it('reads ~/.aws/config as the AWS CLI writes it', () => {
  const sections = parseIni(`
# a comment
[default]
region = eu-central-1   ; where we are
s3 =
    max_concurrent_requests = 20

[profile "my work"]
sso_session=company
SSO_Account_ID = 123456789012
credential_process = /opt/helper --flag=a=b "c d"

[sso-session company]
sso_start_url = https://example.awsapps.com/start#/
[default]
output = json
`);
  expect(Object.fromEntries(sections)).toEqual({
    default: { region: 'eu-central-1', s3: '', output: 'json' },
    'profile my work': {
      sso_session: 'company',
      sso_account_id: '123456789012',
      credential_process: '/opt/helper --flag=a=b "c d"',
    },
    'sso-session company': { sso_start_url: 'https://example.awsapps.com/start#/' },
  });
});
