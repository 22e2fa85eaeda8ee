/** `dropledger@.service`, from `dropledger.service`: one further daemon a configuration, with a state of its own. */

const replacements: readonly (readonly [string, string])[] = [
  ['Description=Uploads dropped files to S3 and records them in a ledger', 'Description=dropledger %i'],
  ['(`systemctl edit dropledger`)', '(`systemctl edit dropledger@NAME`)'],
  ['--config /etc/dropledger/config.json', '--config /etc/dropledger/%i.json'],
  ['\nStateDirectory=dropledger\n', '\nStateDirectory=dropledger-%i\n'],
  ['\nCacheDirectory=dropledger\n', '\nCacheDirectory=dropledger-%i\n'],
  ['\nRuntimeDirectory=dropledger\n', '\nRuntimeDirectory=dropledger-%i\n'],
  [
    '\nEnvironment=HOME=/var/lib/dropledger\n',
    "\nEnvironment=HOME=/var/lib/dropledger-%i\n# The ledger's column `instance`.\nEnvironment=DROPLEDGER_INSTANCE=%i\n",
  ],
  [
    'EnvironmentFile=-/etc/dropledger/environment\n',
    'EnvironmentFile=-/etc/dropledger/environment\nEnvironmentFile=-/etc/dropledger/%i.environment\n',
  ],
  ['\nSyslogIdentifier=dropledger\n', '\nSyslogIdentifier=dropledger-%i\n'],
];

/** @throws Error where the unit no longer has what is to be replaced. */
export function instanceUnit(unit: string): string {
  return replacements.reduce((text, [from, to]) => {
    if (text.split(from).length !== 2) throw new Error(`dropledger.service must have this once: ${from.trim()}`);
    return text.replace(from, () => to);
  }, unit);
}
