-- loses: the policies of storage, and where retention has deleted observations
DROP PROCEDURE maintain_storage;
DROP FUNCTION forget_observations;
DROP FUNCTION drop_observations;
DROP PROCEDURE compress_observations;
DROP TABLE storage_log;
DROP FUNCTION prepare_merge;
DROP FUNCTION check_bars;
CREATE OR REPLACE PROCEDURE refresh_bars(window_start timestamptz, window_end timestamptz)
LANGUAGE plpgsql AS $procedure$
DECLARE
    touched record;
BEGIN
    -- Refuses to run inside a transaction, as the refresh of a continuous aggregate does: the misuse shows everywhere.
    COMMIT;
    FOR touched IN
        SELECT open, close FROM sessions
        WHERE market = 'NSE' AND segment = 'FO' AND open < window_end AND close >= window_start
        ORDER BY open
    LOOP
        PERFORM refresh_session_bars(touched.open, touched.close);
        COMMIT;
    END LOOP;
END
$procedure$;
DROP FUNCTION bars_horizon;
DROP TABLE dropped_observations;
DROP TABLE storage_policies;
