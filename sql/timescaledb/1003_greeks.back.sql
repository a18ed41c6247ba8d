-- A plain table again, with the same rows.
CREATE TABLE option_greeks_plain (LIKE option_greeks INCLUDING ALL);
INSERT INTO option_greeks_plain SELECT * FROM option_greeks;
DO $body$
DECLARE
    comment_text text := obj_description('option_greeks'::regclass);
BEGIN
    DROP TABLE option_greeks;
    ALTER TABLE option_greeks_plain RENAME TO option_greeks;
    EXECUTE format('COMMENT ON TABLE option_greeks IS %L', comment_text);
END
$body$;
ALTER INDEX option_greeks_plain_pkey RENAME TO option_greeks_pkey;
