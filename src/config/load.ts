import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { ConfigError, codeOf, messageOf } from '../service/errors.ts';
import { problemsAcrossKeys } from './across-keys.ts';
import { type Config, configSchema } from './schema.ts';

/** One thing wrong with the configuration: `path` is the key (`s3.bucket`), empty for the file as a whole. */
export interface ConfigProblem {
  readonly path: string;
  readonly message: string;
}

/** All that is wrong with a configuration, at once; the message lists every problem on a line of its own. */
export class InvalidConfig extends ConfigError {
  readonly file: string;
  readonly problems: readonly ConfigProblem[];

  constructor(file: string, problems: readonly ConfigProblem[]) {
    const lines = problems.map(({ path, message }) => `  ${path === '' ? '' : `${path} `}${message}`);
    const count = problems.length === 1 ? 'a problem' : `${problems.length} problems`;
    super(`${file} has ${count}:\n${lines.join('\n')}`, {
      hint: 'config.example.json shows every key; --config FILE reads another configuration',
    });
    this.file = file;
    this.problems = problems;
  }
}

/**
 * Reads and checks the configuration.
 * @throws InvalidConfig with every problem at once: unreadable, not JSON, unknown keys, wrong values.
 */
export async function loadConfig(file: string): Promise<Config> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    const reason = codeOf(error) === 'ENOENT' ? 'there is no such file' : messageOf(error);
    throw new InvalidConfig(file, [{ path: '', message: `cannot be read: ${reason}` }]);
  }
  return parseConfig(file, text);
}

/** As `loadConfig`, from the file's text. */
export function parseConfig(file: string, text: string): Config {
  let data: unknown;
  try {
    data = JSON.parse(text.replace(/^\u{feff}/u, ''));
  } catch (error) {
    throw new InvalidConfig(file, [{ path: '', message: `is not JSON: ${messageOf(error)}` }]);
  }
  const result = configSchema.safeParse(data);
  const problems = [...(result.error?.issues.flatMap(problemsOf) ?? []), ...problemsAcrossKeys(data)];
  if (!result.success || problems.length > 0) throw new InvalidConfig(file, problems);
  return result.data;
}

function problemsOf(issue: z.core.$ZodIssue): ConfigProblem[] {
  const path = issue.path.map(String).join('.');
  const under = (key: string) => (path === '' ? key : `${path}.${key}`);
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ path: under(key), message: unknownKeyMessage(key) }));
  }
  if (issue.code === 'invalid_type' && issue.message.endsWith('received undefined')) {
    return [{ path, message: 'is missing' }];
  }
  const message = issue.message.charAt(0).toLowerCase() + issue.message.slice(1);
  return [{ path, message: /^(must|is) /.test(message) ? message : `is wrong: ${message}` }];
}

/** Secrets never stand in the config: whoever tries is told where they belong. */
function unknownKeyMessage(key: string): string {
  if (/secret|access.?key|token/i.test(key)) {
    return 'is not a key of the configuration: credentials come from the AWS chain (instance role, SSO, ~/.aws), never from here';
  }
  if (/password/i.test(key)) {
    return 'is not a key of the configuration: put the password into a file of its own and name it in ledger.passwordFile';
  }
  return 'is not a known key';
}

/** The JSON schema of the configuration, for editors (`$schema`). */
export function configJsonSchema(): object {
  return z.toJSONSchema(configSchema, { io: 'input' });
}
