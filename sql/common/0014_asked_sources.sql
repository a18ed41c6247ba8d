-- What sources that are asked over a network bring: corporate actions, and loads that speak of a part of a day.

CREATE TABLE corporate_actions (
    instrument_id integer NOT NULL REFERENCES instruments,
    ex_date date NOT NULL,
    kind text NOT NULL CHECK (kind IN ('split', 'dividend')),
    source text COLLATE "C" NOT NULL,
    value numeric NOT NULL CHECK (value > 0),
    load_id bigint NOT NULL REFERENCES loads,
    PRIMARY KEY (instrument_id, ex_date, kind, source)
);
SELECT keep_known_versions('corporate_actions');
COMMENT ON TABLE corporate_actions IS 'Splits and dividends of shares, as each source says; with both times.';
COMMENT ON COLUMN corporate_actions.value IS 'New shares for an old one, or currency a share.';

ALTER TABLE loads
    ADD COLUMN window_start timestamptz,
    ADD COLUMN window_end timestamptz,
    ADD CONSTRAINT loads_window CHECK (window_start < window_end OR (window_start IS NULL AND window_end IS NULL));
COMMENT ON COLUMN loads.window_start IS
    'Begin, inclusive, of what the load speaks about, when it is a part of the trade date (a stream); null for all of it.';
COMMENT ON COLUMN loads.window_end IS 'Its end, exclusive.';
