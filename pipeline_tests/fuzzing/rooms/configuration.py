"""What a person configures: the universe, orders of sources, tolerances, rates, sessions, variables, secrets."""

from __future__ import annotations

import contextlib
import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from unittest import mock
from urllib.parse import quote, quote_plus

import polars as pl

from pipeline_defs.alerting.alert import Alert, compose, without_secrets
from pipeline_defs.alerting.collecting import EVERY_VARIABLE, every_seconds
from pipeline_defs.alerting.mail import _port
from pipeline_defs.backups.checksums import TableChecksum
from pipeline_defs.backups.manifest import DatabaseEntry, FileEntry, Manifest, TreeEntry, _digest
from pipeline_defs.errors import ConfigurationError
from pipeline_defs.greeks.rate_files import read_rates
from pipeline_defs.markets.expiries import _COLUMNS as RULE_COLUMNS
from pipeline_defs.markets.expiries import _rule
from pipeline_defs.markets.market import _short_session
from pipeline_defs.markets.session_tables import special_session
from pipeline_defs.markets.tables import parse_table
from pipeline_defs.operations.checks import parse_gib
from pipeline_defs.operations.metrics import parse_address
from pipeline_defs.orchestration.automation.alerts import _queues
from pipeline_defs.orchestration.automation.alerts import _read as read_cursor
from pipeline_defs.orchestration.partitions import (
    FIRST_DATE_VARIABLE,
    UNDERLYINGS_VARIABLE,
    exported_underlyings,
    first_partition_date,
)
from pipeline_defs.quality.expectations import COLUMNS as EXPECTATION_COLUMNS
from pipeline_defs.quality.expectations import parse_expectations
from pipeline_defs.reconciliation.tolerances import COLUMNS as TOLERANCE_COLUMNS
from pipeline_defs.reconciliation.tolerances import load_tolerances, parse_tolerances
from pipeline_defs.settings import load_settings
from pipeline_defs.sources.asking import credentials
from pipeline_defs.sources.asking.questions import Dataset
from pipeline_defs.sources.asking.universe import find_universe, read_universe
from pipeline_defs.sources.places import _sections
from pipeline_defs.sources.zerodha.session import _read as read_session
from pipeline_defs.sources.zerodha.session import save_session
from pipeline_defs.storage.client import _seconds
from pipeline_defs.warehouse.migrations.statements import split_statements
from pipeline_defs.warehouse.precedence import load_precedence, parse_orders
from pipeline_tests.fuzzing.helping import fresh, place, text_of
from pipeline_tests.fuzzing.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_TABLES: Final = ("options_ticks", "spot_prices", "equity_daily", "futures_ticks")
_KNOWN_SOURCES: Final = ("nse_csv", "zerodha", "polygon", "rustybt/*")
PACKAGED: Final = ("interactive_brokers", "ccxt", "yahoo", "manual_csv", "csvdir/*")


@contextmanager
def _variables(**values: str) -> Iterator[None]:
    """Set variables, where the system takes such values: no process can be started with others."""
    if any("\x00" in value for value in values.values()):
        raise ConfigurationError("no environment holds a NUL")
    with mock.patch.dict(os.environ, values):
        yield


def _universe(data: bytes) -> None:
    path = place("universe.yaml", data)
    with _variables(PIPELINE_UNIVERSE=str(path)):
        _sections.cache_clear()
        _sections(path)
        try:
            universe = read_universe("polygon")
        except ConfigurationError as refusal:
            if "says nothing" not in str(refusal):
                raise
            assert find_universe("polygon") is None
            return
        assert find_universe("polygon") == universe
    universe.kinds_named()
    for table in _TABLES:
        dataset = Dataset(table, 60, 7, ("EQ", "SPOT", "PAIR", "FUT", "OPT"))
        universe.names(dataset)
        assert universe.digest(dataset) == universe.digest(dataset)
        if table in universe.bars:
            assert universe.with_length(dataset).bar_seconds > 0
    for chain in (*universe.futures, *universe.options):
        if chain.strikes is not None:
            assert chain.takes_strike(chain.strikes[0]) or chain.strikes[0] > chain.strikes[1]


def _precedence(data: bytes) -> None:
    home = place("precedence.yaml", data).parent
    precedence = load_precedence(home, _KNOWN_SOURCES)
    again = parse_orders(json.dumps(precedence.to_json()), "again", _KNOWN_SOURCES + PACKAGED)
    assert again == precedence.orders


