-- compatible-from: 1
-- The ledger: one table of evidence, append-only, and the views that people ask for first.

CREATE TABLE dropledger.uploads (
  id             uuid        PRIMARY KEY,
  file_id        uuid        NOT NULL,
  host           text        NOT NULL,
  instance       text        NOT NULL,
  path           text        NOT NULL,
  size_bytes     bigint      NOT NULL CHECK (size_bytes >= 0),
  -- An expression with {64} takes ten times as long as these two.
  sha256         text        CHECK (octet_length(sha256) = 64 AND sha256 !~ '[^0-9a-f]'),
  modified_at    timestamptz NOT NULL,
  file_owner     text,
  content_type   text,
  bucket         text        NOT NULL,
  object_key     text,
  version_id     text,
  etag           text,
  s3_request_id  text,
  checksum_type  text,
  checksum       text,
  part_count     integer,
  status         text        NOT NULL CHECK (status IN ('uploaded', 'duplicate', 'failed')),
  error          text,
  duplicate_of   uuid,
  attempts       integer     NOT NULL,
  detected_at    timestamptz NOT NULL,
  started_at     timestamptz,
  uploaded_at    timestamptz,
  recorded_at    timestamptz NOT NULL DEFAULT now(),
  principal      text,
  daemon_version text        NOT NULL,
  chain          uuid        NOT NULL,
  seq            bigint      NOT NULL,
  previous_hash  text,
  row_hash       text        NOT NULL,
  CONSTRAINT stored_rows_name_their_object
    CHECK (status = 'failed' OR (sha256 IS NOT NULL AND object_key IS NOT NULL))
) WITH (
  -- Rows never change, so vacuum has nothing to tidy; but only what it has passed can be read from an index alone.
  autovacuum_vacuum_insert_threshold = 20000,
  autovacuum_vacuum_insert_scale_factor = 0.001,
  autovacuum_analyze_scale_factor = 0.02
);

COMMENT ON TABLE dropledger.uploads IS
  'What became of each file that was dropped: exactly one row with status uploaded or duplicate for every file that was accepted, one with status failed for each time a file went to quarantine. Append-only: UPDATE, DELETE and TRUNCATE are refused, to the owner as well.';
COMMENT ON COLUMN dropledger.uploads.id IS
  'Of this row: a UUIDv7, minted when the upload of its file first begins, or else when the outcome is known: ids follow time only roughly, recorded_at is exact. The only unique constraint: a row that is sent twice is recorded once.';
COMMENT ON COLUMN dropledger.uploads.file_id IS
  'Of the file: the same in every row about one file, such as a failure and the upload after it.';
COMMENT ON COLUMN dropledger.uploads.host IS 'Name of the machine the file was dropped on.';
COMMENT ON COLUMN dropledger.uploads.instance IS 'Which dropledger on that machine, where there are several.';
COMMENT ON COLUMN dropledger.uploads.path IS
  'Relative to the drop folder, separated by /. Bytes that are not UTF-8 are written as \xNN, a backslash as \\.';
COMMENT ON COLUMN dropledger.uploads.size_bytes IS 'Size of the file in bytes.';
COMMENT ON COLUMN dropledger.uploads.sha256 IS
  'SHA-256 of the whole file, in hex: of the very bytes that were sent or, for a duplicate, compared. Null in failed rows.';
COMMENT ON COLUMN dropledger.uploads.modified_at IS 'The file''s own time of last modification.';
COMMENT ON COLUMN dropledger.uploads.file_owner IS 'User who owned the file; a number where it has no name.';
COMMENT ON COLUMN dropledger.uploads.content_type IS 'Content-Type of the object.';
COMMENT ON COLUMN dropledger.uploads.bucket IS 'S3 bucket.';
COMMENT ON COLUMN dropledger.uploads.object_key IS
  'Key of the object that holds these bytes. Null in failed rows.';
COMMENT ON COLUMN dropledger.uploads.version_id IS
  'Version of the object in a versioned bucket. Null as well where the answer to the upload was lost.';
COMMENT ON COLUMN dropledger.uploads.etag IS 'ETag that S3 answered. Null where the answer was lost.';
COMMENT ON COLUMN dropledger.uploads.s3_request_id IS
  'What AWS support asks for. Null where the answer to the upload was lost.';
COMMENT ON COLUMN dropledger.uploads.checksum_type IS
  'What S3 verified on arrival: CRC32, over the whole object. Null where the store confirmed none, or its answer was lost.';
