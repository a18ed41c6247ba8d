"""Command lines of the pages, held against the programs they call: `pipeline`, `dagster`, `make`, our own scripts."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import click  # Dagster's command line is made with it
import typer

from pipeline_defs.errors import PipelineError
from pipeline_defs.settings import PROJECT_ROOT

if TYPE_CHECKING:
    from pipeline_tests.docs.blocks import Block

_ASSIGNMENT: Final = re.compile(r"^[A-Z][A-Z0-9_]*=")
FOREIGN: Final = frozenset(
    {".", "cat", "cd", "celery", "cp", "docker", "echo", "git", "install", "kubectl", "lean", "make-secrets.sh",
     "mkdir", "pip", "printf", "psql", "rustybt", "systemctl", "systemd-analyze", "systemd-run", "useradd"}
)  # fmt: skip
"""Programs of others, of which nothing is known here."""

_DAGSTER: Final = {
    "dagster": ("dagster._cli", "cli"),
    "dagster-daemon": ("dagster._daemon.cli", "cli"),
    "dagster-webserver": ("dagster_webserver.cli", "cli"),
}


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A command of a block.

    Parameters
    ----------
    place : str
        File and line.
    environment : dict of str to str
        Variables that are set for it alone.
    words : list of str
        Program and arguments.
    output : str or None
        What the page shows after it; None if the block shows commands only.

    """

    place: str
    environment: dict[str, str]
    words: list[str]
    output: str | None

    @property
    def program(self) -> str:
        """Name the program without its folder."""
        return self.words[0].rpartition("/")[2]


def commands_of(block: Block) -> list[CommandLine]:
    """Take the commands out of an ``sh`` or a ``console`` block; in the latter they begin with a dollar sign."""
    if block.language == "sh":
        return [one for line, text in _joined(block) for one in _split(f"{block.page}:{line}", text, None)]
    found: list[CommandLine] = []
    shown: list[str] = []
    pending: tuple[int, str] | None = None
    for line, text in [*_joined(block), (0, "$ ")]:
        if not text.startswith("$ "):
            shown.append(text)
            continue
        if pending is not None:
            output = "".join(f"{one}\n" for one in shown)
            found += _split(f"{block.page}:{pending[0]}", pending[1], output)
        elif shown:
            raise ValueError(f"{block}: a console block begins with a command: '$ …'")
        pending, shown = (line, text.removeprefix("$ ")), []
    return found


def _joined(block: Block) -> list[tuple[int, str]]:
    """Give the lines with their numbers, those that end in a backslash together with what follows."""
    found: list[tuple[int, str]] = []
    continued = False
    for number, line in enumerate(block.text.splitlines(), start=block.line + 1):
        if continued:
            found[-1] = (found[-1][0], f"{found[-1][1]} {line.strip().removesuffix('\\').strip()}")
        else:
            found.append((number, line.removesuffix("\\").rstrip()))
        # A comment may follow the last piece only, so a backslash is always the line's end.
        continued = line.endswith("\\")
    return found


def _split(place: str, text: str, output: str | None) -> list[CommandLine]:
    found = []
    for part in re.split(r"\s&&\s", text):
        words = shlex.split(part, comments=True)
        count = next((n for n, word in enumerate(words) if not _ASSIGNMENT.match(word)), len(words))
        if count < len(words):
            environment = dict(word.split("=", 1) for word in words[:count])
            found.append(CommandLine(place, environment, words[count:], output))
    return found


