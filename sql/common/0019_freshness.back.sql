-- loses: which instruments each load of an API was about; days whose universe changed are asked for again as a whole
ALTER TABLE loads DROP COLUMN answered, DROP COLUMN answer_basis;