COMMENT ON COLUMN dropledger.uploads.checksum IS 'The checksum that S3 verified, in base64 as S3 writes it.';
COMMENT ON COLUMN dropledger.uploads.part_count IS 'Parts of a multipart upload; 1 for a single put.';
COMMENT ON COLUMN dropledger.uploads.status IS
  'uploaded: the object was stored. duplicate: the same bytes were in the bucket already, see duplicate_of. failed: the file went to quarantine, see error.';
COMMENT ON COLUMN dropledger.uploads.error IS 'Why the file went to quarantine.';
COMMENT ON COLUMN dropledger.uploads.duplicate_of IS
  'id of the row whose object holds the same bytes. That row may still be on its way here.';
COMMENT ON COLUMN dropledger.uploads.attempts IS 'How many times the upload was tried.';
COMMENT ON COLUMN dropledger.uploads.detected_at IS 'When the file was first seen in the drop folder.';
COMMENT ON COLUMN dropledger.uploads.started_at IS 'When its upload began.';
COMMENT ON COLUMN dropledger.uploads.uploaded_at IS 'When S3 acknowledged the object.';
COMMENT ON COLUMN dropledger.uploads.recorded_at IS 'When this row arrived, by the clock of the database; nobody may set it.';
COMMENT ON COLUMN dropledger.uploads.principal IS
  'ARN of the AWS identity that uploaded it. Null where there is none to ask for.';
COMMENT ON COLUMN dropledger.uploads.daemon_version IS 'Version of dropledger that wrote the row.';
COMMENT ON COLUMN dropledger.uploads.chain IS 'The hash chain this row belongs to: one for each local journal.';
COMMENT ON COLUMN dropledger.uploads.seq IS 'Place in the chain, without gaps.';
COMMENT ON COLUMN dropledger.uploads.previous_hash IS 'row_hash of the row before it in the chain; null in the first.';
COMMENT ON COLUMN dropledger.uploads.row_hash IS
  'SHA-256, in hex, over every other column but recorded_at, previous_hash included: an altered row is found by computing it anew.';

-- Equality or prefix search by text of any length (a btree refuses values over 2.7 kB). Names that are dropped together
-- mostly begin alike, so their entries lie together, and recording touches few pages.
CREATE INDEX uploads_path ON dropledger.uploads USING spgist (path);
COMMENT ON INDEX dropledger.uploads_path IS 'path = …, path LIKE ''folder/%'', path ^@ ''folder/''';
CREATE INDEX uploads_object_key ON dropledger.uploads USING spgist (object_key);
COMMENT ON INDEX dropledger.uploads_object_key IS 'object_key = …: which file an object was.';
-- Of a hash, in a btree: a quarter of the size that the text would take, and, unlike a hash index, at ease with a million
-- rows of the same value, such as the sha256 of an empty file.
CREATE INDEX uploads_sha256 ON dropledger.uploads (hashtextextended(sha256, 0));
COMMENT ON INDEX dropledger.uploads_sha256 IS 'dropledger.with_sha256(…)';
CREATE INDEX uploads_recorded_at ON dropledger.uploads (recorded_at)
  INCLUDE (status, size_bytes, started_at, uploaded_at);
COMMENT ON INDEX dropledger.uploads_recorded_at IS
  'Ranges of recorded_at, and the latest rows. What figures are made of stands in the index itself.';
CREATE INDEX uploads_failed ON dropledger.uploads (recorded_at) WHERE status = 'failed';
COMMENT ON INDEX dropledger.uploads_failed IS 'The view failures.';

CREATE FUNCTION dropledger.refuse_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $function$
BEGIN
  RAISE EXCEPTION 'dropledger.uploads is append-only: % is refused', TG_OP
    USING ERRCODE = 'insufficient_privilege',
          HINT = 'Rows are evidence. What has changed since is told by a further row.';
END
$function$;
COMMENT ON FUNCTION dropledger.refuse_change() IS 'Keeps dropledger.uploads append-only, for its owner as well.';

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON dropledger.uploads
  FOR EACH STATEMENT EXECUTE FUNCTION dropledger.refuse_change();
COMMENT ON TRIGGER append_only ON dropledger.uploads IS 'Refuses UPDATE, DELETE and TRUNCATE to everyone.';
-- ALWAYS: session_replication_role = replica would skip an ordinary trigger.
ALTER TABLE dropledger.uploads ENABLE ALWAYS TRIGGER append_only;

