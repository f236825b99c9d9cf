"""Settings: shown, set and unset.

Owns those commands' options. Never holds logic of its own.
"""

from __future__ import annotations

from typing import Annotated

import typer

from agent_tracker.cli.base import Json, context_here, repository_here
from agent_tracker.errors import ConfigError
from agent_tracker.repository import working_directory

__all__ = ["config_app"]

KEPT_FROM_AGENTS = frozenset({"databasepath", "maxdatabasesize", "backupinterval", "maxbackups"})
"""By these a database or its backups can be lost; in small letters, for they are found in any."""

config_app = typer.Typer(help="Show where each setting comes from; set and unset.", invoke_without_command=True)
OfRepository = Annotated[bool, typer.Option("--repo", help="This repository's setting, in git's configuration.")]


@config_app.callback()
def config_command(ctx: typer.Context, *, as_json: Json = False) -> None:
    """Show where each setting comes from; set and unset."""
    if ctx.invoked_subcommand is None:
        _list_settings(as_json=as_json)


@config_app.command("list")
def config_list(*, as_json: Json = False) -> None:
    """Show every setting, its value, and where that comes from."""
    _list_settings(as_json=as_json)


def _list_settings(*, as_json: bool) -> None:
    from agent_tracker import configuring  # noqa: PLC0415
    from agent_tracker.config import SETTINGS  # noqa: PLC0415
    from agent_tracker.rendering import text as render  # noqa: PLC0415

    values = configuring.settings_here(working_directory(), context_here())
    if as_json:
        render.show_json("settings", [value._asdict() for value in values])
    else:
        render.show(render.settings_table(values, {setting.name: setting.meaning for setting in SETTINGS}))


@config_app.command("get")
def config_get(name: str) -> None:
    """Print one setting's value."""
    from agent_tracker import configuring  # noqa: PLC0415
    from agent_tracker.config import find_setting  # noqa: PLC0415
    from agent_tracker.rendering import text as render  # noqa: PLC0415

    wanted = find_setting(name).name
    values = configuring.settings_here(working_directory(), context_here())
    render.show(render.safe(str(next(value.value for value in values if value.name == wanted))))


@config_app.command("set")
def config_set(name: str, value: str, *, repo: OfRepository = False) -> None:
    """Set a value for all repositories, or with --repo for this one."""
    from agent_tracker import configuring  # noqa: PLC0415
    from agent_tracker.rendering import hooks as render_hooks  # noqa: PLC0415
    from agent_tracker.rendering import text as render  # noqa: PLC0415

    _check_person(name, "set")
    place = configuring.set_value(repository_here() if repo else None, context_here(), name, value)
    render.show(f"Set {name} in {render.safe(place)}.", *render_hooks.after_setting(name))


@config_app.command("unset")
def config_unset(name: str, *, repo: OfRepository = False) -> None:
    """Take a value out again."""
    from agent_tracker import configuring  # noqa: PLC0415
    from agent_tracker.rendering import hooks as render_hooks  # noqa: PLC0415
    from agent_tracker.rendering import text as render  # noqa: PLC0415

    _check_person(name, "unset")
    place = configuring.unset_value(repository_here() if repo else None, context_here(), name)
    if not place:
        raise ConfigError(f"{name} is not set there", "agent-tracker config shows where each value comes from")
    render.show(f"Unset {name} in {render.safe(place)}.", *render_hooks.after_setting(name))


def _check_person(name: str, verb: str) -> None:
    from agent_tracker.verbs.grading import check_person  # noqa: PLC0415 -- its imports are for what is changed alone

    if name.removeprefix("agenttracker.").lower() in KEPT_FROM_AGENTS:
        value = f"{name} VALUE" if verb == "set" else name
        check_person(context_here().env, "what becomes of the database", f"config {verb} {value}")
