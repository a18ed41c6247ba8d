-- loses: verdicts on quality, counts of cache use, sizes of catalogs and when they were last read
DROP FUNCTION record_cache_use;
DROP TABLE cache_statistics;
DROP VIEW bundle_cache;
DROP FUNCTION catalog_is_current;
DROP INDEX catalogs_path;
ALTER TABLE catalogs DROP COLUMN last_accessed, DROP COLUMN size_bytes;
DROP VIEW bundle_symbols;
DROP VIEW bundle_metadata;
DROP INDEX quarantine_violations;
DROP TABLE quality_verdicts;
DROP FUNCTION refuse_rewriting;
DROP FUNCTION refuse_unknown_bundle;
DROP INDEX loads_bundle;
DROP FUNCTION classic_time(date);
DROP FUNCTION classic_time(timestamptz);
DROP FUNCTION bundle_name;
