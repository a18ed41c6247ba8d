DROP TABLE partition_fingerprints;
DROP INDEX loads_delivery;
ALTER TABLE loads DROP COLUMN delivery_parts, DROP COLUMN delivery_digest;
