-- Login roles and their rights. Run after every migration; harmless where it is all there.

DO $roles$
DECLARE
  login text;
BEGIN
  FOREACH login IN ARRAY ARRAY['dropledger_writer', 'dropledger_reader'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = login) THEN
      BEGIN
        EXECUTE format('CREATE ROLE %I LOGIN', login);
      EXCEPTION WHEN duplicate_object OR unique_violation THEN
        NULL; -- Made in this moment from another database of the same server.
      END;
    END IF;
    IF NOT has_database_privilege(login, current_database(), 'CONNECT') THEN
      EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), login);
    END IF;
    -- Amazon RDS: with rds_iam a role logs in by IAM token, and by no other means.
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_iam') AND NOT pg_has_role(login, 'rds_iam', 'MEMBER') THEN
      EXECUTE format('GRANT rds_iam TO %I', login);
    END IF;
  END LOOP;
END
$roles$;

GRANT USAGE ON SCHEMA dropledger TO dropledger_writer, dropledger_reader;
GRANT SELECT ON dropledger.schema_version TO dropledger_writer, dropledger_reader;
GRANT SELECT ON dropledger.uploads, dropledger.daily_totals, dropledger.latest_by_path, dropledger.failures
  TO dropledger_reader;
-- Every column but recorded_at, which is the database's own.
GRANT INSERT (
  id, file_id, host, instance, path, size_bytes, sha256, modified_at, file_owner, content_type, bucket, object_key,
  version_id, etag, s3_request_id, checksum_type, checksum, part_count, status, error, duplicate_of, attempts,
  detected_at, started_at, uploaded_at, principal, daemon_version, chain, seq, previous_hash, row_hash
) ON dropledger.uploads TO dropledger_writer;
