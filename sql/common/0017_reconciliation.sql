-- The same contract-day from two sources: what agrees, what does not, and whose rows an export takes.

CREATE TABLE reconciliations (
    reconciliation_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dataset text NOT NULL,
    trade_date date NOT NULL,
    bar_seconds integer NOT NULL CHECK (bar_seconds > 0),
    left_source text COLLATE "C" NOT NULL,
    right_source text COLLATE "C" NOT NULL,
    compared bigint NOT NULL CHECK (compared >= 0),
    agreeing bigint NOT NULL CHECK (agreeing >= 0),
    disagreeing bigint NOT NULL CHECK (disagreeing >= 0),
    only_left bigint NOT NULL CHECK (only_left >= 0),
    only_right bigint NOT NULL CHECK (only_right >= 0),
    differences bigint NOT NULL CHECK (differences >= disagreeing),
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (dataset, trade_date, bar_seconds, left_source, right_source),
    CHECK (compared = agreeing + disagreeing)
);
COMMENT ON TABLE reconciliations IS
    'One comparison of two sources over one trade date at one bar length; made again, it takes the place of the last.';
COMMENT ON COLUMN reconciliations.right_source IS
    'A source, or nse_bhavcopy: the exchange''s own daily file as the referee of a source''s finer data.';
COMMENT ON COLUMN reconciliations.compared IS
    'Bars that both sides have; only_left and only_right count bars that traded and that the other side lacks.';
COMMENT ON COLUMN reconciliations.differences IS
    'Values beyond their tolerance, over all fields; disagreements lists the worst of them.';

CREATE TABLE disagreements (
    reconciliation_id bigint NOT NULL REFERENCES reconciliations ON DELETE CASCADE,
    instrument_id integer NOT NULL,
    "timestamp" timestamptz NOT NULL,
    field text NOT NULL CHECK (field IN ('open', 'high', 'low', 'close', 'volume', 'open_interest')),
    left_value numeric NOT NULL,
    right_value numeric NOT NULL,
    tolerance numeric NOT NULL CHECK (tolerance >= 0),
    PRIMARY KEY (reconciliation_id, instrument_id, "timestamp", field),
    CHECK (abs(left_value - right_value) > tolerance)
);
COMMENT ON TABLE disagreements IS 'Values of two sources that are further apart than their tolerance; a report, never a correction.';
COMMENT ON COLUMN disagreements.left_value IS
    'Against the bhavcopy, of a close: the price nearest to the exchange''s that the last half hour could average to.';

CREATE TABLE reconciled_contracts (
    reconciliation_id bigint NOT NULL REFERENCES reconciliations ON DELETE CASCADE,
    instrument_id integer NOT NULL,
    compared bigint NOT NULL,
    disagreeing bigint NOT NULL,
    only_left bigint NOT NULL,
    only_right bigint NOT NULL,
    verdict text NOT NULL GENERATED ALWAYS AS (
        CASE WHEN disagreeing > 0 THEN 'disagrees'
             WHEN only_left = 0 AND only_right = 0 THEN 'agrees'
             WHEN compared > 0 THEN 'incomplete'
             WHEN only_right = 0 THEN 'only_left'
             WHEN only_left = 0 THEN 'only_right'
             ELSE 'incomplete' END) STORED,
    PRIMARY KEY (reconciliation_id, instrument_id),
    CHECK (compared >= disagreeing AND disagreeing >= 0 AND only_left >= 0 AND only_right >= 0)
);
COMMENT ON TABLE reconciled_contracts IS 'The verdict on each contract-day that two sources were compared over.';
COMMENT ON COLUMN reconciled_contracts.verdict IS
    'agrees; disagrees: a value is beyond its tolerance; incomplete: what both have agrees, but one side lacks bars; only_left, only_right.';

-- Whose observations exports take. A catalog that was made under another order is not what an export would give now.

CREATE TABLE source_precedences (
    precedence_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest text NOT NULL,
    content jsonb NOT NULL,
    declared_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE source_precedences IS
    'The declared order of sources whenever a process met another one than the last; the newest row is in force.';

ALTER TABLE catalogs ADD COLUMN sources text[], ADD COLUMN precedence text;
COMMENT ON COLUMN catalogs.sources IS 'Sources whose observations it holds; null for catalogs from before they were recorded.';
COMMENT ON COLUMN catalogs.precedence IS
    'Digest of the order of sources it was made under; null when one source was asked for by name.';

CREATE OR REPLACE FUNCTION catalog_is_current(catalog catalogs) RETURNS boolean
LANGUAGE sql STABLE AS $function$
    SELECT ($1).known_at IS NOT NULL
       AND coalesce(($1).precedence = (SELECT p.digest FROM source_precedences AS p
                                       ORDER BY p.precedence_id DESC LIMIT 1), false)
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
    'Whether a catalog still lies at its path, was made under the order of sources in force, and nothing it may have been made from has changed; when in doubt, no.';
