"""The exchange's end-of-day files: derivatives and cash, the old layouts and UDiFF.

Daily values are folded from the minutes of the same day, so that both can be checked against each
other. Contracts that did not trade have zeros for open, high and low, and a close all the same.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.samples.delivery import Delivery, shortest_text, two_decimals
from pipeline_defs.samples.prices import PRICE_SCALE
from pipeline_defs.samples.underlyings import UNDERLYINGS

if TYPE_CHECKING:
    from pipeline_defs.samples.market import MarketDay

UDIFF_FIELDS: Final = (
    *("TradDt", "BizDt", "Sgmt", "Src", "FinInstrmTp", "FinInstrmId", "ISIN", "TckrSymb", "SctySrs", "XpryDt"),
    *("FininstrmActlXpryDt", "StrkPric", "OptnTp", "FinInstrmNm", "OpnPric", "HghPric", "LwPric", "ClsPric"),
    *("LastPric", "PrvsClsgPric", "UndrlygPric", "SttlmPric", "OpnIntrst", "ChngInOpnIntrst", "TtlTradgVol"),
    *("TtlTrfVal", "TtlNbOfTxsExctd", "SsnId", "NewBrdLotQty", "Rmks", "Rsvd1", "Rsvd2", "Rsvd3", "Rsvd4"),
)
OLD_DERIVATIVES_FIELDS: Final = (
    *("INSTRUMENT", "SYMBOL", "EXPIRY_DT", "STRIKE_PR", "OPTION_TYP", "OPEN", "HIGH", "LOW", "CLOSE", "SETTLE_PR"),
    *("CONTRACTS", "VAL_INLAKH", "OPEN_INT", "CHG_IN_OI", "TIMESTAMP", ""),
)
OLD_CASH_FIELDS: Final = (
    *("SYMBOL", "SERIES", "OPEN", "HIGH", "LOW", "CLOSE", "LAST", "PREVCLOSE", "TOTTRDQTY", "TOTTRDVAL"),
    *("TIMESTAMP", "TOTALTRADES", "ISIN", ""),
)
_PAISE: Final = PRICE_SCALE // 100
_RUPEES_IN_A_LAKH: Final = 100_000
_UNITS_A_TRADE: Final = 3
"""Of shares; how many trades a contract had is not modelled beyond the minutes in which it traded."""

_OTHER_SECURITIES: Final = (
    # symbol, series, ISIN, name, previous close, open, high, low, close (paise), volume
    ("018GS2026", "GS", "IN0020110063", "GOI LOAN 10.18% 2026", 11_045, 11_125, 11_125, 10_795, 10_890, 296),
    ("GSFC", "BE", "INE026A01025", "GUJARAT STATE FERT & CHEM", 19_840, 19_900, 20_115, 19_655, 20_070, 8_134),
    ("SGBJUN28", "GB", "IN0020200104", "2.5%GOLDBONDS2028SR-III", 1_022_245, 0, 0, 0, 1_022_245, 0),
)
"""Securities besides the sample market's shares: a bond, a share settled trade for trade, one without a trade."""


def derivatives_udiff(day: MarketDay) -> Delivery:
    """Lay out derivatives in UDiFF: names by the exchange, volume in contracts, open interest in units."""
    daily = _derivatives_daily(day)
    is_index = pl.col("spot_kind") == "SPOT"
    instrument = (
        pl.when(pl.col("kind") == "FUT")
        .then(pl.when(is_index).then(pl.lit("IDF")).otherwise(pl.lit("STF")))
        .otherwise(pl.when(is_index).then(pl.lit("IDO")).otherwise(pl.lit("STO")))
    )
    codes = [str(zlib.crc32(symbol.encode()) % 900_000 + 1_000) for symbol in daily["exchange_symbol"]]
    text = daily.select(
        TradDt=pl.lit(str(day.trade_date)),
        BizDt=pl.lit(str(day.trade_date)),
        Sgmt=pl.lit("FO"),
        Src=pl.lit("NSE"),
        FinInstrmTp=instrument,
        FinInstrmId=pl.Series(codes, dtype=pl.String),
        ISIN=pl.lit(""),
        TckrSymb=pl.col("underlying"),
        SctySrs=pl.lit(""),
        XpryDt=pl.col("expiry").cast(pl.String),
        FininstrmActlXpryDt=pl.col("expiry").cast(pl.String),
        StrkPric=pl.when(pl.col("kind") == "OPT")
        .then(two_decimals(daily["strike_e4"].fill_null(0)))
        .otherwise(pl.lit("")),
        OptnTp=pl.col("option_type").fill_null(""),
        FinInstrmNm=pl.col("exchange_symbol"),
        OpnPric=two_decimals(daily["open"]),
        HghPric=two_decimals(daily["high"]),
        LwPric=two_decimals(daily["low"]),
        ClsPric=two_decimals(daily["close"]),
        LastPric=two_decimals(daily["last"]),
        PrvsClsgPric=two_decimals(daily["previous_close"]),
        UndrlygPric=two_decimals(daily["spot_close"]),
        SttlmPric=two_decimals(daily["settlement"]),
        OpnIntrst=pl.col("closing_open_interest").cast(pl.String),
        ChngInOpnIntrst=pl.col("open_interest_change").cast(pl.String),
        TtlTradgVol=pl.col("lots").cast(pl.String),
        TtlTrfVal=two_decimals(daily["turnover"]),
        TtlNbOfTxsExctd=pl.col("trades").cast(pl.String),
        SsnId=pl.lit("F1"),
        NewBrdLotQty=pl.col("lot_size").cast(pl.String),
    )
    return _daily_delivery(
        "fo_bhavcopy", f"BhavCopy_NSE_FO_0_0_0_{day.trade_date:%Y%m%d}_F_0000.csv", UDIFF_FIELDS, text
    )


