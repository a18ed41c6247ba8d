-- loses: the names of bundles and what each holds; the rows themselves stay
DROP TABLE named_bundle_members;
DROP TABLE named_bundles;
