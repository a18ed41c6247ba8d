"""Rules by which a bucket tidies itself: shown, and applied beside those that are not ours.

Catalogs are never expired by these rules. What has to be kept for how long is a decision of the user's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.storage.client import code_of, explained

if TYPE_CHECKING:
    from pipeline_defs.storage.locations import S3Location
    from pipeline_defs.storage.objects import ObjectStore

ABORT_AFTER_DAYS: Final = 7
RULE_PREFIX: Final = "market-data-pipeline "
_NONE_CODES: Final = frozenset({"NoSuchLifecycleConfiguration", "404"})


@dataclass(frozen=True, slots=True)
class LifecyclePlan:
    """What the rules are to be.

    Parameters
    ----------
    abort_after_days : int, default 7
        Parts of uploads that nobody completed are removed after so many days; they cost and no listing shows them.
    raw_class : str or None
        Storage class for raw files, e.g. ``GLACIER_IR``.
    raw_class_after_days : int, default 90
        When they move to it.
    raw_expire_after_days : int or None
        When raw files are deleted; None keeps them for good.

    """

    abort_after_days: int = ABORT_AFTER_DAYS
    raw_class: str | None = None
    raw_class_after_days: int = 90
    raw_expire_after_days: int | None = None

    def rules(self, base: S3Location) -> list[dict[str, Any]]:
        """Give the rules as the store takes them.

        Raises
        ------
        ConfigurationError
            If a number of days is not positive, or raw files would be deleted before they move.

        """
        days = [self.abort_after_days, self.raw_class_after_days, self.raw_expire_after_days or 1]
        if min(days) < 1:
            raise ConfigurationError(f"expected at least 1 day, found {min(days)}")
        label = f"{RULE_PREFIX}{base.key or '/'}"
        rules: list[dict[str, Any]] = [
            {
                "ID": f"{label}: unfinished uploads",
                "Status": "Enabled",
                "Filter": {"Prefix": base.folder},
                "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": self.abort_after_days},
            }
        ]
        raw: dict[str, Any] = {}
        if self.raw_class is not None:
            raw["Transitions"] = [{"Days": self.raw_class_after_days, "StorageClass": self.raw_class}]
            if self.raw_expire_after_days is not None and self.raw_expire_after_days <= self.raw_class_after_days:
                raise ConfigurationError(
                    f"raw files would be deleted after {self.raw_expire_after_days} days, before they move to"
                    f" {self.raw_class} after {self.raw_class_after_days}",
                    next_step="leave out the storage class, or keep them longer",
                )
        if self.raw_expire_after_days is not None:
            raw["Expiration"] = {"Days": self.raw_expire_after_days}
        if raw:
            place = base / "raw"
            rules.append({"ID": f"{label}: raw files", "Status": "Enabled", "Filter": {"Prefix": place.folder}, **raw})
        return rules


def read_rules(store: ObjectStore, base: S3Location) -> list[dict[str, Any]]:
    """Read all rules of a bucket, ours and others'."""
    with explained(base):
        try:
            response = store.client.get_bucket_lifecycle_configuration(Bucket=base.bucket)
        except store.client.exceptions.ClientError as error:
            if code_of(error) in _NONE_CODES:
                return []
            raise
    return list(response.get("Rules", ()))


def apply_rules(store: ObjectStore, base: S3Location, plan: LifecyclePlan) -> list[dict[str, Any]]:
    """Put our rules for a base in the place of those that were ours before; others' stay.

    Parameters
    ----------
    store : ObjectStore
        Where the bucket is.
    base : S3Location
        What the rules are for.
    plan : LifecyclePlan
        The rules.

    Returns
    -------
    list of dict
        All rules of the bucket, as the store has them now.

    Raises
    ------
    ConfigurationError
        See `LifecyclePlan.rules`.
    StorageError
        If the store refuses.

    """
    mine = plan.rules(base)
    label = f"{RULE_PREFIX}{base.key or '/'}: "
    others = [rule for rule in read_rules(store, base) if not str(rule.get("ID", "")).startswith(label)]
    with explained(base):
        store.client.put_bucket_lifecycle_configuration(
            Bucket=base.bucket, LifecycleConfiguration={"Rules": [*others, *mine]}
        )
    return read_rules(store, base)


def endangers_catalogs(rule: dict[str, Any], base: S3Location) -> bool:
    """Tell whether a rule would delete current catalogs below a base."""
    if rule.get("Status") != "Enabled" or "Expiration" not in rule:
        return False
    chosen = rule.get("Filter", {})
    prefix = chosen.get("Prefix", chosen.get("And", {}).get("Prefix", rule.get("Prefix", "")))
    catalogs = (base / "catalogs").folder
    return bool(catalogs.startswith(prefix) or prefix.startswith(catalogs))


def describe(rule: dict[str, Any]) -> str:
    """Say in a line what a rule does."""
    chosen = rule.get("Filter", {})
    prefix = chosen.get("Prefix", chosen.get("And", {}).get("Prefix", rule.get("Prefix", "")))
    does = []
    if abort := rule.get("AbortIncompleteMultipartUpload"):
        does.append(f"unfinished uploads are removed after {abort['DaysAfterInitiation']} days")
    does += [
        f"moves to {move['StorageClass']} after {move.get('Days', '?')} days" for move in rule.get("Transitions", ())
    ]
    if expiration := rule.get("Expiration"):
        when = f"after {expiration['Days']} days" if "Days" in expiration else f"on {expiration.get('Date', '?')}"
        does.append(f"deleted {when}")
    if "NoncurrentVersionExpiration" in rule:
        does.append("old versions are deleted")
    state = "" if rule.get("Status") == "Enabled" else " (disabled)"
    return f"{prefix or '/'}: {', '.join(does) or 'other'}{state} [{rule.get('ID', '')}]"
