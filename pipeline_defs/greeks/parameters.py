"""What is chosen, not measured: how the forward is found, how old a price may be, rates of one's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pipeline_defs.errors import ConfigurationError

FORWARD_METHODS: Final = {
    "future": "black_76",
    "parity": "black_76",
    "spot": "black_scholes_merton",
}
"""How the forward is found, and the model whose Greeks follow from it.

``future``: the price of the future that expires with the option, or of the next one, carried back to the option's
expiry at rate less yield. ``parity``: put-call parity of the pair closest to the money, of the same expiry, in the same
bar. ``spot``: the spot price, carried forward at rate less yield; Greeks are by the spot.
"""

_LARGEST: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GreeksParameters:
    """Choices that are stored with every row.

    Parameters
    ----------
    forward_method : str, default "future"
        One of `FORWARD_METHODS`.
    max_underlying_age_seconds : int, default 60
        An older price of the underlying is none.
    rate : float or None, default None
        Interest rate a year, continuously compounded, in place of the table `interest_rates`.
    dividend_yield : float or None, default None
        Continuous yield a year, in place of the table `dividend_yields`.

    Raises
    ------
    ConfigurationError
        If a choice is none of these, negative, or a rate or yield is not between -1 and 1.

    """

    forward_method: str = "future"
    max_underlying_age_seconds: int = 60
    rate: float | None = None
    dividend_yield: float | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if self.forward_method not in FORWARD_METHODS:
            raise ConfigurationError(
                f"no forward method {self.forward_method!r}, expected one of {', '.join(FORWARD_METHODS)}"
            )
        if self.max_underlying_age_seconds < 0:
            raise ConfigurationError(
                f"max_underlying_age_seconds is {self.max_underlying_age_seconds}, expected 0 or more"
            )
        for name in ("rate", "dividend_yield"):
            value = getattr(self, name)
            if value is not None and not -_LARGEST < value < _LARGEST:
                raise ConfigurationError(
                    f"{name} is {value}, expected a fraction a year between -1 and 1",
                    next_step="write 6.5 percent as 0.065",
                )

    @property
    def model(self) -> str:
        """Model of the Greeks."""
        return FORWARD_METHODS[self.forward_method]
