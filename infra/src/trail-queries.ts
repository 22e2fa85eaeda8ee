import { CfnPreparedStatement, CfnWorkGroup } from 'aws-cdk-lib/aws-athena';
import { CfnDatabase, CfnTable } from 'aws-cdk-lib/aws-glue';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import type { IBucket } from 'aws-cdk-lib/aws-s3';
import { Construct } from 'constructs';
import { namesOf, type Settings, uploaderArnOf } from './settings.ts';

export interface TrailQueriesProps {
  readonly settings: Settings;
  readonly trailBucket: IBucket;
  readonly queryBucket: IBucket;
  readonly key: IKey;
}

const identity =
  'struct<type:string,principalid:string,arn:string,accountid:string,invokedby:string,accesskeyid:string,username:string,' +
  'onbehalfof:struct<userid:string,identitystorearn:string>,sessioncontext:struct<attributes:struct<mfaauthenticated:string,' +
  'creationdate:string>,sessionissuer:struct<type:string,principalid:string,arn:string,accountid:string,username:string>>>';

/** As CloudTrail writes its files; `requestparameters` is the JSON of the call. */
const columns: Readonly<Record<string, string>> = {
  eventversion: 'string',
  useridentity: identity,
  eventtime: 'string',
  eventsource: 'string',
  eventname: 'string',
  awsregion: 'string',
  sourceipaddress: 'string',
  useragent: 'string',
  errorcode: 'string',
  errormessage: 'string',
  requestparameters: 'string',
  responseelements: 'string',
  additionaleventdata: 'string',
  requestid: 'string',
  eventid: 'string',
  readonly: 'string',
  resources: 'array<struct<arn:string,accountid:string,type:string>>',
  eventtype: 'string',
  recipientaccountid: 'string',
  vpcendpointid: 'string',
  eventcategory: 'string',
  sessioncredentialfromconsole: 'string',
};

/** The trail's files as a table, and the questions that auditors ask, ready to be run: Athena needs nothing that runs. */
export class TrailQueries extends Construct {
  constructor(scope: Construct, id: string, { settings, trailBucket, queryBucket, key }: TrailQueriesProps) {
    super(scope, id);
    const { account } = settings;
    const { workGroup, auditDatabase } = namesOf(settings);
    const database = new CfnDatabase(this, 'Database', {
      catalogId: account,
      databaseInput: { name: auditDatabase, description: "dropledger: the trail's files" },
    });
    const location = `s3://${trailBucket.bucketName}/AWSLogs/${account}/CloudTrail/`;
    const table = new CfnTable(this, 'Table', {
      catalogId: account,
      databaseName: auditDatabase,
      tableInput: {
        name: 'cloudtrail',
        tableType: 'EXTERNAL_TABLE',
        parameters: { ...projection(settings), 'storage.location.template': `${location}\${region}/\${day}` },
        partitionKeys: [
          { name: 'region', type: 'string' },
          { name: 'day', type: 'string' },
        ],
        storageDescriptor: {
          location,
          columns: Object.entries(columns).map(([name, type]) => ({ name, type })),
          inputFormat: 'com.amazon.emr.cloudtrail.CloudTrailInputFormat',
          outputFormat: 'org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat',
          serdeInfo: { serializationLibrary: 'org.apache.hive.hcatalog.data.JsonSerDe' },
        },
      },
    });
    table.addResourceDependency(database);
    const group = new CfnWorkGroup(this, 'WorkGroup', {
      name: workGroup,
      description: 'dropledger: questions to the trail',
      workGroupConfiguration: {
        enforceWorkGroupConfiguration: true,
        publishCloudWatchMetricsEnabled: true,
        bytesScannedCutoffPerQuery: 100 * 1024 ** 3, // About half a dollar.
        resultConfiguration: {
          outputLocation: `s3://${queryBucket.bucketName}/results/`,
          encryptionConfiguration: { encryptionOption: 'SSE_KMS', kmsKey: key.keyArn },
        },
      },
    });
    for (const [statementName, { description, sql }] of Object.entries(trailQueries(settings))) {
      const statement = new CfnPreparedStatement(this, statementName, {
        statementName,
        workGroup,
        description,
        queryStatement: sql,
      });
      statement.addResourceDependency(group);
    }
  }
}

/** Partitions are computed from the question, not looked up: nobody has to add one every day. */
const projection = ({ region }: Settings) => ({
  'projection.enabled': 'true',
  'projection.region.type': 'enum',
  'projection.region.values': [...new Set([region, 'us-east-1'])].join(','), // IAM and sign-in are told in us-east-1.
  'projection.day.type': 'date',
  'projection.day.format': 'yyyy/MM/dd',
  'projection.day.range': '2026/01/01,NOW',
  'projection.day.interval': '1',
  'projection.day.interval.unit': 'DAYS',
});

/** Prepared statements: `EXECUTE name USING 'first', 'second'`. Days are written 2026/11/21, in UTC. */
export function trailQueries(settings: Settings): Readonly<Record<string, { description: string; sql: string }>> {
  const { region, bucket } = settings;
  const table = `"${namesOf(settings).auditDatabase}"."cloudtrail"`;
  const parameter = (name: string) => `json_extract_scalar(requestparameters, '$.${name}')`;
  const what = `eventtime, eventname, ${parameter('key')} AS object_key, useridentity.arn AS who, sourceipaddress, useragent, errorcode, requestid`;
  const inBucket = `region = '${region}' AND eventsource = 's3.amazonaws.com' AND ${parameter('bucketName')} = '${bucket.name}'`;
  return {
    who_touched: {
      description: 'Who touched an object: first day, last day, key',
      sql: `SELECT ${what} FROM ${table} WHERE ${inBucket} AND day BETWEEN ? AND ? AND ${parameter('key')} = ? ORDER BY eventtime`,
    },
    uploader_on_day: {
      description: 'What the uploader did on a day: day',
      sql: `SELECT eventsource, ${what} FROM ${table} WHERE region = '${region}' AND day = ? AND ${isUploader(settings)} ORDER BY eventtime`,
    },
    by_request_id: {
      description: 'What the trail says of a row of the ledger: day of uploaded_at, s3_request_id',
      sql: `SELECT ${what}, vpcendpointid, additionaleventdata FROM ${table} WHERE ${inBucket} AND day = ? AND requestid = ?`,
    },
    stored_on_day: {
      description: 'Every object stored on a day, to be joined to the ledger by request id or key: day',
      sql: `SELECT requestid, ${parameter('key')} AS object_key, eventtime, useridentity.arn AS who FROM ${table} WHERE ${inBucket} AND day = ? AND eventname IN ('PutObject', 'CompleteMultipartUpload', 'CopyObject') AND errorcode IS NULL ORDER BY eventtime`,
    },
    refused: {
      description: 'What was refused, to whom: first day, last day',
      sql: `SELECT ${what}, errormessage FROM ${table} WHERE ${inBucket} AND day BETWEEN ? AND ? AND errorcode IS NOT NULL ORDER BY eventtime`,
    },
  };
}

function isUploader(settings: Settings): string {
  switch (settings.uploader.kind) {
    case 'static-key':
      return `useridentity.arn = '${uploaderArnOf(settings)}'`;
    case 'sso':
      return `useridentity.sessioncontext.sessionissuer.username LIKE 'AWSReservedSSO_${namesOf(settings).uploader}_%'`;
    case 'instance':
    case 'roles-anywhere':
      return `useridentity.sessioncontext.sessionissuer.arn = '${uploaderArnOf(settings)}'`;
  }
}
