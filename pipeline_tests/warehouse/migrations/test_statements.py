"""Cutting SQL text into statements: semicolons count only where the server would count them."""

from __future__ import annotations

import pytest

from pipeline_defs.errors import WarehouseError
from pipeline_defs.warehouse.migrations.statements import split_statements


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT ';', 'it''s;', E'\\';', \"a;\"\"b\"",
        "SELECT $$;$$, $a$ ; $b$ ; $$ ; $a$",
        "SELECT 1 -- one; two\n + 2",
        "SELECT /* ; /* ; */ ; */ 1",
        "SELECT a$b$c, d$b$e",
        "CREATE RULE r AS ON INSERT TO t DO (DELETE FROM a; DELETE FROM b)",
        "CREATE OR REPLACE FUNCTION f() RETURNS integer BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END",
        "CREATE PROCEDURE p() LANGUAGE plpgsql AS $body$ BEGIN NULL; END $body$",
        "PREPARE q AS SELECT $1",
    ],
)
def test_a_statement_stays_whole_between_two_others(statement: str) -> None:
    assert split_statements(f"SELECT 1;\n{statement}\n;SELECT 2;") == ["SELECT 1", statement, "SELECT 2"]


def test_a_body_of_one_function_does_not_swallow_the_next_statement() -> None:
    function = "CREATE FUNCTION f() RETURNS integer BEGIN ATOMIC SELECT 1; END"

    assert split_statements(f"{function}; {function}; BEGIN; END;") == [function, function, "BEGIN", "END"]


def test_pieces_without_content_are_left_out() -> None:
    assert split_statements("-- no transaction\n;;  /* nothing */ ; SELECT 1; -- the end") == ["SELECT 1"]


def test_a_comment_before_a_statement_is_kept_with_it() -> None:
    assert split_statements("-- why\nSELECT 1; SELECT 2") == ["-- why\nSELECT 1", "SELECT 2"]


@pytest.mark.parametrize("text", ["SELECT 1;\nSELECT 'a", 'SELECT 1;\nSELECT "a', "\nSELECT $x$ a $y$", "\n/* /* */"])
def test_what_is_never_closed_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(WarehouseError, match=r"line 2: a quote or comment .* is never closed"):
        split_statements(text)
