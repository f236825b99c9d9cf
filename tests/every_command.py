"""Every command of the command line, found by itself, each run in a process that was forked for it.

`python every_command.py` prints the commands as JSON; with a list of words each on standard input it runs them.
"""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Command", "Shown", "commands", "run_all"]

TIMEOUT_S = 240


class Command(NamedTuple):
    """A command: its words, the names of what it must be given and of what it may be given, its options."""

    words: tuple[str, ...]
    required: tuple[str, ...]
    optional: tuple[str, ...]
    options: tuple[str, ...]


class Shown(NamedTuple):
    """What a command wrote: to a pipe, or to a terminal where both streams are one."""

    argv: tuple[str, ...]
    is_terminal: bool
    code: int
    out: bytes
    err: bytes


def commands() -> list[Command]:
    """Return every command that there is."""
    import typer  # noqa: PLC0415 -- the command line's own library

    from agent_tracker.cli.app import command_line  # noqa: PLC0415 -- as above

    return list(_below(typer.main.get_command(command_line([])), ()))


def _below(command: Any, words: tuple[str, ...]) -> Iterator[Command]:  # noqa: ANN401 -- of Typer's own
    if words:
        given = [each for each in command.params if each.param_type_name == "argument"]
        yield Command(
            words,
            tuple(each.name for each in given if each.required),
            tuple(each.name for each in given if not each.required),
            tuple(name for each in command.params for name in each.opts if each not in given),
        )
    for name, below in getattr(command, "commands", {}).items():
        yield from _below(below, (*words, name))


def run_all(runs: list[tuple[tuple[str, ...], bool]], *, cwd: Path) -> list[Shown]:
    """Run the command line with these words, each time in a pipe or in a terminal, and return what came of it."""
    done = subprocess.run(
        [sys.executable, __file__],
        cwd=cwd,
        input=json.dumps(runs).encode(),
        capture_output=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    return [
        Shown(tuple(argv), tty, code, bytes.fromhex(out), bytes.fromhex(err))
        for argv, tty, code, out, err in json.loads(done.stdout)
    ]


def _run(argv: list[str], *, is_terminal: bool) -> list[object]:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        master, slave = pty.openpty() if is_terminal else (-1, -1)
        process = os.fork()
        if not process:
            _become(argv, slave if is_terminal else out.fileno(), slave if is_terminal else err.fileno())
        if is_terminal:
            os.close(slave)
            out.write(_read_all(master))
            os.close(master)
        _, status = os.waitpid(process, 0)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().hex())
        return [argv, is_terminal, os.waitstatus_to_exitcode(status), *texts]


def _read_all(master: int) -> bytes:
    content = b""
    while True:
        try:
            part = os.read(master, 1 << 16)
        except OSError:  # the other end was closed
            return content
        if not part:
            return content
        content += part


def _become(argv: list[str], out: int, err: int) -> None:
    """Be agent-tracker from here on."""
    code = 70
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        sys.argv = ["agent-tracker", *argv]
        from agent_tracker.__main__ import main  # noqa: PLC0415 -- in the child

        code = main()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


if __name__ == "__main__":
    import agent_tracker.cli.app  # noqa: F401 -- loaded once, for all children

    json.dump([_run(argv, is_terminal=tty) for argv, tty in json.load(sys.stdin)], sys.stdout)
