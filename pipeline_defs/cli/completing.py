"""What a shell offers for a value: names that are known without a database, a network or an adapter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, get_args, get_origin, get_type_hints

from typer.models import OptionInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import typer


def complete_source(incomplete: str) -> list[str]:
    """Offer the sources, also when underscores are typed."""
    from pipeline_defs.sources.registry import FURTHER_SOURCES, SOURCES  # noqa: PLC0415 -- keeps --help quick

    separator = "_" if "_" in incomplete else "-"
    return _beginning(incomplete, (name.replace("_", separator) for name in SOURCES | FURTHER_SOURCES))


def complete_format(incomplete: str) -> list[str]:
    """Offer the export formats."""
    from pipeline_defs.exports.registry import EXPORTERS, FURTHER_EXPORTERS  # noqa: PLC0415 -- keeps --help quick

    return _beginning(incomplete, EXPORTERS | FURTHER_EXPORTERS)


def complete_dataset(incomplete: str) -> list[str]:
    """Offer the tables of observations."""
    from pipeline_defs.sources.entry import OBSERVED_TABLES  # noqa: PLC0415 -- keeps --help quick

    return _beginning(incomplete, OBSERVED_TABLES)


def complete_underlying(incomplete: str) -> list[str]:
    """Offer the underlyings of published catalogs; which others the database holds, it would have to be started for."""
    from pipeline_defs.settings import load_settings  # noqa: PLC0415 -- keeps --help quick

    folders = load_settings().catalogs_dir.glob("*/*")
    return _beginning(incomplete, {path.name for path in folders if path.is_dir() and not path.name.startswith(".")})


OFFERED: Final[dict[str, Callable[[str], list[str]]]] = {
    "--source": complete_source,
    "--left": complete_source,
    "--right": complete_source,
    "--format": complete_format,
    "--dataset": complete_dataset,
    "--table": complete_dataset,
    "--underlying": complete_underlying,
}
"""Option to what it is offered, in every command that has it."""


def offer_values(commands: typer.Typer) -> None:
    """Let a shell complete the values of the options in `OFFERED`; of a closed list of choices typer knows itself.

    Parameters
    ----------
    commands : typer.Typer
        With all commands registered.

    """
    for command in commands.registered_commands:
        if command.callback is not None:
            _offer(command.callback)
    for group in commands.registered_groups:
        if group.typer_instance is not None:
            offer_values(group.typer_instance)


def _offer(command: Callable[..., object]) -> None:
    hints = get_type_hints(command, include_extras=True)
    for annotation in hints.values():
        if get_origin(annotation) is not Annotated or "Literal[" in str(get_args(annotation)[0]):
            continue
        for told in get_args(annotation)[1:]:
            if isinstance(told, OptionInfo) and told.autocompletion is None:
                # In an annotation, the first name of an option stands where its default does elsewhere.
                names = (told.default, *(told.param_decls or ()))
                told.autocompletion = next((OFFERED[name] for name in names if name in OFFERED), None)
    # In place of their texts, which typer would evaluate anew.
    command.__annotations__ = hints


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return sorted(name for name in names if name.startswith(incomplete))
