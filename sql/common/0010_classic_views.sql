-- Provenance under the classic names: bundle_metadata, bundle_symbols, bundle_cache and cache_statistics.
--
-- A bundle is what one source delivers of one dataset at one resolution. Nothing about it is written twice: the views
-- work it out from loads, files, quarantine and sessions, so they cannot lag behind or contradict them. What has no
-- counterpart here is null rather than a plausible number. Instants are whole seconds since 1970, dates their midnight
-- UTC, lists JSON text: the classic types.

CREATE FUNCTION bundle_name(source text, dataset text, bar_seconds integer) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN source || '/' || dataset || '/' || CASE bar_seconds WHEN 0 THEN 'ticks' ELSE bar_seconds::text || 's' END;
COMMENT ON FUNCTION bundle_name IS 'E.g. nse_csv/options_ticks/60s; ticks have no length.';
CREATE INDEX loads_bundle ON loads (bundle_name(source, dataset, bar_seconds), trade_date, load_id);

CREATE FUNCTION classic_time(instant timestamptz) RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE
RETURN floor(extract(epoch FROM instant))::bigint;
COMMENT ON FUNCTION classic_time IS 'Whole seconds since 1970, as the classic columns have it.';

CREATE FUNCTION classic_time(day date) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (day - date '1970-01-01')::bigint * 86400;
COMMENT ON FUNCTION classic_time(date) IS 'Midnight UTC of a date, in seconds since 1970.';

-- Verdicts of people and of checks outside the pipeline. They are added, never changed: the history is the table.

CREATE TABLE quality_verdicts (
    verdict_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bundle_name text NOT NULL,
    outlier_count bigint CHECK (outlier_count >= 0),
    validation_passed boolean,
    reason text NOT NULL CHECK (btrim(reason) <> ''),
    stated_by text NOT NULL CHECK (btrim(stated_by) <> ''),
    known_from timestamptz NOT NULL DEFAULT stamp_knowledge(),
    CHECK (outlier_count IS NOT NULL OR validation_passed IS NOT NULL)
);
CREATE INDEX quality_verdicts_bundle ON quality_verdicts (bundle_name, known_from);
COMMENT ON TABLE quality_verdicts IS
    'What somebody stated about a bundle, who, when and why. A verdict counts until a later load changes the bundle or is rejected: it was made about other rows then.';

CREATE FUNCTION refuse_unknown_bundle() RETURNS trigger
LANGUAGE plpgsql AS $function$
BEGIN
    IF NOT EXISTS (SELECT FROM loads AS l
                   WHERE bundle_name(l.source, l.dataset, l.bar_seconds) = NEW.bundle_name) THEN
        RAISE EXCEPTION 'there is no bundle %', NEW.bundle_name USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NEW;
END
$function$;
CREATE TRIGGER refuse_unknown_bundle BEFORE INSERT ON quality_verdicts
    FOR EACH ROW EXECUTE FUNCTION refuse_unknown_bundle();

CREATE FUNCTION refuse_rewriting() RETURNS trigger
LANGUAGE plpgsql AS $function$
BEGIN
    RAISE EXCEPTION 'rows of % are never changed; add another', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$function$;
CREATE TRIGGER refuse_rewriting BEFORE UPDATE OR DELETE OR TRUNCATE ON quality_verdicts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting();

-- Lines refused because their prices or quantities contradict themselves are few among the refused ones.
CREATE INDEX quarantine_violations ON quarantine (load_id, file_index, line)
    WHERE reason IN ('non_positive_price', 'high_below_low', 'price_outside_range', 'bad_quantity');