def what_is_wrong(command: CommandLine, *, resolved: bool = True) -> str | None:
    """Say why a command cannot be what a user should type; None if it can.

    Parameters
    ----------
    command : CommandLine
        As it stands on the page.
    resolved : bool, default True
        Whether what a selection of Dagster's names must be among the product's own assets.

    """
    program, arguments = command.program, command.words[1:]
    if program == "pipeline":
        return _refused(_pipeline_command(), "pipeline", arguments)
    if program in _DAGSTER:
        return _dagster(program, arguments, resolved=resolved)
    if program == "make":
        targets = re.findall(r"^([a-z0-9-]+):", (PROJECT_ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        unknown = [one for one in arguments if "=" not in one and one not in targets]
        return f"the Makefile has no target {', '.join(unknown)}" if unknown else None
    if program in {"python", "sh", "pytest"} or "/" in command.words[0]:
        return _script(command.words)
    if program == "export":
        known = (PROJECT_ROOT / "docs/reference/settings.md").read_text(encoding="utf-8")
        unknown = [name for name, _, _ in (one.partition("=") for one in arguments) if f"`{name}`" not in known]
        return f"docs/reference/settings.md does not know {', '.join(unknown)}" if unknown else None
    return None if program in FOREIGN else f"{program!r} is no program that the pages may call"


@cache
def _pipeline_command() -> Any:
    from pipeline_defs.cli import main  # noqa: PLC0415 -- loads every command

    return typer.main.get_command(main.commands)


def _refused(command: Any, name: str, arguments: list[str]) -> str | None:
    """Have the command line's own parser read the arguments, and run nothing."""
    context = None
    while True:
        try:
            context = command.make_context(name, list(arguments), parent=context)
            if getattr(command, "commands", None) is None:
                return None
            # What is left of the arguments of a group is a subcommand and its own; click keeps them apart.
            left = [*getattr(context, "_protected_args", ()), *context.args]
            name, command, arguments = command.resolve_command(context, left)
        except (typer.Exit, click.exceptions.Exit):  # --help, --version
            return None
        except (typer.TyperException, click.ClickException) as refused:
            message = refused.format_message()
            # The files of an example need not be there; whether they may be files is known by then.
            return None if "does not exist" in message else message
        except PipelineError as refused:
            return str(refused)


def _dagster(program: str, arguments: list[str], *, resolved: bool) -> str | None:
    """Have Dagster's own parser read the line; what a selection selects must exist and have the partition."""
    import dagster as dg  # noqa: PLC0415 -- heavy

    module, name = _DAGSTER[program]
    refused = _refused(getattr(import_module(module), name), program, arguments)
    if refused is not None or not resolved or "--select" not in arguments:
        return refused
    from pipeline_defs.definitions import defs  # noqa: PLC0415

    graph = defs.resolve_asset_graph()
    selection = arguments[arguments.index("--select") + 1]
    keys = dg.AssetSelection.from_string(selection).resolve(graph)
    if not keys:
        return f"{selection!r} selects no asset"
    if "--partition" in arguments:
        partition = arguments[arguments.index("--partition") + 1]
        for key in keys:
            definition = graph.get(key).partitions_def
            if definition is None or not definition.has_partition_key(partition):
                return f"{key.to_user_string()} has no partition {partition!r}"
    return None


def _script(words: list[str]) -> str | None:
    """A module or a file of the project that knows every option it is given."""
    program, *arguments = words
    if program.rpartition("/")[2] == "python" and arguments[:1] == ["-m"]:
        name, arguments = arguments[1], arguments[2:]
        spec = find_spec(name)
        if spec is None or spec.origin is None:
            return f"there is no module {name}"
        origin = spec.origin.replace("__init__", "__main__")
        with open(origin, encoding="utf-8") as file:  # noqa: PTH123 -- the origin is a string
            source = file.read()
    elif program.rpartition("/")[2] == "pytest":
        paths = [one for one in arguments if one.startswith("pipeline_tests")]
        missing = [one for one in paths if not (PROJECT_ROOT / one).exists()]
        return f"there is no {', '.join(missing)}" if missing else None
    else:
        path = arguments.pop(0) if program.rpartition("/")[2] in {"python", "sh"} else program
        if not (PROJECT_ROOT / path).is_file():
            return f"there is no file {path}"
        source = (PROJECT_ROOT / path).read_text(encoding="utf-8")
    unknown = [one for one in arguments if one.startswith("--") and one.partition("=")[0] not in source]
    return f"{words[0]} does not know {', '.join(unknown)}" if unknown else None
