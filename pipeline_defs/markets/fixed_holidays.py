"""Exchange holidays that fall on a computable date, for years whose holiday circular is not out yet.

Only what every circular since 2000 has kept belongs here: the fixed dates and Good Friday. Festivals by the
lunar calendar are announced year by year and cannot be computed.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

FIXED_DAYS: Final = (
    (1, 26, "Republic Day"),
    (4, 14, "Dr. Baba Saheb Ambedkar Jayanti"),
    (5, 1, "Maharashtra Day"),
    (8, 15, "Independence Day"),
    (10, 2, "Mahatma Gandhi Jayanti"),
    (12, 25, "Christmas"),
)
"""Month, day and name of the holidays that never move."""

_FIRST_WEEKEND_DAY: Final = 5


def fixed_holidays(year: int) -> dict[dt.date, str]:
    """List the weekday holidays of a year that are known without a circular.

    Parameters
    ----------
    year : int
        Calendar year, Gregorian.

    Returns
    -------
    dict of datetime.date to str
        Day to name, ascending; days that fall on a weekend are left out.

    """
    days = {dt.date(year, month, day): name for month, day, name in FIXED_DAYS}
    days[easter_sunday(year) - dt.timedelta(days=2)] = "Good Friday"
    return {day: days[day] for day in sorted(days) if day.weekday() < _FIRST_WEEKEND_DAY}


def easter_sunday(year: int) -> dt.date:
    """Compute Easter Sunday of the western churches.

    The anonymous Gregorian computus (Meeus, Astronomical Algorithms, chapter 8), valid for every Gregorian year.

    Parameters
    ----------
    year : int
        Calendar year, Gregorian.

    Returns
    -------
    datetime.date

    """
    golden = year % 19
    century, year_of_century = divmod(year, 100)
    leap_centuries, century_rest = divmod(century, 4)
    lunar_correction = (century - (century + 8) // 25 + 1) // 3
    epact = (19 * golden + century - leap_centuries - lunar_correction + 15) % 30
    leap_years, year_rest = divmod(year_of_century, 4)
    weekday = (32 + 2 * century_rest + 2 * leap_years - epact - year_rest) % 7
    exception = (golden + 11 * epact + 22 * weekday) // 451
    month, day = divmod(epact + weekday - 7 * exception + 114, 31)
    return dt.date(year, month, day + 1)