def _tolerances(data: bytes) -> None:
    home = place("tolerances.csv", data).parent
    tolerances = load_tolerances(home)
    assert len({one.key for one in tolerances}) == len(tolerances)
    lines = [[*one.key, f"{one.ticks}", f"{one.tick_size_if_unknown}", f"{one.relative}"] for one in tolerances]
    text = "\n".join(",".join(line) for line in [list(TOLERANCE_COLUMNS), *lines])
    assert tuple(parse_tolerances(text, "again")) == tolerances


def _expectations(data: bytes) -> None:
    for line in parse_expectations(text_of(data), "here"):
        assert line.bar_seconds >= 0


_RATE_COLUMNS: Final = ("rate", "dividend_yield")


def _rates(data: bytes) -> None:
    read = read_rates(place("rates.csv", data))
    (value,) = [name for name in _RATE_COLUMNS if name in read.rows.columns]
    assert read.rows.height
    assert read.rows.null_count().sum_horizontal().item() == 0
    assert read.rows.select(pl.struct(read.table.key).is_unique().all()).item()
    again = place("rates.csv", read.rows.write_csv().encode())
    assert read_rates(again).rows.equals(read.rows), f"another {value} the second time"


def _session_file(data: bytes) -> None:
    path = place("zerodha-session.json", data)
    session = read_session(path)
    assert session is not None
    assert session.access_token
    with _variables(PIPELINE_HOME=str(fresh("home"))):
        assert read_session(save_session(session)) == session
    shown = repr(session).replace(f"user={session.user!r}", "")
    assert len(session.access_token) < 12 or session.access_token not in shown
    assert session.ends_at is None or session.logged_in_at is None or session.ends_at > session.logged_in_at


def _environment(data: bytes) -> None:
    """Read a line of each variable whose text is understood."""
    values = text_of(data).split("\n")
    first, underlyings, gib, every, seconds, port = (values + [""] * 6)[:6]
    with _variables(PIPELINE_CACHE_GIB=gib, PIPELINE_HOME="/nowhere/at/all"):
        assert load_settings().cache_bytes > 0
    with _variables(**{FIRST_DATE_VARIABLE: first, UNDERLYINGS_VARIABLE: underlyings}):
        assert first_partition_date().year >= 2000
        assert all(exported_underlyings())
    with _variables(**{EVERY_VARIABLE: every, "PIPELINE_FUZZED_SECONDS": seconds}):
        assert every_seconds() >= 0
        assert _seconds("PIPELINE_FUZZED_SECONDS", 5.0) > 0
    assert 0 < _port(port, 25) < 1 << 16, "no such port"


def _secrets(data: bytes) -> None:
    """Hide the first line, a secret, in the rest, a text; also as URLs and messages spell it."""
    secret, _, around = text_of(data).partition("\n")
    secret = secret.strip()
    with mock.patch.object(credentials, "_known", set()):
        path = place("secret.txt", secret.encode("utf-8", "surrogateescape"))
        with _variables(PIPELINE_FUZZED="", PIPELINE_FUZZED_FILE=str(path)):
            read = credentials.read_credential("PIPELINE_FUZZED", "a secret")
        if len(read) < 4 or set(read) <= {"*"}:
            return
        for spelt in {
            read,
            quote(read, safe=""),
            quote(read),
            quote_plus(read),
            json.dumps(read)[1:-1],
            repr(read)[1:-1],
        }:
            hidden = credentials.redact(f"{around}{spelt}{around}")
            assert spelt not in hidden, f"{spelt!r} is shown"
            assert without_secrets(f"https://user:{quote(read, safe='')}@host/") == "https://***@host/"


def _alerts(data: bytes) -> None:
    """Read an alert sensor's cursor, and say what waits."""
    from pipeline_defs.alerting.collecting import Queue  # noqa: PLC0415 -- named where it is tried

    memory = read_cursor(text_of(data))
    try:
        queue = Queue.read(memory.get("queue", {}))
    except ValueError:
        said: list[str] = []
        assert _queues({"queues": {"log": memory.get("queue", {})}}, said) == {}
        assert "log" in said[0]
        return
    assert Queue.read(json.loads(json.dumps(queue.plain()))) == queue
    if queue.waiting:
        assert "\n" not in compose(queue.waiting, queue.left_out).title


