from __future__ import annotations

from pipeline_defs.plots.smile import draw_smile


def test_each_expiry_has_a_line_and_its_name() -> None:
    curves = {"2025-08-14": [(24_500.0, 0.13), (24_600.0, 0.12)], "2025-08-28": [(24_500.0, 0.125)]}
    svg = draw_smile(curves)

    assert svg == draw_smile(curves)
    assert "2025-08-14" in svg
    assert "2025-08-28" in svg
    assert "implied volatility, %" in svg


def test_nothing_to_draw_is_an_empty_picture() -> None:
    assert draw_smile({}).startswith("<svg")
