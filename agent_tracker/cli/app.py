"""The command line interface: parse, call one verb or view, render.

Owns the list of commands, exit codes and where errors are shown. Never holds logic of its own.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Annotated, Any

import typer

from agent_tracker import __version__
from agent_tracker.cli.base import announce_all
from agent_tracker.ending import run_to_end

__all__ = ["command_line", "main"]

COMMANDS = {
    "install-hooks": "hooks.install_hooks",
    "uninstall-hooks": "hooks.uninstall_hooks",
    "scan": "scan.scan",
    "flush": "hooks.flush",
    "connect": "clients.connect",
    "disconnect": "clients.disconnect",
    "clients": "clients.clients",
    "register": "agents.register",
    "use": "agents.use",
    "whoami": "agents.whoami",
    "status": "reading.status",
    "log": "reading.log",
    "credit": "agents.credit",
    "grade": "grading.grade",
    "grades": "grading.grades",
    "review": "review.review",
    "bug": "bugs.bug",
    "bugs": "bugs.bugs",
    "forget": "forgetting.forget",
    "export": "moving.export",
    "import": "moving.import_",
    "migrate": "migrating.migrate",
    "verify": "reading.verify",
    "recover": "recovery.recover",
    "backup": "backups.backup",
    "backups": "backups.backups",
    "restore": "backups.restore",
    "store": "capacity.store",
    "compact": "capacity.compact",
    "archive": "capacity.archive",
    "rederive": "rules.rederive",
    "reattribute": "agents.reattribute",
    "doctor": "hooks.doctor",
    "demo": "bench.demo",
    "bench": "bench.bench",
}
"""Where each is, in the order of the help: a file of this directory, and the function in it."""

SETTINGS = {"grade": "grading.NUMBERS_ARE_WORDS"}
"""What Typer is told of one command alone."""

GROUPS = {
    "agents": "agents.agents_app",
    "setups": "setups.setups_app",
    "session": "sessions.session_app",
    "retro": "journal.retro_app",
    "activity": "journal.activity_app",
    "rules": "rules.rules_app",
    "config": "config.config_app",
}
"""Commands that have commands of their own, below the others in the help."""


def main() -> int:
    """Run the command line and return the exit code: 0 done, 1 expected error, 2 usage, 3 bug, 130 interrupted."""
    return run_to_end(_run)


def _run() -> int:
    """Run the command and say what its flushes had to say, whether it fails or not."""
    try:
        try:
            command_line(sys.argv[1:])()
        finally:
            announce_all()
    except SystemExit as stop:
        is_interrupt = isinstance(stop.__context__, typer.Abort | KeyboardInterrupt)
        return 130 if is_interrupt else int(stop.code or 0)
    return 0


def command_line(words: list[str]) -> typer.Typer:
    """Return the command that the words begin with, alone, or all of them where they begin with none.

    Typer looks at every option of every command that it has, which takes 0.4 ms a command, and their files take 10 ms.
    """
    named = words[0] if words else ""
    is_named = named in COMMANDS or named in GROUPS
    app = typer.Typer(
        help="Which setup of coding agents to use, learnt from the commits they made.",
        no_args_is_help=True,
        add_completion=not is_named,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "default_map": _without_help(words[:2])},
    )
    app.callback()(_root)
    for name, where in COMMANDS.items():
        if name == named or not is_named:
            settings = _found(SETTINGS[name]) if name in SETTINGS else None
            app.command(name, context_settings=settings)(_found(where))
    for name, where in GROUPS.items():
        if name == named or not is_named:
            app.add_typer(_found(where), name=name)
    return app


def _found(where: str) -> Any:  # noqa: ANN401 -- a command, or a group of them
    """Return what a `file.name` of this directory names: of the others nothing is imported."""
    file, _, name = where.partition(".")
    return getattr(import_module(f"agent_tracker.cli.{file}"), name)


def _without_help(words: list[str]) -> dict[str, object]:
    """Return what --help is where it is not given: not None, about which Typer asks pydantic, 50 ms to import."""
    defaults: dict[str, object] = {"help": False}
    for word in reversed(words):
        defaults = {"help": False, word: defaults}
    return defaults


def _print_version(value: bool) -> None:  # noqa: FBT001 -- Typer's callback
    if value:
        typer.echo(f"agent-tracker {__version__}")
        raise typer.Exit


def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass
