"""Implied volatility and Greeks of option bars as an asset: one partition is one trading session.

What is computed, and what is masked, is decided in `pipeline_defs.greeks`; here a session is asked for and its outcome,
good or bad, becomes metadata and checks.
"""

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
from pydantic import Field

import pipeline_defs
from pipeline_defs.orchestration.assets.describing import OWNERS, failures_explained, partitioned_check
from pipeline_defs.orchestration.assets.sources import table_key
from pipeline_defs.orchestration.display import markdown_table
from pipeline_defs.orchestration.partitions import session_partitions
from pipeline_defs.orchestration.resources import WAREHOUSE, open_warehouse_of
from pipeline_defs.sources.registry import source_entry

if TYPE_CHECKING:
    from pipeline_defs.greeks.parameters import GreeksParameters
    from pipeline_defs.greeks.reading import Finding, State
    from pipeline_defs.greeks.session import GreeksReport
    from pipeline_defs.warehouse.connection import Warehouse

GREEKS: Final = "greeks"
"""Group."""

GREEKS_KEY: Final = dg.AssetKey("option_greeks")

WITHIN_BOUNDS: Final = "greeks_within_bounds"
REPRICES: Final = "volatility_reprices"
_CHECKS: Final = {
    WITHIN_BOUNDS: "Delta of a call is between 0 and 1, of a put between -1 and 0; gamma and vega are not negative.",
    REPRICES: "At its implied volatility every bar costs what it cost: no price was corrected since.",
}

_NOT_NULL: Final = dg.TableColumnConstraints(nullable=False)
_COLUMNS: Final = (
    ("timestamp", "timestamp with time zone", "Close of the option's bar, UTC.", _NOT_NULL),
    ("instrument_id", "integer", "Row of `instruments`.", _NOT_NULL),
    ("bar_seconds", "integer", "Length of the bar in seconds.", _NOT_NULL),
    ("source", "text", "Adapter whose observations these are.", _NOT_NULL),
    ("price", "numeric", "Close of the option's bar.", _NOT_NULL),
    ("underlying_price", "numeric", "Close of the underlying's last bar that was complete by then.", None),
    ("underlying_timestamp", "timestamp with time zone", "When that was.", None),
    ("underlying_id", "integer", "Spot or future that it was of.", None),
    ("forward", "double precision", "Worth of the underlying at expiry.", None),
    ("rate", "double precision", "Interest rate to expiry, a year, continuously compounded.", None),
    ("dividend_yield", "double precision", "A year; null where none was needed.", None),
    ("time_to_expiry_years", "double precision", "Years of 365 days to the close of the last session.", _NOT_NULL),
    ("implied_volatility", "double precision", "A year, as a fraction.", None),
    ("delta", "double precision", "By the forward, or by the spot: see `model`.", None),
    ("gamma", "double precision", "The same, twice.", None),
    ("vega", "double precision", "Per 1.00 of volatility.", None),
    ("theta", "double precision", "Per year of 365 days.", None),
    ("rho", "double precision", "Per 1.00 of rate.", None),
    ("reason", "text", "Why there are no numbers; null where there are.", None),
    ("model", "text", "black_76 (Greeks by the forward) or black_scholes_merton (by the spot).", _NOT_NULL),
    ("forward_method", "text", "future, parity or spot.", _NOT_NULL),
    ("load_id", "bigint", "Load that wrote the option's bar.", _NOT_NULL),
    ("underlying_load_id", "bigint", "Load that wrote the underlying's.", None),
    ("computed_at", "timestamp with time zone", "When these numbers were written.", _NOT_NULL),
)


class GreeksConfig(dg.Config):
    """Choices of one run; they are stored with every row."""

    source: str = Field(default="nse_csv", description="Whose options, and whose prices of what underlies them.")
    bar_seconds: int = Field(default=60, description="Resolution of the stored bars.")
    forward_method: str = Field(
        default="future",
        description="future: of the same expiry, or the next one carried back. parity: of the pair nearest the money."
        " spot: carried forward; Greeks are by the spot then.",
    )
    max_underlying_age_seconds: int = Field(default=60, description="An older price of the underlying is none.")
    rate: float | None = Field(default=None, description="A year, in place of the table interest_rates.")
    dividend_yield: float | None = Field(default=None, description="A year, in place of the table dividend_yields.")

    def parameters(self) -> "GreeksParameters":
        """Give them to the core, which refuses what cannot be meant."""
        from pipeline_defs.greeks.parameters import GreeksParameters  # noqa: PLC0415 -- as the rest of the room

        return GreeksParameters(
            forward_method=self.forward_method,
            max_underlying_age_seconds=self.max_underlying_age_seconds,
            rate=self.rate,
            dividend_yield=self.dividend_yield,
        )


