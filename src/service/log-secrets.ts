/**
 * The last net below everything that is logged. Nobody hands a secret to the logger on purpose; a library's error
 * message, a presigned URL or a file that `wget` named after one may still carry it. What is hidden: values after a
 * name that says secret, token, password or signature, and the shapes that AWS and HTTP give their secrets.
 * Access key ids (`AKIA…`) stay: they are no secrets, and an operator needs them.
 *
 * Every pattern starts at a literal and has bounded or linear tails: names are hostile, and this runs on each line.
 */
const hidden = '(hidden)';

const secretName = '(?:secret|token|passw(?:or)?d|passwd|signature)[\\w-]{0,40}';

const patterns: readonly RegExp[] = [
  // -----BEGIN PRIVATE KEY----- …, complete or cut off
  /()-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]{0,30}PRIVATE KEY-----|$)/g,
  // X-Amz-Signature=…, aws_secret_access_key = …, X-Amz-Security-Token%3D…
  new RegExp(`(${secretName}\\s{0,3}(?:=|%3D)\\s{0,3})(?:"[^"]*"?|'[^']*'?|[^\\s&,;"']+)`, 'gi'),
  // "SecretAccessKey": "…", sessionToken: '…', and the same inside a JSON string
  new RegExp(`(${secretName}\\\\?["']?\\s{0,3}:\\s{0,3}\\\\?["'])[^"'\\\\]+`, 'gi'),
  // HTTP headers
  /(x-amz-security-token:\s{0,3})\S+/gi,
  /\b((?:Bearer|Basic)\s{1,3})[\w.~+/-]{8,}=*/gi,
  // AKIA…,<secret>: the pair as the console's CSV file and `user:password` have it
  /(\bA[KS]IA[A-Z0-9]{16}[\s:,;"']{1,3})[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+])/g,
  // a session token of STS, a JSON web token
  /\b()(?:IQoJ|FwoG|FQoG)[\w+/=%-]{60,}/g,
  /\b()eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*/g,
  // scheme://user:password@host
  /(:\/\/[^\s:@/]{0,200}:)[^\s@/]{1,500}(?=@)/g,
];

/** Whether some pattern may match at all: one cheap look that nearly every value passes. */
const suspicious = /secret|token|passw|signature|x-amz|private key|bearer|basic|A[KS]IA|IQoJ|F[wQ]oG|eyJ|:\/\//i;

const secretField = /(?:^|[._-])(?:secret|token|password|signature)$|secret_?access_?key$|session_?token$/i;

/** The text with every secret in it replaced by `(hidden)`. */
export function hideSecrets(text: string): string {
  if (!suspicious.test(text)) return text;
  return patterns.reduce((rest, pattern) => rest.replace(pattern, `$1${hidden}`), text);
}

/** The value of the log field `name`, its secrets hidden; all of it where the name says that it is one. */
export const hideSecretsInField = (name: string, value: string): string =>
  secretField.test(name) ? hidden : hideSecrets(value);
