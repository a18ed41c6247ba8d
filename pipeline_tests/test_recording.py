"""What a stream told is stored within seconds, once, and what it could not hear is marked."""

from __future__ import annotations

import datetime as dt
import threading
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar

import pytest
from typer.testing import CliRunner

from pipeline_defs.cli.main import commands
from pipeline_defs.errors import ConfigurationError, SourceError
from pipeline_defs.recording import Recorder
from pipeline_defs.sources import registry
from pipeline_defs.sources.asking.questions import Answer, Dataset, Listed, Question, Window, answer_rows
from pipeline_defs.sources.asking.source import ApiSource
from pipeline_defs.sources.asking.streaming import Heard, Silence
from pipeline_defs.sources.asking.universe import SourceUniverse
from pipeline_defs.sources.nse_csv.adapter import NseCsvSource

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from typer.testing import Result

    from pipeline_defs.schema.batches import Source
    from pipeline_defs.warehouse.connection import Warehouse
    from pipeline_defs.warehouse.reports import LoadReport

TICKS = Dataset("spot_prices", 0, 1, ("EQ",))
MINUTES = Dataset("spot_prices", 60, 1, ("EQ",))
LISTED = [
    Listed(name, {"kind": "EQ", "symbol": name, "underlying": name, "series": "EQ", "venue": "NSE", "currency": "INR"})
    for name in ("RELIANCE", "INFY")
]
OPEN = dt.datetime(2025, 8, 25, 3, 45, tzinfo=dt.UTC)


@dataclass(kw_only=True)
class PaperStream(ApiSource):
    """Tells what stands in its script."""

    name: ClassVar[str] = "paper"  # type: ignore[misc]
    version: ClassVar[str] = "1"
    vendor_url: ClassVar[str] = "wss://paper.invalid"
    datasets: ClassVar[tuple[Dataset, ...]] = ()
    live_datasets: ClassVar[tuple[Dataset, ...]] = (Dataset("spot_prices", 0, 1, ("EQ",)),)
    supports_live: ClassVar[bool] = True

    universe: SourceUniverse | None = field(default_factory=SourceUniverse)
    instruments: list[Listed] = field(default_factory=lambda: LISTED)
    script: list[Heard | Silence | Exception] = field(default_factory=list)

    def list_instruments(self, dataset: Dataset, window: Window) -> list[Listed]:
        del dataset, window
        return self.instruments

    def ask(self, question: Question) -> Answer:
        raise NotImplementedError

    def stream(self, dataset: Dataset, listed: Sequence[Listed], stop: threading.Event) -> Iterator[Heard | Silence]:
        del dataset, listed, stop
        for told in self.script:
            if isinstance(told, Exception):
                raise told
            yield told


def heard(index: int, *prices: str, second: float = 1.0) -> Heard:
    stamp = OPEN + dt.timedelta(seconds=second)
    rows = {name: list(prices) for name in ("open", "high", "low", "close")}
    return Heard(
        LISTED[index], answer_rows({"timestamp": [stamp] * len(prices), **rows, "volume": ["5"] * len(prices)})
    )


@pytest.fixture(scope="session")
def template_url(migrated_url: str) -> str:
    """Every test works on a copy of a migrated database."""
    return migrated_url


def record(
    warehouse: Warehouse,
    *script: Heard | Silence | Exception,
    dataset: Dataset = TICKS,
    now: dt.datetime = OPEN + dt.timedelta(minutes=10),
) -> list[LoadReport]:
    reports: list[LoadReport] = []
    recorder = Recorder(warehouse, PaperStream(script=list(script)), dataset, LISTED, 0.2, clock=lambda: now)
    recorder.run(threading.Event(), reports.append)
    return reports


def rows(warehouse: Warehouse) -> list[tuple[object, ...]]:
    with warehouse.connect() as connection:
        return connection.execute(
            "SELECT symbol, close, sequence FROM spot_prices JOIN instrument_terms USING (instrument_id)"
            ' ORDER BY symbol, "timestamp", sequence'
        ).fetchall()


def gaps(warehouse: Warehouse) -> list[str]:
    with warehouse.connect() as connection:
        found = connection.execute(
            "SELECT found, detail FROM quality_results WHERE check_name = 'live_gap' ORDER BY found DESC"
        ).fetchall()
    return [f"{found}: {detail}" for found, detail in found]


def test_ticks_of_one_second_are_all_kept_also_over_flushes_and_a_restart(warehouse: Warehouse) -> None:
    record(warehouse, heard(0, "1", "1"), heard(1, "9"), heard(0, "2"))
    record(warehouse, heard(0, "3"))

    assert rows(warehouse) == [
        ("INFY", Decimal(9), 0),
        ("RELIANCE", Decimal(1), 0),
        ("RELIANCE", Decimal(1), 1),
        ("RELIANCE", Decimal(2), 2),
        ("RELIANCE", Decimal(3), 3),
    ]


