import { defineConfig } from 'vitest/config';

interface SuiteOptions {
  readonly testTimeout: number;
  readonly fileParallelism?: boolean;
  readonly maxWorkers?: number;
  readonly globalSetup?: string;
}

/** One project a suite; `npm test` runs the first three, `.ci/run` all of them. */
const suite = (name: string, options: SuiteOptions) => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    hookTimeout: 120_000,
    ...options,
  },
});

export default defineConfig({
  test: {
    projects: [
      suite('unit', { testTimeout: 10_000 }),
      suite('integration', { testTimeout: 60_000 }),
      suite('e2e', { testTimeout: 120_000 }),
      suite('faults', { testTimeout: 180_000, maxWorkers: 2 }), // most of the time they wait
      suite('compat', { testTimeout: 300_000, fileParallelism: false }),
      suite('system', {
        testTimeout: 300_000,
        maxWorkers: 2, // boxes wait most of the time
        globalSetup: 'test/support/built-packages.ts',
      }),
    ],
  },
});