CREATE VIEW bundle_metadata AS
SELECT b.id, b.bundle_name, newest.source_type, newest.source_url, newest.api_version,
       classic_time(b.fetched_at) AS fetch_timestamp,
       to_char(b.changed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"') AS data_version,
       'UTC'::text AS timezone, b.row_count,
       classic_time(b.start_date) AS start_date, classic_time(b.end_date) AS end_date,
       gaps.missing_days_count, gaps.missing_days_list,
       verdict.outlier_count, violations.ohlcv_violations,
       coalesce(verdict.validation_passed,
                partitions.all_passed AND coalesce(gaps.missing_days_count, 0) = 0 AND violations.ohlcv_violations = 0
               ) AS validation_passed,
       classic_time(greatest(b.updated_at, verdict.stated_at)) AS validation_timestamp,
       newest.file_checksum, newest.file_size_bytes, partitions.checksum,
       classic_time(b.created_at) AS created_at, classic_time(b.updated_at) AS updated_at
FROM (
    SELECT source, dataset, bar_seconds, bundle_name(source, dataset, bar_seconds) AS bundle_name,
           min(load_id) AS id, min(committed_at) AS created_at, max(committed_at) AS updated_at,
           max(fetched_at) AS fetched_at, sum(rows_stored - rows_retired)::bigint AS row_count,
           min(trade_date) FILTER (WHERE status = 'complete') AS start_date,
           max(trade_date) FILTER (WHERE status = 'complete') AS end_date,
           max(committed_at) FILTER (WHERE rows_stored + rows_corrected + rows_retired > 0) AS changed_at,
           max(committed_at) FILTER (WHERE rows_stored + rows_corrected + rows_retired > 0 OR status = 'rejected')
               AS judged_from
    FROM loads
    WHERE committed_at < 'infinity'
    GROUP BY source, dataset, bar_seconds
) AS b
CROSS JOIN LATERAL (
    SELECT l.source_type, l.source_url, l.api_version, l.checksum AS file_checksum,
           (SELECT sum(f.size_bytes)::bigint FROM load_files AS f WHERE f.load_id = l.load_id) AS file_size_bytes
    FROM loads AS l
    WHERE bundle_name(l.source, l.dataset, l.bar_seconds) = b.bundle_name AND l.committed_at = b.updated_at
    ORDER BY l.load_id DESC LIMIT 1
) AS newest
CROSS JOIN LATERAL (
    -- The last load of a trade date speaks for it.
    SELECT bool_and(p.status <> 'rejected'
                    AND NOT EXISTS (SELECT FROM quality_results AS q WHERE q.load_id = p.load_id AND NOT q.passed))
               AS all_passed,
           encode(sha256(convert_to(string_agg(classic_time(p.trade_date) || ' ' || p.checksum, ' '
                                               ORDER BY p.trade_date), 'UTF8')), 'hex') AS checksum
    FROM (SELECT DISTINCT ON (l.trade_date) l.trade_date, l.load_id, l.status, l.checksum FROM loads AS l
          WHERE bundle_name(l.source, l.dataset, l.bar_seconds) = b.bundle_name
          ORDER BY l.trade_date, l.load_id DESC) AS p
) AS partitions
CROSS JOIN LATERAL (
    -- Null where the warehouse has no sessions of the markets: it cannot know what is missing.
    SELECT CASE WHEN count(*) > 0 THEN count(*) FILTER (WHERE NOT s.is_known) END AS missing_days_count,
           CASE WHEN count(*) > 0 THEN coalesce(
               json_agg(s.session_date ORDER BY s.session_date) FILTER (WHERE NOT s.is_known), '[]')::text
           END AS missing_days_list
    FROM (
        SELECT days.session_date, EXISTS (
                   SELECT FROM loads AS l
                   WHERE bundle_name(l.source, l.dataset, l.bar_seconds) = b.bundle_name
                     AND l.trade_date = days.session_date AND l.status <> 'rejected') AS is_known
        FROM (
            SELECT DISTINCT s.session_date FROM sessions AS s
            WHERE s.session_date BETWEEN b.start_date AND b.end_date
              AND s.segment = CASE WHEN b.dataset IN ('options_ticks', 'futures_ticks') THEN 'FO' ELSE 'CM' END
              AND s.market IN (
                  -- Repeats of a known delivery do not list its instruments again.
                  SELECT i.venue FROM load_instruments AS li JOIN instruments AS i USING (instrument_id)
                  WHERE li.load_id = (
                      SELECT l.load_id FROM loads AS l
                      WHERE bundle_name(l.source, l.dataset, l.bar_seconds) = b.bundle_name
                        AND EXISTS (SELECT FROM load_instruments AS i WHERE i.load_id = l.load_id)
                      ORDER BY l.trade_date DESC, l.load_id DESC LIMIT 1))
        ) AS days
    ) AS s
) AS gaps
CROSS JOIN LATERAL (
    -- A file that was read again counts as it was read last.
    SELECT coalesce(sum(v.lines), 0)::bigint AS ohlcv_violations
    FROM (
        SELECT l.trade_date, f.logical_name, l.load_id, count(DISTINCT q.line) AS lines
        FROM loads AS l
        JOIN quarantine AS q
            ON q.load_id = l.load_id
           AND q.reason IN ('non_positive_price', 'high_below_low', 'price_outside_range', 'bad_quantity')
        JOIN load_files AS f ON f.load_id = q.load_id AND f.file_index = q.file_index
        WHERE bundle_name(l.source, l.dataset, l.bar_seconds) = b.bundle_name
        GROUP BY l.trade_date, f.logical_name, l.load_id, f.file_index
    ) AS v
    WHERE NOT EXISTS (
        SELECT FROM loads AS later
        WHERE bundle_name(later.source, later.dataset, later.bar_seconds) = b.bundle_name
          AND later.trade_date = v.trade_date AND later.load_id > v.load_id
          -- LIMIT keeps the planner from reading every file of the bundle for the few that matter.
          AND (SELECT true FROM load_files AS again
               WHERE again.load_id = later.load_id AND again.logical_name = v.logical_name LIMIT 1))
) AS violations
CROSS JOIN LATERAL (
    SELECT (array_agg(q.outlier_count ORDER BY q.known_from DESC) FILTER (WHERE q.outlier_count IS NOT NULL))[1]
               AS outlier_count,
           (array_agg(q.validation_passed ORDER BY q.known_from DESC) FILTER (WHERE q.validation_passed IS NOT NULL))[1]
               AS validation_passed,
           max(q.known_from) AS stated_at
    FROM quality_verdicts AS q
    WHERE q.bundle_name = b.bundle_name AND q.known_from > coalesce(b.judged_from, '-infinity')
) AS verdict;
COMMENT ON VIEW bundle_metadata IS 'Where each bundle came from and how good it is, in the classic columns.';
COMMENT ON COLUMN bundle_metadata.id IS 'First load of the bundle; it does not change.';
COMMENT ON COLUMN bundle_metadata.source_type IS 'Of the newest load, as are source_url and api_version.';
COMMENT ON COLUMN bundle_metadata.data_version IS
    'Knowledge time of the last change: as of this instant the bundle reads as it does now.';
COMMENT ON COLUMN bundle_metadata.timezone IS 'Of stored instants; trade dates are days of the exchange.';
COMMENT ON COLUMN bundle_metadata.row_count IS 'Rows stored less rows retired, over all loads.';
COMMENT ON COLUMN bundle_metadata.start_date IS 'First trade date with rows; end_date is the last.';
COMMENT ON COLUMN bundle_metadata.missing_days_count IS
    'Sessions from start_date to end_date without rows and without confirmed emptiness; null without a calendar.';
COMMENT ON COLUMN bundle_metadata.outlier_count IS 'As stated in quality_verdicts; null when nobody did.';
COMMENT ON COLUMN bundle_metadata.ohlcv_violations IS
    'Lines refused because prices or quantities contradict themselves; none of them is stored.';
COMMENT ON COLUMN bundle_metadata.validation_passed IS
    'The verdict in force; without one: every day there, its last load stored and without a failed check, no violations.';
COMMENT ON COLUMN bundle_metadata.file_checksum IS 'Over the files of the newest load; file_size_bytes are theirs.';
COMMENT ON COLUMN bundle_metadata.checksum IS 'Over the newest load of every trade date: changes when any delivery does.';

CREATE VIEW bundle_symbols AS
SELECT u.instrument_id AS id, bundle_name(u.source, u.dataset, u.bar_seconds) AS bundle_name, t.symbol,
       CASE t.kind WHEN 'OPT' THEN 'option' WHEN 'FUT' THEN 'future' WHEN 'CONT' THEN 'continuous_future'
                   WHEN 'SPOT' THEN 'index' WHEN 'EQ' THEN 'equity' END AS asset_type,
       t.venue AS exchange
FROM (
    SELECT DISTINCT l.source, l.dataset, l.bar_seconds, coalesce(m.instrument_id, li.instrument_id) AS instrument_id
    FROM loads AS l
    JOIN load_instruments AS li USING (load_id)
    LEFT JOIN instrument_merges_as_of('infinity') AS m ON m.duplicate_id = li.instrument_id
    WHERE l.status = 'complete'
) AS u
CROSS JOIN LATERAL (
    SELECT t.symbol, t.kind, t.venue FROM instrument_terms AS t
    WHERE t.instrument_id = u.instrument_id AND t.valid_from <= current_date ORDER BY t.valid_from DESC LIMIT 1
) AS t;
COMMENT ON VIEW bundle_symbols IS 'Instruments that a bundle''s deliveries spoke of, under their present names.';
COMMENT ON COLUMN bundle_symbols.id IS
    'The instrument_id, the same in every bundle; a symbol can be of several instruments, e.g. of two series.';

-- Published catalogs are what a reader need not build again.

ALTER TABLE catalogs ADD COLUMN size_bytes bigint CHECK (size_bytes >= 0), ADD COLUMN last_accessed timestamptz;
COMMENT ON COLUMN catalogs.size_bytes IS 'Bytes of the published objects; null when they were not counted.';
COMMENT ON COLUMN catalogs.last_accessed IS 'When the catalog was last found by a reader.';
CREATE INDEX catalogs_path ON catalogs (path, catalog_id);

CREATE FUNCTION catalog_is_current(catalog catalogs) RETURNS boolean
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

CREATE VIEW bundle_cache AS
SELECT c.catalog_id AS id,
       left(encode(sha256(convert_to(concat_ws('|', c.format, c.underlying, days.start, days."end", c.path), 'UTF8')),
                   'hex'), 16) AS cache_key,
       c.format || '/' || c.underlying || '/' || days.start || '..' || days."end" AS bundle_name,
       c.path AS bundle_path,
       json_build_array(c.underlying)::text AS symbols,
       days.start, days."end",
       (SELECT string_agg(DISTINCT CASE l.bar_seconds WHEN 0 THEN 'tick' WHEN 60 THEN '1m' WHEN 3600 THEN '1h'
                                                      WHEN 86400 THEN '1d' ELSE l.bar_seconds || 's' END, ',')
        FROM loads AS l WHERE l.load_id = ANY (c.load_ids)) AS frequency,
       classic_time(c.published_at) AS fetch_timestamp,
       c.size_bytes, c.rows AS row_count,
       classic_time(coalesce(c.last_accessed, c.published_at)) AS last_accessed
FROM catalogs AS c
CROSS JOIN LATERAL (VALUES (to_char(c.start_date, 'YYYY-MM-DD'), to_char(c.end_date, 'YYYY-MM-DD')))
    AS days (start, "end")
WHERE NOT EXISTS (SELECT FROM catalogs AS n WHERE n.path = c.path AND n.catalog_id > c.catalog_id);
COMMENT ON VIEW bundle_cache IS
    'Published catalogs as cached bundles, the newest at each path; whether one is out of date says catalog_is_current.';
COMMENT ON COLUMN bundle_cache.cache_key IS 'Of what was asked for and where it lies; a new edition keeps it.';
COMMENT ON COLUMN bundle_cache.symbols IS 'The underlying: a catalog holds all of its instruments.';

CREATE TABLE cache_statistics (
    stat_date bigint PRIMARY KEY CHECK (stat_date % 86400 = 0),
    hit_count bigint NOT NULL DEFAULT 0 CHECK (hit_count >= 0),
    miss_count bigint NOT NULL DEFAULT 0 CHECK (miss_count >= 0),
    total_size_bytes bigint NOT NULL DEFAULT 0 CHECK (total_size_bytes >= 0),
    timed_fetches bigint NOT NULL DEFAULT 0 CHECK (timed_fetches >= 0),
    fetch_latency_ms numeric NOT NULL DEFAULT 0 CHECK (fetch_latency_ms >= 0),
    total_size_mb double precision NOT NULL GENERATED ALWAYS AS (total_size_bytes / 1048576.0::double precision) STORED,
    avg_fetch_latency_ms double precision
        GENERATED ALWAYS AS ((fetch_latency_ms / nullif(timed_fetches, 0))::double precision) STORED,
    CHECK (timed_fetches <= miss_count)
);
COMMENT ON TABLE cache_statistics IS
    'Per UTC day: how often what was asked for was there already (hit) or had to be fetched (miss).';
COMMENT ON COLUMN cache_statistics.stat_date IS 'Midnight UTC, in seconds since 1970.';
COMMENT ON COLUMN cache_statistics.total_size_bytes IS 'Size of what was asked for, hits and misses; sums stay exact.';
COMMENT ON COLUMN cache_statistics.timed_fetches IS 'Misses of which the latency is known: what the mean is over.';

CREATE FUNCTION record_cache_use(hits bigint, misses bigint, size_bytes bigint DEFAULT 0,
                                 latency_ms numeric DEFAULT NULL, used_at timestamptz DEFAULT clock_timestamp())
RETURNS void
LANGUAGE sql AS $function$
    INSERT INTO cache_statistics AS s (stat_date, hit_count, miss_count, total_size_bytes, timed_fetches,
                                       fetch_latency_ms)
    SELECT classic_time(($5 AT TIME ZONE 'UTC')::date), $1, $2, $3,
           CASE WHEN $4 IS NULL THEN 0 ELSE $2 END, CASE WHEN $2 > 0 THEN coalesce($4, 0) ELSE 0 END
    WHERE $1 > 0 OR $2 > 0
    ON CONFLICT (stat_date) DO UPDATE
    SET hit_count = s.hit_count + excluded.hit_count,
        miss_count = s.miss_count + excluded.miss_count,
        total_size_bytes = s.total_size_bytes + excluded.total_size_bytes,
        timed_fetches = s.timed_fetches + excluded.timed_fetches,
        fetch_latency_ms = s.fetch_latency_ms + excluded.fetch_latency_ms
$function$;
COMMENT ON FUNCTION record_cache_use IS
    'Add to the day''s counts; latency_ms is that of all misses of the call together. Holds the day''s row until the transaction ends, so call it in a short one.';
