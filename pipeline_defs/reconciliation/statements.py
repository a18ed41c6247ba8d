"""The statements that compare two sources: set-based, over temporary tables that live as long as the transaction.

Each side is reduced to bars of the wanted length: stored ones where the source has them, else made of the coarsest
finer observations it has, contract by contract, in the buckets of ``sql/common/0004_bars.sql`` (from the session's
open; a bar belongs where it began, what is stamped at the very close to the last bucket). Rolling futures and merged
duplicates count as the contract that they are. ``{side}`` is ``left`` or ``right``, ``{table}`` an observation table.
"""

from __future__ import annotations

from typing import Final

from pipeline_defs.warehouse.precedence import MARKET_OF_TERMS

CREATE_SIDE: Final = """
CREATE TEMP TABLE {side}_stored (
    dataset text, instrument_id integer, contract_id integer, is_alias boolean, bar_seconds integer, kind text,
    tick_size numeric, market text
) ON COMMIT DROP;
CREATE TEMP TABLE {side}_bars (
    instrument_id integer, "timestamp" timestamptz, open numeric, high numeric, low numeric, close numeric,
    volume numeric, open_interest numeric, lowest_close numeric, highest_close numeric, has_traded boolean
) ON COMMIT DROP
"""

# A tick belongs to the day that holds it, a bar to the day in which it closes: one that closes at midnight, to the day
# that ends there.
_OF_THE_DAY: Final = """o."timestamp" >= %(begin)s AND o."timestamp" <= %(end)s
  AND CASE WHEN o.bar_seconds = 0 THEN o."timestamp" < %(end)s ELSE o."timestamp" > %(begin)s END
  AND o.source = %(source)s"""

FIND_STORED: Final = f"""
INSERT INTO {{side}}_stored
SELECT '{{table}}', g.instrument_id, t.instrument_id, g.instrument_id <> t.instrument_id, g.bar_seconds, t.kind,
       t.tick_size, %(market)s
FROM (SELECT o.instrument_id, o.bar_seconds FROM {{table}} AS o
      WHERE {_OF_THE_DAY} AND o.bar_seconds BETWEEN %(finest)s AND %(coarsest)s
        AND %(seconds)s %% greatest(o.bar_seconds, 1) = 0
      GROUP BY o.instrument_id, o.bar_seconds) AS g
LEFT JOIN continuous_contracts AS c ON c.instrument_id = g.instrument_id AND c.trade_date = %(trade_date)s
LEFT JOIN instrument_merges_as_of('infinity') AS m ON m.duplicate_id = g.instrument_id
JOIN instrument_terms AS t ON t.instrument_id = coalesce(c.contract_id, m.instrument_id, g.instrument_id)
    AND t.valid_from <= %(trade_date)s AND t.valid_to > %(trade_date)s
WHERE t.kind = ANY (%(kinds)s) AND {MARKET_OF_TERMS} = %(market)s
"""  # noqa: S608 -- constants of this package

# One instrument and one resolution speak for a contract: the contract itself before its alias, bars before their parts.
CHOOSE: Final = """
CREATE TEMP TABLE {side}_chosen ON COMMIT DROP AS
SELECT DISTINCT ON (contract_id) * FROM {side}_stored
ORDER BY contract_id, is_alias, bar_seconds DESC, dataset, instrument_id;
ANALYZE {side}_chosen
"""

_TRADED: Final = "(o.open IS NOT NULL AND (o.volume IS NULL OR o.volume > 0 OR c.kind = 'SPOT'))"
"""A bar in which nothing traded is no news: its absence on the other side is not counted."""

_CHOSEN: Final = f"""
FROM {{table}} AS o
JOIN {{side}}_chosen AS c ON c.instrument_id = o.instrument_id AND c.bar_seconds = o.bar_seconds
WHERE {_OF_THE_DAY} AND c.dataset = '{{table}}' AND c.market = %(market)s"""

TAKE_BARS: Final = f"""
INSERT INTO {{side}}_bars
SELECT c.contract_id, o."timestamp", o.open, o.high, o.low, o.close, o.volume, o.open_interest, NULL, NULL, {_TRADED}
{_CHOSEN}
  AND o.bar_seconds = %(seconds)s AND o."timestamp" > %(session_open)s AND o."timestamp" <= %(session_close)s
"""

TAKE_DAYS: Final = f"""
INSERT INTO {{side}}_bars
SELECT DISTINCT ON (c.contract_id) c.contract_id, %(session_close)s, o.open, o.high, o.low, o.close, o.volume,
       o.open_interest, NULL, NULL, {_TRADED}
{_CHOSEN} AND o.bar_seconds = %(seconds)s
ORDER BY c.contract_id, o."timestamp" DESC
"""