def derivatives_old(day: MarketDay) -> Delivery:
    """Lay out derivatives as published until July 2024, with a trailing comma."""
    daily = _derivatives_daily(day)
    is_option = pl.col("kind") == "OPT"
    instrument = pl.concat_str(
        pl.when(is_option).then(pl.lit("OPT")).otherwise(pl.lit("FUT")),
        pl.when(pl.col("spot_kind") == "SPOT").then(pl.lit("IDX")).otherwise(pl.lit("STK")),
    )
    text = daily.select(
        INSTRUMENT=instrument,
        SYMBOL=pl.col("underlying"),
        EXPIRY_DT=pl.col("expiry").dt.to_string("%d-%b-%Y"),
        STRIKE_PR=shortest_text(daily["strike_e4"].fill_null(0)),
        OPTION_TYP=pl.col("option_type").fill_null("XX"),
        OPEN=shortest_text(daily["open"]),
        HIGH=shortest_text(daily["high"]),
        LOW=shortest_text(daily["low"]),
        CLOSE=shortest_text(daily["close"]),
        SETTLE_PR=shortest_text(daily["settlement"]),
        CONTRACTS=pl.col("lots").cast(pl.String),
        VAL_INLAKH=shortest_text(daily["turnover"] // _RUPEES_IN_A_LAKH // _PAISE * _PAISE),
        OPEN_INT=pl.col("closing_open_interest").cast(pl.String),
        CHG_IN_OI=pl.col("open_interest_change").cast(pl.String),
        TIMESTAMP=pl.lit(f"{day.trade_date:%d-%b-%Y}".upper()),
    )
    name = f"fo{f'{day.trade_date:%d%b%Y}'.upper()}bhav.csv"
    return _daily_delivery("fo_bhavcopy", name, OLD_DERIVATIVES_FIELDS, text)


def cash_udiff(day: MarketDay) -> Delivery:
    """Lay out the cash market in UDiFF: shares, bonds and one security that did not trade."""
    daily = _cash_daily(day)
    codes = [str(zlib.crc32(isin.encode()) % 30_000 + 100) for isin in daily["isin"]]
    text = daily.select(
        TradDt=pl.lit(str(day.trade_date)),
        BizDt=pl.lit(str(day.trade_date)),
        Sgmt=pl.lit("CM"),
        Src=pl.lit("NSE"),
        FinInstrmTp=pl.lit("STK"),
        FinInstrmId=pl.Series(codes, dtype=pl.String),
        ISIN=pl.col("isin"),
        TckrSymb=pl.col("symbol"),
        SctySrs=pl.col("series"),
        FinInstrmNm=pl.col("full_name"),
        OpnPric=two_decimals(daily["open"]),
        HghPric=two_decimals(daily["high"]),
        LwPric=two_decimals(daily["low"]),
        ClsPric=two_decimals(daily["close"]),
        LastPric=two_decimals(daily["close"]),
        PrvsClsgPric=two_decimals(daily["previous_close"]),
        SttlmPric=two_decimals(daily["close"]),
        TtlTradgVol=pl.col("volume").cast(pl.String),
        TtlTrfVal=two_decimals(daily["turnover"]),
        TtlNbOfTxsExctd=(pl.col("volume") // _UNITS_A_TRADE).cast(pl.String),
        SsnId=pl.lit("F1"),
        NewBrdLotQty=pl.lit("1"),
    )
    return _daily_delivery(
        "cm_bhavcopy", f"BhavCopy_NSE_CM_0_0_0_{day.trade_date:%Y%m%d}_F_0000.csv", UDIFF_FIELDS, text
    )


def cash_old(day: MarketDay) -> Delivery:
    """Lay out the cash market as published until July 2024, with a trailing comma."""
    daily = _cash_daily(day)
    text = daily.select(
        SYMBOL=pl.col("symbol"),
        SERIES=pl.col("series"),
        OPEN=shortest_text(daily["open"]),
        HIGH=shortest_text(daily["high"]),
        LOW=shortest_text(daily["low"]),
        CLOSE=shortest_text(daily["close"]),
        LAST=shortest_text(daily["close"]),
        PREVCLOSE=shortest_text(daily["previous_close"]),
        TOTTRDQTY=pl.col("volume").cast(pl.String),
        TOTTRDVAL=shortest_text(daily["turnover"]),
        TIMESTAMP=pl.lit(f"{day.trade_date:%d-%b-%Y}".upper()),
        TOTALTRADES=(pl.col("volume") // _UNITS_A_TRADE).cast(pl.String),
        ISIN=pl.col("isin"),
    )
    return _daily_delivery("cm_bhavcopy", f"cm{f'{day.trade_date:%d%b%Y}'.upper()}bhav.csv", OLD_CASH_FIELDS, text)


def _derivatives_daily(day: MarketDay) -> pl.DataFrame:
    """Fold minutes into one row per listed contract, prices in 1/10,000 rupee."""
    strike = pl.col("strike_e4").fill_null(0)
    bars = day.bars.join(
        day.contracts.select("contract", "strike_e4"), on="contract", how="left", maintain_order="left"
    )
    folded = bars.group_by("contract").agg(
        *_fold(), turnover=((pl.col("close") + strike) * pl.col("volume")).sum(), trades=pl.len()
    )
    spots = pl.DataFrame(
        {
            "underlying": list(day.spot_paths),
            "spot_close": [day.spot_close_e4(symbol) for symbol in day.spot_paths],
            "spot_kind": [UNDERLYINGS[symbol].kind for symbol in day.spot_paths],
        }
    )
    expires_today = pl.col("expiry") == day.trade_date
    return (
        day.contracts.join(folded, on="contract", how="left", maintain_order="left")
        .join(spots, on="underlying", how="left", maintain_order="left")
        .with_columns(
            pl.col("open", "high", "low", "volume", "turnover", "trades").fill_null(0),
            last=pl.col("close").fill_null(0),
        )
        .with_columns(
            close=pl.coalesce("close", "previous_close_e4", "settlement_e4"),
            previous_close=pl.coalesce("previous_close_e4", "settlement_e4"),
            # On its last day an option settles at the underlying, and the exchange prints that.
            settlement=pl.when(expires_today).then("spot_close").otherwise("settlement_e4"),
            open_interest_change=pl.col("closing_open_interest") - pl.col("previous_open_interest").fill_null(0),
            lots=pl.col("volume") // pl.col("lot_size"),
        )
    )


def _cash_daily(day: MarketDay) -> pl.DataFrame:
    """Fold the shares' minutes into days, and add securities of other series."""
    shares = [UNDERLYINGS[symbol] for symbol in day.spot_paths if UNDERLYINGS[symbol].kind == "EQ"]
    terms = pl.DataFrame(
        {
            "symbol": [share.symbol for share in shares],
            "series": ["EQ"] * len(shares),
            "isin": [share.isin for share in shares],
            "full_name": [share.full_name for share in shares],
            "previous_close": [round(day.previous_spot_closes[share.symbol] * PRICE_SCALE) for share in shares],
        },
        schema_overrides={
            "previous_close": pl.Int64,
            **dict.fromkeys(("symbol", "series", "isin", "full_name"), pl.String),
        },
    )
    folded = day.spot_bars.group_by("symbol").agg(*_fold(), turnover=(pl.col("close") * pl.col("volume")).sum())
    traded = terms.join(folded, on="symbol", how="left")
    others = (
        pl.DataFrame(_OTHER_SECURITIES, schema=traded.columns[:-1], orient="row")
        .with_columns(pl.col("previous_close", "open", "high", "low", "close") * _PAISE)
        .with_columns(turnover=pl.col("close") * pl.col("volume"))
    )
    return pl.concat([others, traded]).sort("symbol", "series")


def _fold() -> list[pl.Expr]:
    return [
        pl.col("open").first(),
        pl.col("high").max(),
        pl.col("low").min(),
        pl.col("close").last(),
        pl.col("volume").sum(),
    ]


def _daily_delivery(product: str, name: str, fields: tuple[str, ...], text: pl.DataFrame) -> Delivery:
    """One member in its own zip; columns that were not filled are empty, as the exchange leaves them."""
    missing = [field for field in fields if field not in text.columns]
    rows = text.with_columns(pl.lit("").alias(field) for field in missing)
    return Delivery(
        product=product,
        names=(name,),
        header=",".join(fields),
        fields=fields,
        rows=rows.with_columns(file=pl.lit(0, pl.UInt32)),
        bar_seconds=86_400,
        archives=(f"{name}.zip",),
    )
