"""Which notifiers there are, and which are switched on: ``PIPELINE_ALERTS``, names separated by commas.

Another package brings one of its own by an entry point of the group ``market_data_pipeline.notifiers``, whose name is
that of its class. One that is not well is told where it was switched on, and takes no other one down.
"""

from __future__ import annotations

import importlib
import os
from importlib.metadata import entry_points
from typing import Final

from pipeline_defs.alerting.notifier import Notifier
from pipeline_defs.errors import ConfigurationError, PipelineError

VARIABLE: Final = "PIPELINE_ALERTS"
GROUP: Final = "market_data_pipeline.notifiers"

NOTIFIERS: Final = {
    "log": "pipeline_defs.alerting.log_file:LogFileNotifier",
    "mail": "pipeline_defs.alerting.mail:MailNotifier",
    "webhook": "pipeline_defs.alerting.webhook:WebhookNotifier",
}
"""Our own, by name."""

DEFAULT: Final = "log"
OFF: Final = "off"


def chosen_names() -> list[str]:
    """Read which notifiers are switched on.

    Returns
    -------
    list of str
        In the order written; empty for ``off``.

    """
    names = [name.strip() for name in (os.environ.get(VARIABLE) or DEFAULT).split(",")]
    return [name for name in dict.fromkeys(names) if name and name != OFF]


def make_notifier(name: str) -> Notifier:
    """Make a notifier.

    Parameters
    ----------
    name : str
        One of ours, or of an installed package.

    Returns
    -------
    Notifier

    Raises
    ------
    ConfigurationError
        If there is none of that name, two packages bring it, it cannot be loaded, or lacks a setting.

    """
    if name in NOTIFIERS:
        module, _, class_name = NOTIFIERS[name].partition(":")
        made: object = getattr(importlib.import_module(module), class_name)()
    else:
        made = _of_package(name)
    if not isinstance(made, Notifier):
        raise ConfigurationError(f"notifier {name} is {type(made).__name__}, expected a Notifier", where=VARIABLE)
    return made


def _of_package(name: str) -> object:
    points = [point for point in entry_points(group=GROUP) if point.name == name]
    if not points:
        others = {point.name for point in entry_points(group=GROUP)}
        raise ConfigurationError(
            f"no notifier {name!r}, expected one of {', '.join(sorted({*NOTIFIERS, *others}))}, or {OFF}",
            where=VARIABLE,
            next_step="check the spelling",
        )
    packages = sorted("an unknown package" if point.dist is None else point.dist.name for point in points)
    if len(points) > 1:
        raise ConfigurationError(
            f"the packages {' and '.join(packages)} both bring a notifier {name!r}", next_step="remove one of them"
        )
    try:
        return points[0].load()()
    except PipelineError:
        raise
    except Exception as error:
        raise ConfigurationError(
            f"cannot be made: {type(error).__name__}",
            where=f"notifier {name} of the package {packages[0]}",
            next_step="mend or remove that package; the other notifiers work without it",
        ) from error
