"""The example runs inside LEAN, which is C#: what can be checked here is its syntax and that it asks for our names."""

from __future__ import annotations

import ast
import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING

from pipeline_defs.exports.lean.entries import Contract
from pipeline_defs.exports.lean.kinds import OptionRight, OptionStyle
from pipeline_defs.exports.lean.symbols import contract_key
from pipeline_defs.settings import PROJECT_ROOT

if TYPE_CHECKING:
    from pipeline_defs.schema.exports import BuiltExport

EXAMPLE = PROJECT_ROOT / "examples/lean_backtest.py"


def constants(tree: ast.Module) -> dict[str, ast.expr]:
    return {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def test_the_example_is_an_algorithm_whose_contract_is_in_our_files(built: BuiltExport) -> None:
    tree = ast.parse(EXAMPLE.read_text(encoding="utf-8"))
    (algorithm,) = (node for node in tree.body if isinstance(node, ast.ClassDef))
    assert [ast.unparse(base) for base in algorithm.bases] == ["QCAlgorithm"]
    methods = {node.name for node in algorithm.body if isinstance(node, ast.FunctionDef)}
    assert {"initialize", "on_data"} <= methods
    known = constants(tree)
    call = known["EXPIRY"]
    assert isinstance(call, ast.Call)
    expiry = dt.date(*(ast.literal_eval(argument) for argument in call.args))
    strike = Decimal(ast.literal_eval(known["STRIKE"]))
    key = contract_key(OptionStyle.EUROPEAN, Contract(OptionRight.CALL, strike, expiry))
    assert f"indexoption/india/nifty/{key}" in built.instruments["engine_id"].to_list()
    assert ast.literal_eval(known["QUANTITY"]) == 75


def test_the_example_takes_every_name_from_leans_own_module() -> None:
    tree = ast.parse(EXAMPLE.read_text(encoding="utf-8"))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert modules == {"__future__", "datetime", "AlgorithmImports"}
