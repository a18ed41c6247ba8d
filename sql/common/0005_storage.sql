-- prepare_storage(table, instant): make sure a place for the instant exists before a load starts.
--
-- Creating a chunk locks the hypertable until the creating transaction ends, so that two backfills of new days would
-- queue behind each other. A plain table has nothing to prepare; the timescaledb layer replaces the body.
CREATE PROCEDURE prepare_storage(table_name text, instant timestamptz)
LANGUAGE plpgsql AS $procedure$
BEGIN
    NULL;
END
$procedure$;
