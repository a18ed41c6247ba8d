-- loses: evidence of terms, exchange tokens, which instruments were found to be one, and the record of terms imports
DROP FUNCTION underlying_terms_at;
DROP FUNCTION terms_at;
DROP FUNCTION derive_instrument_terms;
DROP TRIGGER refuse_overlaps_of_changed ON instrument_terms;
DROP TRIGGER refuse_overlaps_of_new ON instrument_terms;
DROP FUNCTION refuse_overlapping_terms;
DROP TRIGGER queue_writers ON instrument_terms;
DROP FUNCTION queue_terms_writers;
DROP INDEX instrument_terms_identity;
CREATE UNIQUE INDEX instrument_terms_identity ON instrument_terms
    (underlying, expiry, strike, option_type, kind, venue, rank, series, valid_from) NULLS NOT DISTINCT;
DROP TABLE terms_refusals;
DROP TABLE terms_loads;
DROP FUNCTION instrument_merges_as_of;
DROP TABLE instrument_merges;
DROP TABLE instrument_tokens;
DROP TABLE term_evidence;
ALTER TABLE instruments DROP COLUMN book;
