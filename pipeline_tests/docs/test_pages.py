"""Every block of every page is what it says: code that runs, commands that exist, output that appears."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_defs.settings import PROJECT_ROOT
from pipeline_tests.docs.blocks import Block, blocks_of, pages
from pipeline_tests.docs.command_lines import CommandLine, commands_of, what_is_wrong
from pipeline_tests.docs.prepared import PREPARED
from pipeline_tests.docs.reading import what_is_misread
from pipeline_tests.docs.sample import working_in
from pipeline_tests.docs.showing import Loads

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_tests.docs.sample import Sample

NOTEBOOKS = PROJECT_ROOT / "docs" / "notebooks"
LANGUAGES = {"console", "csv", "json", "python", "sh", "sql", "text", "toml", "yaml"}
ONLY_LOOK = {
    ("alerts",),
    ("corrections",),
    ("db", "status"),
    ("db", "url"),
    ("diff",),
    ("doctor",),
    ("quality",),
    ("report",),
}
"""Commands that are run wherever a page names them, since they need nothing and change nothing."""


def with_blocks() -> list[str]:
    return [page for page in pages() if blocks_of(page)]


@pytest.mark.parametrize("page", with_blocks())
def test_every_block_names_its_language(page: str) -> None:
    assert [f"{block}: {block.language!r}" for block in blocks_of(page) if block.language not in LANGUAGES] == []


@pytest.mark.parametrize("page", with_blocks())
def test_every_command_exists_with_its_options_and_values(page: str) -> None:
    wrong = [
        f"{command.place}: {trouble}"
        for block in blocks_of(page)
        if block.language in {"sh", "console"}
        for command in commands_of(block)
        # What is shown to be refused is run, and compared with the error.
        if not (command.output or "").startswith("error:")
        and (trouble := what_is_wrong(command, resolved=block.reason is None)) is not None
    ]
    assert wrong == []


@pytest.mark.parametrize("page", with_blocks())
def test_what_a_page_shows_is_what_happens(page: str, sample: Sample, tmp_path: Path) -> None:
    (tmp_path / ".pipeline").symlink_to(sample.home)
    names: dict[str, Any] = {"__name__": page}
    loads, code = Loads(), 0
    with working_in(tmp_path), PREPARED.get(page, PREPARED[""])(sample, names):
        for block in blocks_of(page):
            if block.file is not None:
                (tmp_path / block.file).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / block.file).write_text(block.text, encoding="utf-8")
            if block.reason is not None:
                continue
            if block.language == "python":
                run_python(block, names)
            elif block.language == "console":
                code = run_console(block, sample, loads, code)
            elif block.language == "sh":
                run_what_only_looks(block, sample)
            elif block.language == "sql":
                run_sql(block, sample)
            elif block.language in {"csv", "json", "toml", "yaml"}:
                assert (trouble := what_is_misread(block)) is None, f"{block}: {trouble}"


def run_python(block: Block, names: dict[str, Any]) -> None:
    # The lines before the block are left empty, so that a traceback names the page's own line.
    code = compile("\n" * block.line + block.text, block.page, "exec", dont_inherit=True)
    try:
        exec(code, names)  # noqa: S102 -- that is what the page asks its reader to do
    except Exception as error:
        error.add_note(f"in the block {block}")
        raise


def run_console(block: Block, sample: Sample, loads: Loads, code: int) -> int:
    for command in commands_of(block):
        if command.words == ["echo", "$?"]:
            said = f"{code}\n"
        else:
            code, said = run_command(command, sample, loads)
        assert command.output is not None
        assert (trouble := loads.differs(command.output, said)) is None, f"{command.place}: {trouble}"
    return code


def run_command(command: CommandLine, sample: Sample, loads: Loads) -> tuple[int, str]:
    if command.program == "pipeline":
        return sample.run(loads.translate(command.words)[1:], command.environment)
    assert command.words[:1] == ["python"], f"{command.place}: {command.program} is not run here"
    environment = {**os.environ, **command.environment, "PYTHONPATH": str(PROJECT_ROOT)}
    finished = subprocess.run(
        [sys.executable, *command.words[1:]], env=environment, capture_output=True, text=True, check=False
    )
    return finished.returncode, finished.stdout + finished.stderr


def run_what_only_looks(block: Block, sample: Sample) -> None:
    for command in commands_of(block):
        words = tuple(word for word in command.words[1:] if not word.startswith("-"))
        if command.program == "pipeline" and (words[:1] in ONLY_LOOK or words[:2] in ONLY_LOOK):
            code, said = sample.run(command.words[1:], command.environment)
            assert code == 0, f"{command.place}: exit code {code}:\n{said}"


def run_sql(block: Block, sample: Sample) -> None:
    with sample.warehouse.connect() as connection:
        connection.read_only = True
        for statement in re.split(r";[^\n]*(?:\n|$)", block.text):
            if re.sub(r"--[^\n]*", "", statement).strip():
                try:
                    connection.execute(statement.encode())  # not fetched: a date without end is none in Python
                except Exception as error:
                    error.add_note(f"in the block {block}")
                    raise


def test_what_is_not_run_is_counted_and_says_why() -> None:
    blocks = [block for page in pages() for block in blocks_of(page)]
    left_out = [block for block in blocks if block.reason is not None]
    languages = Counter(block.language for block in blocks)
    counts = ", ".join(f"{count} {language}" for language, count in languages.most_common())
    reasons = "".join(f"\n  {block} ({block.language}): {block.reason}" for block in left_out)
    # A warning stands at the end of every run, also where workers keep what tests print.
    warnings.warn(f"{len(blocks)} blocks of the pages: {counts}; {len(left_out)} are not run:{reasons}", stacklevel=1)
    assert len(left_out) < len(blocks) / 4
    assert [str(block) for block in left_out if block.language == "text"] == []


@pytest.mark.parametrize("name", sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb")))
def test_a_notebook_runs_from_its_first_cell_to_its_last(name: str, sample: Sample, tmp_path: Path) -> None:
    import nbformat  # noqa: PLC0415 -- two seconds, with the grammars of its validator
    from jupyter_client.manager import AsyncKernelManager  # noqa: PLC0415 -- as above
    from nbclient import NotebookClient  # noqa: PLC0415 -- as above

    sample.catalog("nautilus")
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)  # type: ignore[no-untyped-call]
    # Sockets of the file system, in a short folder: nobody else of the machine reads them.
    with tempfile.TemporaryDirectory(prefix="k") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(PROJECT_ROOT))
        manager = AsyncKernelManager(kernel_name="python3", transport="ipc", ip=f"{folder}/k")
        NotebookClient(notebook, km=manager, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_shows_what_a_run_gave_and_is_small(path: Path) -> None:
    import nbformat  # noqa: PLC0415 -- two seconds, with the grammars of its validator

    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1)), "run it from its first cell"
    outputs = [output for cell in cells for output in cell.outputs]
    assert len(outputs) > 3
    assert [output for output in outputs if output.output_type == "error"] == []
    assert path.stat().st_size < 100_000
    assert str(PROJECT_ROOT) not in path.read_text(encoding="utf-8")
