"""What a run writes to the output of its process: text for people, or lines that a program reads."""

import logging
import os
import sys

import dagster as dg

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.settings import FORMAT_VARIABLE, JSON


def build_loggers() -> dict[str, dg.LoggerDefinition]:
    """Give the loggers of every run, by name.

    Returns
    -------
    dict of str to dagster.LoggerDefinition
        Nothing, which is Dagster's coloured text, unless ``PIPELINE_LOG_FORMAT`` is ``json``.

    Raises
    ------
    ConfigurationError
        If it is neither ``json`` nor ``text``.

    """
    wanted = os.environ.get(FORMAT_VARIABLE) or "text"
    if wanted not in {"text", JSON}:
        raise ConfigurationError(f"{FORMAT_VARIABLE} is {wanted!r}, expected text or {JSON}")
    return {"console": json_lines} if wanted == JSON else {}


@dg.logger(
    description="One JSON object a line, without secrets.",
    config_schema={
        "log_level": dg.Field(str, default_value="DEBUG", description="Below it nothing is written."),
        "name": dg.Field(str, default_value="dagster", description="Who says it."),
    },
)
def json_lines(context: dg.InitLoggerContext) -> logging.Logger:
    """Make the logger."""
    from pipeline_defs.operations.logs import JsonLines  # noqa: PLC0415 -- only where lines are parsed

    level = context.logger_config["log_level"].upper()
    logger = logging.getLoggerClass()(context.logger_config["name"], level=level)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logger.addHandler(handler)
    return logger
