-- loses: comparisons of sources, and under which order of sources catalogs were made
CREATE OR REPLACE FUNCTION catalog_is_current(catalog catalogs) RETURNS boolean
LANGUAGE sql STABLE AS $function$
    SELECT ($1).known_at IS NOT NULL
       AND NOT EXISTS (SELECT FROM catalogs AS c WHERE c.path = ($1).path AND c.catalog_id > ($1).catalog_id)
       AND NOT EXISTS (
           SELECT FROM loads AS l
           WHERE l.committed_at > ($1).known_at AND l.trade_date BETWEEN ($1).start_date AND ($1).end_date
             AND l.rows_stored + l.rows_corrected + l.rows_retired > 0
             AND (l.underlying IS NULL OR l.underlying = ($1).underlying))
       AND NOT EXISTS (
           SELECT FROM instrument_terms_history AS h
           WHERE h.underlying = ($1).underlying AND h.known_from <= ($1).known_at AND h.known_to > ($1).known_at
             AND h.valid_from <= ($1).end_date AND h.valid_to > ($1).start_date)
       AND NOT EXISTS (
           SELECT FROM continuous_contracts_history AS h
           WHERE h.known_from <= ($1).known_at AND h.known_to > ($1).known_at
             AND h.trade_date BETWEEN ($1).start_date AND ($1).end_date)
       AND NOT EXISTS (
           SELECT FROM sessions_history AS h
           WHERE h.known_from <= ($1).known_at AND h.known_to > ($1).known_at
             AND h.session_date BETWEEN ($1).start_date AND ($1).end_date)
$function$;
COMMENT ON FUNCTION catalog_is_current IS
    'Whether a catalog still lies at its path and nothing it may have been made from has changed; when in doubt, no.';
ALTER TABLE catalogs DROP COLUMN precedence, DROP COLUMN sources;
DROP TABLE source_precedences;
DROP TABLE reconciled_contracts;
DROP TABLE disagreements;
DROP TABLE reconciliations;
