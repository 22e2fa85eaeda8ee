/** Prints the JSON schema of the configuration: `npm run schema` keeps config.schema.json true. */
import { configJsonSchema } from './load.ts';

console.log(JSON.stringify(configJsonSchema(), null, 2));