# The exchange averages the last half hour into its close; what that can be lies between its lowest and highest price.
GROUP_FINER: Final = f"""
CREATE TEMP TABLE {{side}}_groups ON COMMIT DROP AS
SELECT contract_id, instrument_id, bar_seconds, kind,
       least(date_bin(%(bucket)s, began, %(session_open)s),
             date_bin(%(bucket)s, %(session_close)s - interval '1 microsecond', %(session_open)s)) AS bucket,
       min("timestamp") AS first_timestamp, max("timestamp") AS last_timestamp,
       max(high) AS high, min(low) AS low, CASE WHEN count(volume) = count(*) THEN sum(volume) END AS volume,
       min(low) FILTER (WHERE began >= %(half_hour)s) AS lowest_close,
       max(high) FILTER (WHERE began >= %(half_hour)s) AS highest_close,
       bool_or(has_traded) AS has_traded
FROM (SELECT c.contract_id, o.instrument_id, o.bar_seconds, c.kind, o."timestamp", o.high, o.low, o.volume,
             greatest(o."timestamp" - make_interval(secs => o.bar_seconds), %(session_open)s) AS began,
             {_TRADED} AS has_traded
      {_CHOSEN}
        AND o.bar_seconds < %(seconds)s AND o.open IS NOT NULL
        AND o."timestamp" >= %(session_open)s AND (o.bar_seconds = 0 OR o."timestamp" > %(session_open)s)
        AND CASE WHEN o.bar_seconds = 0 THEN o."timestamp" <= %(session_close)s
                 ELSE o."timestamp" - make_interval(secs => o.bar_seconds) < %(session_close)s END) AS o
GROUP BY contract_id, instrument_id, bar_seconds, kind, 5
"""  # noqa: S608 -- as above

# First and last are looked up by key, as in session_hourly_bars.
TAKE_GROUPS: Final = """
INSERT INTO {side}_bars
SELECT g.contract_id, least(g.bucket + %(bucket)s, %(session_close)s), first.open, g.high, g.low, last.close, g.volume,
       last.open_interest,
       CASE WHEN %(is_averaged)s THEN coalesce(g.lowest_close, last.close) END,
       CASE WHEN %(is_averaged)s THEN coalesce(g.highest_close, last.close) END, g.has_traded
FROM {side}_groups AS g
CROSS JOIN LATERAL (
    SELECT o.open FROM {table} AS o
    WHERE o."timestamp" = g.first_timestamp AND o.instrument_id = g.instrument_id AND o.bar_seconds = g.bar_seconds
      AND o.source = %(source)s AND o.open IS NOT NULL
    ORDER BY o.sequence LIMIT 1) AS first
CROSS JOIN LATERAL (
    SELECT o.close, o.open_interest FROM {table} AS o
    WHERE o."timestamp" = g.last_timestamp AND o.instrument_id = g.instrument_id AND o.bar_seconds = g.bar_seconds
      AND o.source = %(source)s AND o.open IS NOT NULL
    ORDER BY o.sequence DESC LIMIT 1) AS last;
DROP TABLE {side}_groups
"""

ALLOW: Final = """
CREATE TEMP TABLE allowed ON COMMIT DROP AS
SELECT * FROM unnest(%(kinds)s::text[], %(fields)s::text[], %(ticks)s::numeric[], %(tick_sizes)s::numeric[],
                     %(shares)s::numeric[]) AS a (kind, field, ticks, tick_size_if_unknown, relative)
"""

# Where one side has the exchange's close and the other the last trade, the side's nearest possible average is compared.
PAIR: Final = """
CREATE TEMP TABLE contracts ON COMMIT DROP AS
SELECT DISTINCT ON (contract_id) contract_id AS instrument_id, kind, tick_size
FROM (SELECT * FROM left_chosen UNION ALL SELECT * FROM right_chosen) AS c;
ANALYZE contracts;
ANALYZE left_bars;
ANALYZE right_bars;
CREATE TEMP TABLE paired ON COMMIT DROP AS
SELECT instrument_id, "timestamp", l.close IS NOT NULL AS in_left, r.close IS NOT NULL AS in_right,
       l.open AS left_open, r.open AS right_open, l.high AS left_high, r.high AS right_high,
       l.low AS left_low, r.low AS right_low, l.volume AS left_volume, r.volume AS right_volume,
       l.open_interest AS left_open_interest, r.open_interest AS right_open_interest,
       CASE WHEN r.lowest_close IS NULL AND l.lowest_close IS NOT NULL
            THEN least(greatest(r.close, l.lowest_close), l.highest_close) ELSE l.close END AS left_close,
       CASE WHEN l.lowest_close IS NULL AND r.lowest_close IS NOT NULL
            THEN least(greatest(l.close, r.lowest_close), r.highest_close) ELSE r.close END AS right_close
FROM left_bars AS l
FULL JOIN right_bars AS r USING (instrument_id, "timestamp")
WHERE (l.close IS NOT NULL AND r.close IS NOT NULL) OR l.has_traded OR r.has_traded;
ANALYZE paired
"""

