"""Rules of a bucket: ours beside others', and none of ours deletes a catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.storage.lifecycle import (
    RULE_PREFIX,
    LifecyclePlan,
    apply_rules,
    describe,
    endangers_catalogs,
    read_rules,
)
from pipeline_defs.storage.locations import S3Location

if TYPE_CHECKING:
    from pipeline_defs.storage.objects import ObjectStore

OTHERS: dict[str, Any] = {
    "ID": "of the logs",
    "Status": "Enabled",
    "Filter": {"Prefix": "logs/"},
    "Expiration": {"Days": 3},
}


def test_rules_are_applied_beside_those_of_others_and_replace_our_own(store: ObjectStore, base: S3Location) -> None:
    assert read_rules(store, base) == []
    store.client.put_bucket_lifecycle_configuration(Bucket=base.bucket, LifecycleConfiguration={"Rules": [OTHERS]})
    apply_rules(store, base, LifecyclePlan(raw_class="GLACIER_IR", raw_expire_after_days=400))
    apply_rules(store, S3Location(base.bucket, "another base"), LifecyclePlan())
    rules = apply_rules(store, base, LifecyclePlan(3, "GLACIER", 30, 800))
    assert read_rules(store, base) == rules
    assert [describe(rule) for rule in rules] == [
        "logs/: deleted after 3 days [of the logs]",
        f"another base/: unfinished uploads are removed after 7 days [{RULE_PREFIX}another base: unfinished uploads]",
        f"market data/: unfinished uploads are removed after 3 days [{RULE_PREFIX}market data: unfinished uploads]",
        f"{base.key}/raw/: moves to GLACIER after 30 days, deleted after 800 days [{RULE_PREFIX}{base.key}: raw files]",
    ]


def test_by_default_nothing_is_ever_deleted_but_parts_of_unfinished_uploads(base: S3Location) -> None:
    (rule,) = LifecyclePlan().rules(base)
    assert set(rule) == {"ID", "Status", "Filter", "AbortIncompleteMultipartUpload"}


@pytest.mark.parametrize(
    ("prefix", "endangers"),
    [("", True), ("market", True), ("market data/catalogs/lean/", True), ("market data/raw/", False), ("logs/", False)],
)
def test_a_rule_that_would_delete_catalogs_is_recognised(prefix: str, endangers: bool) -> None:  # noqa: FBT001
    base = S3Location("bucket", "market data")
    rule = {**OTHERS, "Filter": {"Prefix": prefix}}
    assert endangers_catalogs(rule, base) is endangers
    assert endangers_catalogs({**rule, "Filter": {"And": {"Prefix": prefix}}}, base) is endangers
    assert not endangers_catalogs({**rule, "Status": "Disabled"}, base)
    assert not any(endangers_catalogs(rule, base) for rule in LifecyclePlan(7, "GLACIER", 3, 9).rules(base))


def test_rules_that_we_do_not_make_are_described_as_well() -> None:
    rule = {"ID": "x", "Status": "Disabled", "Expiration": {"Date": "2030-01-01"}, "NoncurrentVersionExpiration": {}}
    assert describe(rule) == "/: deleted on 2030-01-01, old versions are deleted (disabled) [x]"
    assert describe({"Status": "Enabled"}) == "/: other []"


@pytest.mark.parametrize(
    "plan",
    [LifecyclePlan(0), LifecyclePlan(raw_expire_after_days=-1), LifecyclePlan(7, "GLACIER", 90, 90)],
)
def test_impossible_rules_are_refused(base: S3Location, plan: LifecyclePlan) -> None:
    with pytest.raises(ConfigurationError):
        plan.rules(base)