def _listening(data: bytes) -> None:
    host, port = parse_address(text_of(data))
    assert host
    assert 0 <= port < 1 << 16


def _gib(data: bytes) -> None:
    assert parse_gib(text_of(data)) >= 0


def _backup(data: bytes) -> None:
    """Read a backup's manifest, whose digest is made right first: plain damage dies at it."""
    with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
        whole = json.loads(data)
        data = json.dumps(whole | {"sha256": _digest(whole["backup"])}).encode()
    manifest = Manifest.of_bytes(data, "manifest.json")
    again = Manifest.of_bytes(manifest.to_bytes(), "again")
    assert again.to_bytes() == manifest.to_bytes()


def _market_table(columns: tuple[str, ...], convert: Callable[[dict[str, str]], Any]) -> Callable[[bytes], None]:
    def check(data: bytes) -> None:
        text = data.decode("utf-8", "replace")
        values = parse_table(text, "table.csv", columns, convert)
        assert len(values) <= len(text.splitlines()) - 1

    return check


def _statements(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    statements = split_statements(text)
    assert all(statement and statement in text for statement in statements)
    assert sum(map(len, statements)) <= len(text)
    joined = "\n;\n".join(statements)
    assert split_statements(joined) == statements, "another cut the second time"


_UNIVERSE: Final = b"""polygon:
  market: US
  bars: {spot_prices: 5m}
  equities: [AAPL, {symbol: BRK.B, first_date: 2024-01-02}]
  indices: ["I:SPX"]
  options:
    - {underlying: AAPL, expiries: 2, strikes: [100, 192.5], option_types: [CE]}
    - {underlying: SPX, expiries: [2024-01-19]}
"""
_SPECIAL: Final = ("date", "segment", "open_ist", "close_ist", "kind", "source")
_SHORT: Final = ("date", "open_new_york", "close_new_york", "source")

_BACKUP: Final = Manifest(
    "20251001T000000Z",
    "2025-10-01T00:00:00+00:00",
    "2025-10-01T00:01:00+00:00",
    {"pg_dump": "18"},
    (
        DatabaseEntry(
            *("warehouse", 18, None, {"1": "ab"}, ("reader",), (TableChecksum("public.loads", 2, "1 2"),)),
            FileEntry("warehouse.dump", "00", 1),
        ),
    ),
    (TreeEntry("catalogs", "/srv/catalogs", (FileEntry("a/b", "01", 2),)),),
)

TARGETS: Final = (
    Target(
        name="metrics-address",
        reads=("operations.metrics:parse_address",),
        check=_listening,
        form="text",
        seeds=(b"127.0.0.1:9464", b"[::1]:9464"),
    ),
    Target(name="gib", reads=("operations.checks:parse_gib",), check=_gib, form="text", seeds=(b"5", b"0.5")),
    Target(
        name="backup-manifest",
        reads=("backups.manifest:of_bytes",),
        check=_backup,
        form="json",
        seeds=(_BACKUP.to_bytes(),),
        place="manifest.json",
    ),
    Target(
        name="universe",
        reads=(
            *("sources.asking.universe:read_universe", "sources.asking.universe:find_universe"),
            "sources.places:universe_market",
        ),
        check=_universe,
        form="text",
        seeds=(_UNIVERSE, b"ccxt: {exchange: binance, pairs: [BTC/USDT]}\npolygon:\n  futures: [ES]\n"),
    ),
    Target(
        name="precedence",
        reads=("warehouse.precedence:load_precedence", "warehouse.precedence:parse_orders"),
        check=_precedence,
        form="text",
        seeds=(
            b"options_ticks: [nse_csv, zerodha, rustybt/*]\nspot_prices: &m\n  NSE: [nse_csv]\n  US: [polygon]\nequity_daily: *m\n",  # noqa: E501
        ),
        place="precedence.yaml",
    ),
    Target(
        name="tolerances",
        reads=(
            *("reconciliation.tolerances:load_tolerances", "reconciliation.tolerances:parse_tolerances"),
            "reconciliation.tolerances:_parse_line",
        ),
        check=_tolerances,
        form="lines",
        seeds=(
            f"{','.join(TOLERANCE_COLUMNS)}\nintraday,options_ticks,OPT,open,1,0.01,0\n"
            "daily,equity_daily,EQ,close,0,0.05,0.001\n".encode(),
        ),
        place="tolerances.csv",
    ),
    Target(
        name="expectations",
        reads=("quality.expectations:parse_expectations",),
        check=_expectations,
        form="lines",
        seeds=(
            f'{",".join(EXPECTATION_COLUMNS)}\n*,options_ticks,60,minute,,,,1,0.4,2.5,"why, so"\n'
            "polygon,spot_prices,86400,session,1,1,1,1,,,why\n".encode(),
        ),
        place="here",
    ),
    Target(
        name="rates",
        reads=("greeks.rate_files:read_rates", "greeks.rate_files:_read_text"),
        check=_rates,
        form="lines",
        seeds=(
            b"currency,valid_from,rate,source,tenor_days\nINR,2025-08-01,0.065,RBI,0\nINR,2025-08-01,0.0675,RBI,91\n",
            b"underlying,valid_from,dividend_yield,source\nNIFTY,2025-08-01,0.0135,NSE\nM&M,2025-08-01,-0.01,own\n",
        ),
        place="rates.csv",
        pays=False,
    ),
    Target(
        name="zerodha-session",
        reads=("sources.zerodha.session:_read",),
        check=_session_file,
        form="json",
        seeds=(
            b'{"access_token": "abcdef0123456789", "logged_in_at": "2025-08-14T03:00:00+00:00", "user": "AB1234",'
            b' "refused_at": null}',
        ),
        place="zerodha-session.json",
    ),
    Target(
        name="environment",
        reads=("settings:load_settings",),
        check=_environment,
        form="text",
        seeds=(b"2015-01-01\nNIFTY,M&M\n10\n900\n30\n587", b"2020-02-29\nBANKNIFTY\n0.5\n0\n1.5\n1"),
    ),
    Target(
        name="secrets",
        reads=(
            "sources.asking.credentials:read_credential",
            "sources.asking.credentials:redact",
            "cli.failing:_redacted",
        ),
        check=_secrets,
        form="text",
        seeds=(b"s3cr3t/with+odd chars&=\nGET /v2/aggs?apiKey=", b"\xc3\xa9\xe2\x82\xac'\"\\x\nsaid: "),
    ),
    Target(
        name="alert-cursor",
        reads=("alerting.collecting:read", "orchestration.automation.alerts:_read"),
        check=_alerts,
        form="json",
        seeds=(
            json.dumps(
                {
                    "queue": {
                        "waiting": [Alert("run failed", "job", error="it\nfailed", assets=("a", "b")).plain()],
                        "left_out": 1,
                        "not_before": 0.0,
                        "failures": 0,
                    }
                }
            ).encode(),
        ),
    ),
    Target(
        name="market-special-sessions",
        reads=("markets.tables:parse_table", "markets.tables:read_table"),
        check=_market_table(_SPECIAL, special_session),
        form="lines",
        seeds=(f'{",".join(_SPECIAL)}\n2000-10-26,ALL,18:30,19:45,muhurat,"said, so"\n'.encode(),),
        place="table.csv",
    ),
    Target(
        name="market-short-sessions",
        reads=("markets.tables:parse_table",),
        check=_market_table(_SHORT, _short_session),
        form="lines",
        seeds=(f"{','.join(_SHORT)}\n2000-07-03,09:30,13:00,someone\n".encode(),),
        place="table.csv",
    ),
    Target(
        name="market-expiry-rules",
        reads=("markets.tables:parse_table",),
        check=_market_table(RULE_COLUMNS, _rule),
        form="lines",
        seeds=(f"{','.join(RULE_COLUMNS)}\n*,monthly,4,2000-06-01,,2000-06-01,why\n".encode(),),
        place="table.csv",
    ),
    Target(
        name="sql-statements",
        reads=("warehouse.migrations.statements:split_statements",),
        check=_statements,
        form="text",
        seeds=(
            b"CREATE TABLE a (b text DEFAULT ';'); -- one;\n/* two; */ INSERT INTO a VALUES ($$x;y$$);",
            b"CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 2 END; END;"  # noqa: E501
            b"\nSELECT 'it''s', \"a;b\", E'\\';';",
        ),
    ),
)
