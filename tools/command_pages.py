"""The page of the command line, made of the ``pipeline`` command itself: every command, option, default and choice."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


def root_command() -> Any:  # noqa: ANN401 -- typer brings its own copy of click, whose classes are no public names
    """Give the ``pipeline`` command as an object that knows its options and its subcommands."""
    import typer  # noqa: PLC0415 -- with the command line

    from pipeline_defs.cli import main  # noqa: PLC0415 -- loads every command

    return typer.main.get_command(main.commands)


def commands_markdown() -> str:
    """Describe every command, those in groups under their group.

    Returns
    -------
    str
        Markdown, headings of the second level and below.

    """
    return "\n".join(_lines(root_command(), ("pipeline",), level=2)) + "\n"


def leaf_commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:  # noqa: ANN401
    """List the commands that do something, with their full names."""
    subcommands = getattr(command, "commands", None)
    if subcommands is None:
        yield path, command
        return
    for name, subcommand in sorted(subcommands.items()):
        if not subcommand.hidden:
            yield from leaf_commands(subcommand, (*path, name))


def _lines(command: Any, path: tuple[str, ...], level: int) -> Iterator[str]:  # noqa: ANN401
    for name, subcommand in sorted(command.commands.items()):
        if subcommand.hidden:
            continue
        full = (*path, name)
        yield from (f"{'#' * level} `{' '.join(full)}`", "")
        if subcommand.help:
            yield from (_paragraphs(subcommand.help), "")
        if getattr(subcommand, "commands", None) is not None:
            yield from _lines(subcommand, full, level + 1)
            continue
        yield from ("```text", " ".join((*full, *_usage(subcommand))), "```", "")
        options = [parameter for parameter in subcommand.params if not getattr(parameter, "hidden", False)]
        if options:
            yield from ("| | |", "|---|---|")
            yield from (f"| {_names(subcommand, option)} | {_meaning(option)} |" for option in options)
            yield ""


def _paragraphs(text: str) -> str:
    """Undo the line breaks within paragraphs; a form feed ends what is meant for people."""
    paragraphs = re.split(r"\n\s*\n", text.partition("\f")[0].replace("\b", "").strip())
    return "\n\n".join(_escaped(" ".join(paragraph.split())) for paragraph in paragraphs)


def _usage(command: Any) -> Iterator[str]:  # noqa: ANN401
    needed = [parameter for parameter in command.params if parameter.required]
    for parameter in needed:
        if parameter.param_type_name == "option":
            yield f"{max(parameter.opts, key=len)} {_value(command, parameter)}"
    if len(needed) < len(command.params):
        yield "[OPTIONS]"
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            name = (parameter.metavar or parameter.name).upper()
            yield name if parameter.required else f"[{name}]"


def _names(command: Any, parameter: Any) -> str:  # noqa: ANN401
    if parameter.param_type_name == "argument":
        return f"`{(parameter.metavar or parameter.name).upper()}`"
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    value = _value(command, parameter).replace("|", "\\|")  # it would end the cell
    return names if parameter.is_flag or parameter.count else f"{names} `{value}`"


def _value(command: Any, parameter: Any) -> str:  # noqa: ANN401
    """Name the kind of value, as the command's own help does."""
    context = command.make_context("", [], resilient_parsing=True)
    return str(parameter.metavar or parameter.display_type(context))


def _meaning(parameter: Any) -> str:  # noqa: ANN401
    parts = [_escaped(" ".join((getattr(parameter, "help", None) or "").split()))]
    default = parameter.default
    if parameter.required:
        parts.append("Required.")
    elif isinstance(default, (str, int, float)) and not isinstance(default, bool) and default != "":
        parts.append(f"Default: `{default}`.")
    if getattr(parameter, "multiple", False):
        parts.append("May be repeated.")
    return " ".join(part for part in parts if part)


def _escaped(text: str) -> str:
    """Keep Markdown and HTML from reading what is meant as it stands."""
    return re.sub(r"([\\|<>*_\[\]])", r"\\\1", text)
