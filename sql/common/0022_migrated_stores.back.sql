-- loses: which stores were moved in, their own quality history, and what a roll-back would need to know
DROP VIEW migrated_refusals, legacy_quality;
DROP TABLE migrated_quality, migrated_series, migrated_bundles, migrated_stores;
