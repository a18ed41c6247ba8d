-- loses: results of quality checks, and their failing rows
DROP VIEW quality_latest;
DROP TABLE quality_failures;
DROP TABLE quality_checks;
