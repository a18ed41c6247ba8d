"""The ticker inside a file name of a vendor that writes one file per instrument."""

from __future__ import annotations


def ticker_from_filename(name: str) -> str:
    """Take the ticker out of a file name.

    Only ``.gz`` and then ``.csv`` go, in any case: every other dot belongs to the ticker, be it the one of
    a half strike (``ASHOKLEY25JUN25122.5CE.NFO.csv``) or of a venue suffix.

    Parameters
    ----------
    name : str
        File or archive member name, with or without folders.

    Returns
    -------
    str
        The ticker, unchecked.

    """
    base = name.replace("\\", "/").rpartition("/")[2]
    if base.lower().endswith(".gz"):
        base = base[:-3]
    return base[:-4] if base.lower().endswith(".csv") else base
