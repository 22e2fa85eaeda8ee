-- Where the schema stands. Run before every migration; harmless where it is all there.

CREATE SCHEMA IF NOT EXISTS dropledger;
COMMENT ON SCHEMA dropledger IS 'dropledger: what became of each file that was dropped, append-only. Start with dropledger.uploads.';

CREATE TABLE IF NOT EXISTS dropledger.schema_version (
  version         integer     PRIMARY KEY,
  compatible_from integer     NOT NULL,
  applied_at      timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE dropledger.schema_version IS 'One row for each migration that was applied.';
COMMENT ON COLUMN dropledger.schema_version.version IS 'Number of the migration; the largest one is the schema''s version.';
COMMENT ON COLUMN dropledger.schema_version.compatible_from IS
  'The oldest schema version whose programs still work with this one.';
COMMENT ON COLUMN dropledger.schema_version.applied_at IS 'When it was applied.';
