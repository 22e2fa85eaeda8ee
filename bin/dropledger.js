#!/bin/sh
':' //; here=$(dirname "$(readlink -f "$0")"); for node in "$here/node" "$here/../node_modules/.bin/node" "$here/../../.bin/node"; do [ -x "$node" ] && exec "$node" --expose-gc --max-semi-space-size=8 "$here/dropledger.js" "$@"; done; exec node --expose-gc --max-semi-space-size=8 "$here/dropledger.js" "$@"

// A shell runs the line above and becomes Node 24 (one process, no parent left behind); Node reads it as a label and
// starts here. A clone runs the TypeScript as it is; a package, where Node refuses to strip types, brings dist/.
import { existsSync } from 'node:fs';
import module from 'node:module';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';

// Memory for a little CPU: garbage is collected once the heap has grown by 40 %, and that of young objects (above: 8 MB
// instead of 64) more often, and all of it once there is nothing to do (--expose-gc). With V8's own limits 10,000 small
// files take 340 MB, with these 170.
setFlagsFromString('--heap-growing-percent=40');

const built = new URL('../dist/main.js', import.meta.url);
const source = new URL('../src/main.ts', import.meta.url);
if (Number(process.versions.node.split('.')[0]) < 24) {
  process.stderr.write(`dropledger needs Node 24 or newer; this is ${process.versions.node}. In a clone, npm ci brings one.\n`);
  process.exit(1);
}
const isClone = existsSync(source);
// Compiled but once, and in a clone stripped of its types: the next start is faster, and takes 10 MB less (a clone 25). A
// package keeps that in the service's own folder (CacheDirectory= of the unit): whoever else starts it trusts no such file.
const cache = isClone
  ? fileURLToPath(new URL('../node_modules/.cache/compiled', import.meta.url))
  : process.env.CACHE_DIRECTORY;
if (cache !== undefined) {
  module.enableCompileCache(cache);
  process.env.NODE_COMPILE_CACHE ??= cache; // its other threads read it there
}
await import(isClone ? source.href : built.href);
