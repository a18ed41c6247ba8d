"""Definitions with one asset that asks a vendor for a while: what a pool is there for."""

from __future__ import annotations

import time

import dagster as dg

POOL = "ccxt"
KEY = dg.AssetKey(["asked"])
PARTITIONS = ("2025-08-11", "2025-08-12", "2025-08-13", "2025-08-14")
ASKING_SECONDS = 3


@dg.asset(key=KEY, pool=POOL, partitions_def=dg.StaticPartitionsDefinition(list(PARTITIONS)))
def asked() -> None:
    """Take as long as an answer does."""
    time.sleep(ASKING_SECONDS)


defs = dg.Definitions(assets=[asked], executor=dg.in_process_executor)
