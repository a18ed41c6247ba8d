"""What a run writes to the output of its process: text for people, or lines that a program reads."""

import logging
import os
import sys

import dagster as dg
from dagster._core.execution import context_creation_job as runs

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.settings import FORMAT_VARIABLE, JSON


def choose_format() -> None:
    """Have the runs of this process write JSON lines if ``PIPELINE_LOG_FORMAT`` says so.

    Loggers of definitions count only for runs whose configuration names them; all others get Dagster's coloured text,
    without a setting to change it. So its default is replaced, before any run begins.

    Raises
    ------
    ConfigurationError
        If the variable is neither ``json`` nor ``text``.

    """
    wanted = os.environ.get(FORMAT_VARIABLE) or "text"
    if wanted not in {"text", JSON}:
        raise ConfigurationError(f"{FORMAT_VARIABLE} is {wanted!r}, expected text or {JSON}")
    if wanted == JSON:
        runs.default_system_loggers = _json_instead  # type: ignore[attr-defined]  # imported there, and looked up anew


def _json_instead(
    instance: dg.DagsterInstance | None,
) -> list[tuple[dg.LoggerDefinition, dict[str, object]]]:
    level = (instance.python_log_level if instance else None) or "DEBUG"
    return [(json_lines, {"name": "dagster", "log_level": level})]


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
