"""What a strategy asks of the warehouse: `DataPortal`.

Here belongs reading for those who trade on it, now and looking back, and never ahead. What belongs elsewhere: how data
comes in (`sources`, `warehouse.loading`), exports for engines (`exports`), and engines themselves: `algorithm` is an
example runner.
"""

from pipeline_defs.portal.clocks import SimulationClock, WallClock
from pipeline_defs.portal.errors import LookAheadError, PortalError, StaleDataError, UnknownSymbolError
from pipeline_defs.portal.finding import AssetFinder
from pipeline_defs.portal.instruments import Instrument
from pipeline_defs.portal.portal import DataPortal

__all__ = [
    "AssetFinder",
    "DataPortal",
    "Instrument",
    "LookAheadError",
    "PortalError",
    "SimulationClock",
    "StaleDataError",
    "UnknownSymbolError",
    "WallClock",
]