CREATE FUNCTION dropledger.with_sha256(wanted text) RETURNS SETOF dropledger.uploads
LANGUAGE sql STABLE PARALLEL SAFE AS $function$
  SELECT * FROM dropledger.uploads WHERE hashtextextended(sha256, 0) = hashtextextended(wanted, 0) AND sha256 = wanted
$function$;
COMMENT ON FUNCTION dropledger.with_sha256(text) IS
  'The rows of files with this content, found by the index: SELECT * FROM dropledger.with_sha256(''9f86…'').';

CREATE VIEW dropledger.daily_totals AS
SELECT (coalesce(uploaded_at, detected_at) AT TIME ZONE 'UTC')::date AS day,
       host,
       instance,
       bucket,
       count(*) FILTER (WHERE status = 'uploaded')                   AS uploaded_files,
       coalesce(sum(size_bytes) FILTER (WHERE status = 'uploaded'), 0)::bigint AS uploaded_bytes,
       count(*) FILTER (WHERE status = 'duplicate')                  AS duplicate_files,
       count(*) FILTER (WHERE status = 'failed')                     AS failures
  FROM dropledger.uploads
 GROUP BY 1, 2, 3, 4;
COMMENT ON VIEW dropledger.daily_totals IS 'Files and bytes by day, host and bucket.';
COMMENT ON COLUMN dropledger.daily_totals.day IS 'Day in UTC: of the upload, or else of the file''s detection.';
COMMENT ON COLUMN dropledger.daily_totals.host IS 'Name of the machine the files were dropped on.';
COMMENT ON COLUMN dropledger.daily_totals.instance IS 'Which dropledger on that machine, where there are several.';
COMMENT ON COLUMN dropledger.daily_totals.bucket IS 'S3 bucket.';
COMMENT ON COLUMN dropledger.daily_totals.uploaded_files IS 'Objects stored.';
COMMENT ON COLUMN dropledger.daily_totals.uploaded_bytes IS 'Their bytes.';
COMMENT ON COLUMN dropledger.daily_totals.duplicate_files IS 'Files whose bytes were in the bucket already.';
COMMENT ON COLUMN dropledger.daily_totals.failures IS 'Times that a file went to quarantine.';

CREATE VIEW dropledger.latest_by_path AS
SELECT DISTINCT ON (host, instance, path) *
  FROM dropledger.uploads
 ORDER BY host, instance, path, id DESC;
COMMENT ON VIEW dropledger.latest_by_path IS
  'The last word on each path of each host: columns as in dropledger.uploads.';
DO $comments$
DECLARE
  described record;
BEGIN
  FOR described IN
    SELECT attname, col_description(attrelid, attnum) AS comment
      FROM pg_attribute
     WHERE attrelid = 'dropledger.uploads'::regclass AND attnum > 0 AND NOT attisdropped
  LOOP
    EXECUTE format('COMMENT ON COLUMN dropledger.latest_by_path.%I IS %L', described.attname, described.comment);
  END LOOP;
END
$comments$;

CREATE VIEW dropledger.failures AS
SELECT failed.id,
       failed.recorded_at,
       failed.host,
       failed.instance,
       failed.path,
       failed.size_bytes,
       failed.error,
       failed.attempts,
       EXISTS (SELECT FROM dropledger.uploads AS later
                WHERE later.path = failed.path AND later.host = failed.host AND later.instance = failed.instance
                  AND later.status <> 'failed' AND later.id > failed.id) AS resolved
  FROM dropledger.uploads AS failed
 WHERE failed.status = 'failed';
COMMENT ON VIEW dropledger.failures IS 'Files that went to quarantine, and whether their path has been uploaded since.';
COMMENT ON COLUMN dropledger.failures.id IS 'id of the row in dropledger.uploads.';
COMMENT ON COLUMN dropledger.failures.recorded_at IS 'When the failure was recorded, by the clock of the database.';
COMMENT ON COLUMN dropledger.failures.host IS 'Name of the machine the file was dropped on.';
COMMENT ON COLUMN dropledger.failures.instance IS 'Which dropledger on that machine, where there are several.';
COMMENT ON COLUMN dropledger.failures.path IS 'Relative to the drop folder.';
COMMENT ON COLUMN dropledger.failures.size_bytes IS 'Size of the file in bytes.';
COMMENT ON COLUMN dropledger.failures.error IS 'Why it went to quarantine.';
COMMENT ON COLUMN dropledger.failures.attempts IS 'How many times the upload was tried.';
COMMENT ON COLUMN dropledger.failures.resolved IS 'Whether a file of this path was uploaded, or found to be a duplicate, later.';