def test_a_later_flush_takes_nothing_away(warehouse: Warehouse) -> None:
    source = PaperStream()
    recorder = Recorder(warehouse, source, TICKS, LISTED, clock=lambda: OPEN + dt.timedelta(minutes=1))
    for told in (heard(0, "1", second=5), heard(0, "2", second=7), heard(0, "3", second=5)):
        recorder._heard.append(told)
        (report,) = recorder.flush()
        assert (report.stored, report.corrected, report.retired) == (1, 0, 0)

    assert [close for _, close, _ in rows(warehouse)] == [Decimal(1), Decimal(3), Decimal(2)]
    assert list(recorder.flush()) == []


def test_a_bar_that_is_told_again_is_stored_once_and_a_corrected_one_keeps_both_times(warehouse: Warehouse) -> None:
    record(warehouse, heard(0, "1", second=60), dataset=MINUTES)
    (again,) = record(warehouse, heard(0, "1", second=60), dataset=MINUTES)
    (corrected,) = record(warehouse, heard(0, "2", second=60), dataset=MINUTES)

    assert (again.stored, again.unchanged) == (0, 1)
    assert corrected.corrected == 1
    assert rows(warehouse) == [("RELIANCE", Decimal(2), 0)]


def test_a_lost_connection_and_the_time_before_the_start_are_marked(warehouse: Warehouse) -> None:
    lost = Silence(OPEN + dt.timedelta(seconds=10), OPEN + dt.timedelta(seconds=40), "the connection was lost")
    record(warehouse, heard(0, "1"), lost)

    assert gaps(warehouse) == [
        "silence of 600 s, 2025-08-25T03:45:00+00:00 to 2025-08-25T03:55:00+00:00: nobody was recording",
        "silence of 30 s, 2025-08-25T03:45:10+00:00 to 2025-08-25T03:45:40+00:00: the connection was lost",
    ]


def test_what_was_heard_before_the_stream_broke_is_stored(warehouse: Warehouse) -> None:
    with pytest.raises(SourceError, match="login expired"):
        record(warehouse, heard(0, "1"), SourceError("login expired"))
    with pytest.raises(SourceError, match="paper: the stream failed with ZeroDivisionError"):
        record(warehouse, heard(1, "2"), ZeroDivisionError("secret"))

    assert [symbol for symbol, *_ in rows(warehouse)] == ["INFY", "RELIANCE"]


def test_rows_that_cannot_be_are_quarantined(warehouse: Warehouse) -> None:
    (report,) = record(warehouse, heard(0, "1"), heard(1, "-2"), heard(0, "5", second=-3600))

    assert report.stored == 1
    assert report.quarantined == {"non_positive_price": 1, "before_open": 1}


def test_on_a_day_without_a_session_no_absence_is_marked(warehouse: Warehouse) -> None:
    recorder = Recorder(warehouse, PaperStream(), TICKS, LISTED, 0.1, clock=lambda: OPEN - dt.timedelta(days=1))
    assert recorder.run(threading.Event()) == 0
    assert recorder._silences == []


def command(monkeypatch: pytest.MonkeyPatch, warehouse: Warehouse, source: Source, *arguments: str) -> Result:
    monkeypatch.setenv("PIPELINE_DATABASE_URL", warehouse.url)
    monkeypatch.setattr(registry, "get_source", lambda _: source)
    return CliRunner().invoke(commands, ["record", "--source", "paper", *arguments])


def test_the_command_records_until_the_stream_ends_and_says_what_it_stored(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = PaperStream(script=[heard(0, "1", "2")], clock=lambda: OPEN + dt.timedelta(minutes=1))
    told = command(monkeypatch, warehouse, source, "--table", "spot_prices", "--flush-seconds", "0.1")

    assert told.exit_code == 0, told.output
    assert "recording 2 instruments of paper into spot_prices; Ctrl-C ends it" in told.output
    assert "2025-08-25 stored 2, refused 0" in told.output
    assert told.output.endswith("2 rows stored\n")


@pytest.mark.parametrize(
    ("source", "table", "message"),
    [
        (NseCsvSource(), "spot_prices", "paper does not stream"),
        (PaperStream(), "options_ticks", "paper streams nothing for options_ticks; it streams spot_prices"),
        (PaperStream(instruments=[]), "spot_prices", "the universe names no instrument of paper for spot_prices"),
    ],
)
def test_the_command_refuses_what_cannot_be_recorded(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, source: Source, table: str, message: str
) -> None:
    told = command(monkeypatch, warehouse, source, "--table", table)

    assert isinstance(told.exception, ConfigurationError)
    assert message in str(told.exception)
