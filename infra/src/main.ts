/** What `cdk` runs: the settings of `config.ts`, or of the file that DROPLEDGER_INFRA_CONFIG names. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { createApp, createStacks } from './app.ts';
import type { Settings } from './settings.ts';

const file = resolve(process.env['DROPLEDGER_INFRA_CONFIG'] ?? 'config.ts');
if (!existsSync(file)) throw new Error(`${file} is missing: copy config.example.ts there and fill in your own`);
const { settings } = (await import(pathToFileURL(file).href)) as { settings: Settings };

const app = createApp();
createStacks(app, settings);
app.synth();