def build_greeks_asset(sources: Sequence[str]) -> dg.AssetsDefinition:
    """Make the asset.

    Parameters
    ----------
    sources : sequence of str
        Adapters whose options it can be made of.

    Returns
    -------
    dagster.AssetsDefinition

    """
    read = {"options_ticks", "futures_ticks", "spot_prices", "equity_daily"}
    deps = [table_key(source, table) for source in sources for table in source_entry(source).tables if table in read]

    @dg.asset(
        key=GREEKS_KEY,
        deps=deps,
        description=(
            "Implied volatility, delta, gamma, vega, theta and rho of every option bar, from the underlying's last"
            " price known by then and dated rates. A price from which none follows has a reason in place of numbers."
            " Vega is per 1.00 of volatility, theta per year. Needs interest rates: `pipeline rates load FILE`."
        ),
        group_name=GREEKS,
        owners=list(OWNERS),
        kinds={"python", "postgres"},
        tags={"market": "nse"},
        code_version=pipeline_defs.__version__,
        partitions_def=session_partitions(),
        metadata={
            "dagster/table_name": "public.option_greeks",
            "dagster/column_schema": dg.TableSchema([dg.TableColumn(*column) for column in _COLUMNS]),
        },
        required_resource_keys={WAREHOUSE},
    )
    def option_greeks(context: dg.AssetExecutionContext, config: GreeksConfig) -> dg.MaterializeResult[Any]:
        """Compute and store one session."""
        from pipeline_defs.greeks.reading import read_smile, read_state  # noqa: PLC0415 -- imports polars and scipy
        from pipeline_defs.greeks.session import compute_session  # noqa: PLC0415

        with failures_explained():
            opened = open_warehouse_of(context.resources)
            report = compute_session(
                opened,
                config.source,
                dt.date.fromisoformat(context.partition_key),
                bar_seconds=config.bar_seconds,
                parameters=config.parameters(),
            )
        state = read_state(opened, report.session)
        underlying, curves = read_smile(opened, report.session)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(state.content_hash),
            metadata={**_metadata(report, state), **_picture(underlying, curves)},
        )

    return option_greeks


def build_greeks_checks() -> dg.AssetChecksDefinition:
    """Make the checks of the asset; they look at what is stored, whoever stored it."""
    partitions = session_partitions()
    specs = [
        partitioned_check(name, GREEKS_KEY, meaning, partitions, blocking=True) for name, meaning in _CHECKS.items()
    ]

    @dg.multi_asset_check(name="check_option_greeks", specs=specs, can_subset=True, required_resource_keys={WAREHOUSE})
    def greeks_checks(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        from pipeline_defs.greeks import reading  # noqa: PLC0415 -- imports polars and scipy

        look: dict[str, Callable[[Warehouse, dt.date], Finding]] = {
            WITHIN_BOUNDS: reading.find_out_of_bounds,
            REPRICES: reading.find_not_repriced,
        }
        with failures_explained():
            opened = open_warehouse_of(context.resources)
        for check in sorted(context.selected_asset_check_keys):
            found = look[check.name](opened, dt.date.fromisoformat(context.partition_key))
            yield _checked(check.name, found)

    return greeks_checks


def _checked(name: str, found: "Finding") -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=GREEKS_KEY,
        check_name=name,
        passed=found.failing == 0,
        severity=dg.AssetCheckSeverity.ERROR,
        metadata={
            "expected": f"{found.examined} of {found.examined} rows",
            "found": f"{found.examined - found.failing} of {found.examined} rows",
            "largest_deviation": found.worst,
            **({"detail": dg.MetadataValue.md("\n".join(f"- {row}" for row in found.shown))} if found.shown else {}),
        },
    )


def _metadata(report: "GreeksReport", state: "State") -> dict[str, Any]:
    masked = [(reason, count) for reason, count in report.masked.items() if count]
    return {
        "dagster/partition_row_count": state.rows,
        "instruments": state.instruments,
        "rows_with_numbers": report.with_numbers,
        **{f"masked_{reason}": count for reason, count in report.masked.items()},
        "rows_stored": report.counts.new,
        "rows_changed": report.counts.changed,
        "rows_unchanged": report.counts.unchanged,
        "rows_removed": report.counts.removed,
        "seconds": round(report.seconds, 3),
        "rows_per_second": round(report.rows / report.seconds),
        **({} if state.median_volatility is None else {"median_implied_volatility": state.median_volatility}),
        "masked": dg.MetadataValue.md(
            markdown_table(["reason", "bars"], masked) if masked else "Every bar has its numbers."
        ),
    }


def _picture(underlying: str, curves: dict[str, list[tuple[float, float]]]) -> dict[str, dg.MarkdownMetadataValue]:
    if not curves:
        return {}
    from pipeline_defs.plots.drawing import to_markdown  # noqa: PLC0415 -- draws with matplotlib
    from pipeline_defs.plots.smile import draw_smile  # noqa: PLC0415

    caption = f"Last implied volatility of the session's options out of the money: {underlying}"
    return {"smile": dg.MetadataValue.md(to_markdown(draw_smile(curves), caption))}
