import { describeS3Conformance } from '../support/s3-conformance.ts';
import { startTestEndpoint, writeOnlyPrefix } from '../support/s3-endpoint.ts';

describeS3Conformance('the project’s own S3 endpoint', async () => {
  const endpoint = await startTestEndpoint();
  return { ...endpoint, writeOnlyPrefix };
});
