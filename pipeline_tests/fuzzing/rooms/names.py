"""Names, dates, lengths and addresses: whatever a person or a file name says in one word."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Final

from pipeline_defs.cli.importing import split_names
from pipeline_defs.cli.maintenance import parse_age
from pipeline_defs.cli.options import BarLengths, parse_dataset, parse_date, parse_instant, parse_source
from pipeline_defs.errors import ConfigurationError, PipelineError, TickerError
from pipeline_defs.exports.backtrader.naming import resolution_seconds
from pipeline_defs.exports.lean.entries import parse_entry
from pipeline_defs.exports.lean.kinds import Resolution, SecurityType, TickType
from pipeline_defs.exports.lean.lines import parse_line
from pipeline_defs.exports.lean.market_hours import read_clock
from pipeline_defs.exports.lean.paths import parse_date as parse_lean_date
from pipeline_defs.exports.lean.paths import parse_path
from pipeline_defs.markets.tickers.contract import Contract  # noqa: TC001
from pipeline_defs.markets.tickers.filenames import ticker_from_filename
from pipeline_defs.markets.tickers.grammars import parse_auto, parse_many, parse_ticker
from pipeline_defs.migration.naming import split_pair
from pipeline_defs.orchestration.partitions import month_dates, split_catalog_key
from pipeline_defs.schema.lengths import parse_lengths
from pipeline_defs.sources.interactive_brokers.connecting import parse_address
from pipeline_defs.sources.nse_csv.products import read_names
from pipeline_defs.sources.polygon.tickers import checked_ticker
from pipeline_defs.sources.zerodha.login import _token_of
from pipeline_defs.storage.locations import S3Location, parse_location, parse_s3
from pipeline_tests.fuzzing.helping import text_of
from pipeline_tests.fuzzing.target import Target

TRADE_DATE: Final = dt.date(2025, 8, 14)
SAID: Final = (PipelineError, ValueError)
"""Parsers of arguments refuse with a ValueError, which the command line shows as it is."""


def _check_contract(contract: Contract, ticker: str) -> None:
    assert contract.ticker == ticker
    assert contract.underlying
    assert (contract.kind in {"OPT", "FUT", "CONT"}) == (contract.expiry is not None)
    assert (contract.kind == "OPT") == (contract.strike is not None) == (contract.option_type is not None)
    if contract.expiry is not None:
        assert contract.expiry >= TRADE_DATE, f"expired on {contract.expiry}"
    if contract.strike is not None:
        assert contract.strike > 0
        digits = f"{contract.strike:f}"
        assert digits.split(".", maxsplit=1)[0] in ticker, f"the strike {digits} is not in the name"
    contract.to_json_line()
    contract.describe()


def _ticker(grammar: str) -> Target:
    def check(data: bytes) -> None:
        ticker = text_of(data)
        (in_many,) = parse_many([ticker], grammar, TRADE_DATE)  # type: ignore[arg-type] # one of the three
        try:
            contract = parse_ticker(ticker, grammar, TRADE_DATE)  # type: ignore[arg-type]
        except TickerError:
            assert isinstance(in_many, TickerError), "is refused alone and read among many"
            raise
        assert contract == in_many
        _check_contract(contract, ticker)

    seeds = {
        "gdfl": (
            *(b"NIFTY28AUG2524500CE.NFO", b"NIFTY28AUG25FUT.NFO", b"NIFTY-II.NFO", b"OPTIDX_NIFTY_28AUG2025_PE_23700"),
            *(b"FUTSTK_M&M_28AUG2025_XX_0", b"NIFTY 50.NSE_IDX", b"RELCAPITAL.BE.NSE", b"ASHOKLEY28AUG25122.5CE.NFO"),
        ),
        "exchange": (
            *(b"NIFTY25AUG24500CE", b"NIFTY25AUGFUT", b"NIFTY2590924100PE", b"SENSEX50259095000CE"),
            *(b"BANKNIFTY25O0756000PE", b"M&M25AUG3200.5CE"),
        ),
        "truedata": (
            *(
                b"BANKBARODA250828256.65CE",
                b"NIFTY250828FUT",
                b"NIFTY-I",
                b"NIFTY 50",
                b"SENSEX",
                b"SENSEX5025090950CE",
            ),
        ),
    }
    functions = ("markets.tickers.grammars:parse_ticker", "markets.tickers.grammars:parse_many")
    own = {
        "gdfl": "markets.tickers.gdfl:_read_other",
        "exchange": "markets.tickers.exchange:_read_weekly",
        "truedata": "markets.tickers.truedata:_read_other",
    }
    return Target(
        name=f"ticker-{grammar}", reads=(*functions, own[grammar]), check=check, form="text", seeds=seeds[grammar]
    )


def _auto(data: bytes) -> None:
    ticker = text_of(data)
    _check_contract(parse_auto(ticker, TRADE_DATE), ticker)


def _filename(data: bytes) -> None:
    name = text_of(data)
    ticker = ticker_from_filename(name)
    assert ticker in name.replace("\\", "/")
    assert "/" not in ticker


def _lengths(data: bytes) -> None:
    text = text_of(data)
    lengths = parse_lengths(text)
    assert lengths
    assert list(lengths) == sorted(set(lengths))
    assert all(seconds > 0 for seconds in lengths)
    assert parse_lengths(",".join(f"{seconds}s" for seconds in lengths if seconds < 10**6) or text) or True
    assert BarLengths.parse(text).seconds == lengths


def _resolution(data: bytes) -> None:
    assert resolution_seconds(text_of(data)) > 0


def _date(data: bytes) -> None:
    text = text_of(data)
    assert parse_date(text).isoformat() == text, "reads what is not written as YYYY-MM-DD"


def _instant(data: bytes) -> None:
    instant = parse_instant(text_of(data))
    assert instant.utcoffset() is not None
    assert parse_instant(instant.isoformat()) == instant
    instant.astimezone(dt.UTC)


def _age(data: bytes) -> None:
    age = parse_age(text_of(data))
    assert dt.timedelta() <= age <= dt.timedelta.max


def _known_names(data: bytes) -> None:
    text = text_of(data)
    assert all(name == name.strip() and name for name in split_names([text]))
    try:
        parse_source(text)
    except ConfigurationError:
        parse_dataset(text)


def _location(data: bytes) -> None:
    location = parse_location(text_of(data))
    if isinstance(location, S3Location):
        assert parse_s3(str(location)) == location
        assert ".." not in location.key.split("/")
        assert not set(location.bucket) & set("@:/")
    else:
        assert isinstance(location, Path)
        assert location.is_absolute()


def _catalog_key(data: bytes) -> None:
    month, underlying = split_catalog_key(text_of(data))
    first, last = month_dates(month)
    assert first.day == 1
    assert first <= last
    assert first.isoformat()[:7] == month
    assert underlying


def _lean_path(data: bytes) -> None:
    text = text_of(data)
    assert parse_path(text).path == text


_ENTRIES: Final = [(security, resolution) for security in SecurityType for resolution in Resolution]
_LINES: Final = [(*entry, tick) for entry in _ENTRIES for tick in TickType]


def _lean_entry(data: bytes) -> None:
    """Read the name of an entry; the first byte chooses the kind of data."""
    name = text_of(data[1:])
    entry = parse_entry(name, *_ENTRIES[(data[0] if data else 0) % len(_ENTRIES)])
    assert entry.ticker
    if entry.contract.strike is not None:
        assert entry.contract.strike >= 0


def _lean_line(data: bytes) -> None:
    """Read a line; the first byte chooses the kind of data."""
    try:
        parse_line(text_of(data[1:]), *_LINES[(data[0] if data else 0) % len(_LINES)])
    except KeyError as error:  # not every kind has ticks of every type: nothing asks for these
        assert error.args[0] in _LINES or True
        raise ConfigurationError("there are no such lines") from None


def _lean_clock(data: bytes) -> None:
    text = text_of(data)
    assert read_clock(text) >= dt.timedelta()


def _lean_date(data: bytes) -> None:
    text = text_of(data)
    assert f"{parse_lean_date(text, 'here'):%Y%m%d}".zfill(8) == text


def _pair(data: bytes) -> None:
    text = text_of(data)
    pair = split_pair(text)
    if pair is not None:
        assert all(part and part in text for part in pair)


def _address(data: bytes) -> None:
    address = parse_address(text_of(data))
    assert address.host
    assert 0 < address.port < 1 << 16
    again = f"[{address.host}]:{address.port}" if ":" in address.host else str(address)
    assert parse_address(again) == address


def _polygon_ticker(data: bytes) -> None:
    ticker = checked_ticker(text_of(data))
    assert ticker.isascii()
    assert not set(ticker) & set("/?#&% \n")


def _login(data: bytes) -> None:
    token = _token_of(text_of(data))
    assert token == token.strip()


def _nse_name(data: bytes) -> None:
    facts = read_names(text_of(data).split("/"))
    assert facts.trade_date is None or facts.trade_date.year >= 1900


_LEAN_LINE_SEEDS: Final = tuple(
    bytes([_LINES.index(kind)]) + line
    for kind, line in (
        ((SecurityType.EQUITY, Resolution.MINUTE, TickType.TRADE), b"33300000,1001000,1002000,1000500,1001500,1500"),
        ((SecurityType.EQUITY, Resolution.DAILY, TickType.TRADE), b"20250814 00:00,1001000,1002000,1000500,1001500,15"),
        (
            (SecurityType.OPTION, Resolution.MINUTE, TickType.QUOTE),
            b"33300000,1000,1100,900,1050,75,1010,1110,910,1060,150",
        ),
        ((SecurityType.OPTION, Resolution.MINUTE, TickType.OPEN_INTEREST), b"33300000,1500"),
        ((SecurityType.CRYPTO, Resolution.HOUR, TickType.TRADE), b"20250814 09:00,1.5,1.6,1.4,1.55,0.123"),
        ((SecurityType.EQUITY, Resolution.TICK, TickType.TRADE), b"33300000.5,1001000,75,,,0"),
    )
)

TARGETS: Final = (
    *(_ticker(grammar) for grammar in ("gdfl", "exchange", "truedata")),
    Target(
        name="ticker-auto",
        reads=("markets.tickers.grammars:parse_auto",),
        check=_auto,
        form="text",
        seeds=(b"NIFTY28AUG2524500CE.NFO", b"NIFTY25AUG24500CE", b"BANKBARODA250828256.65CE", b"NIFTY-I", b"SENSEX"),
    ),
    Target(
        name="ticker-in-file-name",
        reads=("markets.tickers.filenames:ticker_from_filename",),
        check=_filename,
        form="text",
        seeds=(b"a/ASHOKLEY25JUN25122.5CE.NFO.csv", b"NIFTY-I.NFO.CSV.gz", b"x\\y\\SENSEX.csv"),
    ),
    Target(
        name="bar-lengths",
        reads=("schema.lengths:parse_lengths", "cli.options:parse"),
        check=_lengths,
        form="text",
        seeds=(b"1m,5m,1h,1d", b"15s", b"999999d"),
        refusals=SAID,
    ),
    Target(
        name="backtrader-resolution",
        reads=("exports.backtrader.naming:resolution_seconds",),
        check=_resolution,
        form="text",
        seeds=(b"15s", b"1m", b"60m", b"1h", b"1d"),
    ),
    Target(
        name="cli-date",
        reads=("cli.options:parse_date",),
        check=_date,
        form="text",
        seeds=(b"2025-08-14", b"2024-02-29"),
        refusals=SAID,
    ),
    Target(
        name="cli-instant",
        reads=("cli.options:parse_instant",),
        check=_instant,
        form="text",
        seeds=(b"2025-08-14T18:00+05:30", b"2025-08-14T12:30:00.5Z", b"0001-01-01T00:00+14:00"),
        refusals=SAID,
    ),
    Target(
        name="cli-age",
        reads=("cli.maintenance:parse_age",),
        check=_age,
        form="text",
        seeds=(b"30d", b"6w", b"12m", b"5y", b"forever"),
        refusals=SAID,
    ),
    Target(
        name="cli-names",
        reads=("cli.options:parse_source", "cli.options:parse_dataset", "cli.importing:split_names"),
        check=_known_names,
        form="text",
        seeds=(b"nse_csv", b"zerodha", b"options_ticks", b"NIFTY,BANKNIFTY"),
    ),
    Target(
        name="storage-location",
        reads=("storage.locations:parse_location", "storage.locations:parse_s3"),
        check=_location,
        form="text",
        seeds=(b"s3://bucket/some/prefix", b"~/catalogs", b"/srv/catalogs", b"https://u:p@host/x", b"s3://k:s@b/x"),
    ),
    Target(
        name="catalog-partition-key",
        reads=("orchestration.partitions:split_catalog_key", "orchestration.partitions:month_dates"),
        check=_catalog_key,
        form="text",
        seeds=(b"2025-08|NIFTY", b"2024-02|M&M"),
    ),
    Target(
        name="lean-path",
        reads=("exports.lean.paths:parse_path", "exports.lean.paths:_parse_fine", "exports.lean.paths:_parse_coarse"),
        check=_lean_path,
        form="text",
        seeds=(
            b"equity/india/minute/reliance/20250814_trade.zip",
            b"equity/india/daily/reliance.zip",
            b"indexoption/india/minute/nifty/20250814_quote_european.zip",
            b"option/india/daily/m&m_2025_trade_american.zip",
            b"future/india/minute/nifty/20250814_openinterest.zip",
            b"crypto/binance/hour/btcusdt_trade.zip",
        ),
    ),
    Target(
        name="lean-entry",
        reads=("exports.lean.entries:parse_entry",),
        check=_lean_entry,
        form="binary",
        seeds=(
            bytes([_ENTRIES.index((SecurityType.EQUITY, Resolution.MINUTE))]) + b"20250814_reliance_minute_trade.csv",
            bytes([_ENTRIES.index((SecurityType.OPTION, Resolution.MINUTE))])
            + b"20250814_m&m_minute_trade_american_call_32000000_20250828.csv",
            bytes([_ENTRIES.index((SecurityType.FUTURE, Resolution.MINUTE))])
            + b"20250814_nifty_minute_trade_202508_20250828.csv",
        ),
    ),
    Target(
        name="lean-line",
        reads=(
            *("exports.lean.lines:parse_line", "exports.lean.lines:_parse_tick", "exports.lean.lines:_parse_prices"),
            "exports.lean.lines:_parse_time",
        ),
        check=_lean_line,
        form="binary",
        seeds=_LEAN_LINE_SEEDS,
    ),
    Target(
        name="lean-clock",
        reads=("exports.lean.market_hours:read_clock",),
        check=_lean_clock,
        form="text",
        seeds=(b"09:15:00", b"1.00:00:00"),
    ),
    Target(
        name="lean-date",
        reads=("exports.lean.paths:parse_date",),
        check=_lean_date,
        form="text",
        seeds=(b"20250814",),
    ),
    Target(
        name="pair-name",
        reads=("migration.naming:split_pair",),
        check=_pair,
        form="text",
        seeds=(b"BTC/USDT", b"BTC-USDT", b"BTC/USDT:USDT"),
    ),
    Target(
        name="interactive-brokers-address",
        reads=("sources.interactive_brokers.connecting:parse_address",),
        check=_address,
        form="text",
        seeds=(b"127.0.0.1:7497", b"[::1]:4001", b"tws.example:4002"),
    ),
    Target(
        name="polygon-ticker",
        reads=("sources.polygon.tickers:checked_ticker",),
        check=_polygon_ticker,
        form="text",
        seeds=(b"AAPL", b"BRK.B", b"I:SPX"),
    ),
    Target(
        name="zerodha-login-address",
        reads=("sources.zerodha.login:_token_of",),
        check=_login,
        form="text",
        seeds=(b"https://127.0.0.1/?request_token=abc123&action=login&status=success", b" abc123 "),
    ),
    Target(
        name="nse_csv-file-name",
        reads=("sources.nse_csv.products:read_names", "sources.nse_csv.products:_read_name"),
        check=_nse_name,
        form="text",
        seeds=(
            *(b"GFDLNFO_BACKADJUSTED_14082025.csv", b"fo14AUG2025bhav.csv.zip", b"2025/AUG/cm14AUG2025bhav.csv"),
            b"BhavCopy_NSE_FO_0_0_0_20250814_F_0000.csv",
            b"GFDLCM_INDICES_01012019.csv",
            b"20250814/NIFTY-I.csv",
        ),
    ),
)
