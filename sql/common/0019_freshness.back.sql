-- loses: which instruments each load of an API was about; days whose universe changed are asked for again as a whole
DROP FUNCTION bar_segment_is_current;
DROP TABLE bar_segments;
ALTER TABLE loads DROP COLUMN answered, DROP COLUMN answer_basis;
