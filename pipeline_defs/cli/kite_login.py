"""``pipeline kite-login``: the daily login that Zerodha asks of a person."""

from __future__ import annotations

import os
from typing import Annotated

import typer


def kite_login(
    *,
    request_token: Annotated[
        str | None,
        typer.Option("--request-token", help="What the login page gave back: the token, or the whole address."),
    ] = None,
) -> None:
    """Log in at Kite: print the page to open, or keep the session that it gave.

    Needs ZERODHA_API_KEY, and for --request-token ZERODHA_API_SECRET. The session ends at 06:00 in India.
    """
    from pipeline_defs.sources.zerodha.login import log_in, login_url  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.sources.zerodha.session import TOKEN_VARIABLE  # noqa: PLC0415

    if request_token is None:
        typer.echo(f"open {login_url()}")
        typer.echo("then run: pipeline kite-login --request-token '<the address that the page leads to>'")
        return
    session = log_in(request_token)
    ends = "" if session.ends_at is None else f" until {session.ends_at:%Y-%m-%d %H:%M} IST"
    if os.environ.get(TOKEN_VARIABLE) or os.environ.get(f"{TOKEN_VARIABLE}_FILE"):
        typer.echo(f"note: {TOKEN_VARIABLE} is set and goes before this session; unset it", err=True)
    typer.echo(f"logged in{f' as {session.user}' if session.user else ''}{ends}")