# What a side does not know it cannot contradict: a null is not compared.
DIFFER: Final = """
CREATE TEMP TABLE differing ON COMMIT DROP AS
SELECT p.instrument_id, p."timestamp", f.field, f.left_value, f.right_value, w.tolerance
FROM paired AS p
JOIN contracts AS c USING (instrument_id)
CROSS JOIN LATERAL (VALUES ('open', p.left_open, p.right_open), ('high', p.left_high, p.right_high),
                           ('low', p.left_low, p.right_low), ('close', p.left_close, p.right_close),
                           ('volume', p.left_volume, p.right_volume),
                           ('open_interest', p.left_open_interest, p.right_open_interest))
    AS f (field, left_value, right_value)
JOIN allowed AS a ON a.kind = c.kind AND a.field = f.field
CROSS JOIN LATERAL (
    SELECT greatest(a.ticks * coalesce(c.tick_size, a.tick_size_if_unknown),
                    a.relative * greatest(f.left_value, f.right_value)) AS tolerance) AS w
WHERE p.in_left AND p.in_right
  AND (p.left_open, p.left_high, p.left_low, p.left_close, p.left_volume, p.left_open_interest)
      IS DISTINCT FROM
      (p.right_open, p.right_high, p.right_low, p.right_close, p.right_volume, p.right_open_interest)
  AND abs(f.left_value - f.right_value) > w.tolerance
"""

COUNT: Final = """
CREATE TEMP TABLE counted ON COMMIT DROP AS
SELECT p.instrument_id, p.compared, coalesce(d.disagreeing, 0) AS disagreeing, p.only_left, p.only_right
FROM (SELECT instrument_id, count(*) FILTER (WHERE in_left AND in_right) AS compared,
             count(*) FILTER (WHERE NOT in_right) AS only_left, count(*) FILTER (WHERE NOT in_left) AS only_right
      FROM paired GROUP BY instrument_id) AS p
LEFT JOIN (SELECT instrument_id, count(DISTINCT "timestamp") AS disagreeing FROM differing GROUP BY instrument_id) AS d
    USING (instrument_id)
"""

REPLACE: Final = """
DELETE FROM reconciliations
WHERE (dataset, trade_date, bar_seconds, left_source, right_source)
    = (%(dataset)s, %(trade_date)s, %(seconds)s, %(left)s, %(right)s)
"""

RECORD: Final = """
INSERT INTO reconciliations (dataset, trade_date, bar_seconds, left_source, right_source, compared, agreeing,
                             disagreeing, only_left, only_right, differences)
SELECT %(dataset)s, %(trade_date)s, %(seconds)s, %(left)s, %(right)s, coalesce(sum(compared), 0),
       coalesce(sum(compared - disagreeing), 0), coalesce(sum(disagreeing), 0), coalesce(sum(only_left), 0),
       coalesce(sum(only_right), 0), (SELECT count(*) FROM differing)
FROM counted
RETURNING reconciliation_id, compared, agreeing, disagreeing, only_left, only_right, differences, made_at
"""

RECORD_CONTRACTS: Final = """
INSERT INTO reconciled_contracts (reconciliation_id, instrument_id, compared, disagreeing, only_left, only_right)
SELECT %(reconciliation_id)s, instrument_id, compared, disagreeing, only_left, only_right FROM counted
ORDER BY instrument_id
"""

# Of a field that differs everywhere the worst are enough; how many there are is counted in any case.
RECORD_WORST: Final = """
INSERT INTO disagreements (reconciliation_id, instrument_id, "timestamp", field, left_value, right_value, tolerance)
SELECT %(reconciliation_id)s, instrument_id, "timestamp", field, left_value, right_value, tolerance
FROM (SELECT *, row_number() OVER (
          PARTITION BY field
          ORDER BY abs(left_value - right_value) / greatest(left_value, right_value) DESC, "timestamp", instrument_id
          ) AS place
      FROM differing) AS d
WHERE place <= %(most)s
ORDER BY instrument_id, "timestamp", field
"""
