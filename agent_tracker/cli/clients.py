"""Connecting the clients in which agents run, and showing what they tell.

Owns those commands' options. Never holds logic of its own.
"""

from __future__ import annotations

from typing import Annotated

import typer

from agent_tracker.cli.base import Json, context_here
from agent_tracker.rendering import clients as render_clients
from agent_tracker.rendering import text as render
from agent_tracker.verbs import clients as verbs

__all__ = ["clients", "connect", "disconnect"]

Names = Annotated[list[str], typer.Argument(metavar="CLIENT...", help="For example opencode, claude, codex.")]


def connect(names: Names, *, as_json: Json = False) -> None:
    """Let clients tell of their sessions and of what is used in them: hooks in their own configuration."""
    context = context_here()
    found = [verbs.connect(name, context) for name in names]
    if as_json:
        render.show_json("clients", [render_clients.connection_json(each) for each in found])
    else:
        render.show(*(line for each in found for line in render_clients.connected_lines(each)))


def disconnect(names: Names, *, as_json: Json = False) -> None:
    """Take our hooks out of clients' configuration again; what else stands there stays as it is."""
    context = context_here()
    found = [verbs.disconnect(name, context) for name in names]
    if as_json:
        render.show_json("clients", [render_clients.connection_json(each) for each in found])
    else:
        render.show(*(render_clients.disconnected_line(each) for each in found))


def clients(*, as_json: Json = False) -> None:
    """List the clients: which are connected, whose they are, and what is not told of each, and why."""
    context = context_here()
    found = verbs.look(context)
    if as_json:
        render.show_json("clients", [render_clients.connection_json(each) for each in found])
    else:
        render_clients.show_clients(found)
