"""A process that looks at stores for the tests: it has the whole command line loaded, and forks for each look.

So a look costs milliseconds instead of a start of Python, and a damaged store ends nobody but the one who looked. Run
as a script it is that process; it opens no database itself.
"""

from __future__ import annotations

import atexit
import gc
import hashlib
import importlib
import json
import os
import pkgutil
import signal
import subprocess
import sys
import tempfile
import traceback
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from altered import alter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["Look", "look"]

DUMP, REMOVE, ALTER = "dump", "remove", "alter"
"""What may stand in the place of a command: hash each sub-database of a file; remove files that are hints alone; have
another program answer what follows."""
DEADLINE_S = 60


class Look(NamedTuple):
    """What one command answered; `code` is below zero where a signal ended it."""

    code: int
    out: str
    err: str


def look(commands: Sequence[Sequence[str]], *, cwd: Path, env: Mapping[str, str]) -> list[Look]:
    """Run commands of agent-tracker one after another in a forked process, and return what each answered.

    Args:
        commands: Without the program's name; `dump FILE`, `remove FILE...` and `alter NAME` are understood as well.
        cwd: Where.
        env: The whole environment.

    Returns:
        An answer for each; a command that was ended by a signal is the last one.
    """
    server = _server()
    assert server.stdin is not None
    assert server.stdout is not None
    asked = {"commands": [list(command) for command in commands], "cwd": str(cwd), "env": dict(env)}
    server.stdin.write(json.dumps(asked) + "\n")
    server.stdin.flush()
    line = server.stdout.readline()
    assert line, "the process that looks at stores is gone"
    return [Look(*answer) for answer in json.loads(line)]


@cache
def _server() -> subprocess.Popen[str]:
    argv = [sys.executable, __file__]
    server = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, errors="surrogateescape")
    atexit.register(_end, server)
    return server


def _end(server: subprocess.Popen[str]) -> None:
    for pipe in (server.stdin, server.stdout):
        if pipe:
            pipe.close()
    server.wait()


def serve() -> None:
    """Answer one line of JSON with one line of JSON until the input ends."""
    package = importlib.import_module("agent_tracker")
    for module in pkgutil.walk_packages(package.__path__, "agent_tracker."):
        with suppress(ImportError):  # loaded beforehand to save time, and for nothing else
            importlib.import_module(module.name)
    importlib.import_module("lmdb")
    gc.freeze()
    for line in sys.stdin:
        asked = json.loads(line)
        with tempfile.TemporaryFile() as answers:
            pid = os.fork()
            if not pid:
                _answer(asked, answers.fileno())
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            answers.seek(0)
            found = [json.loads(answer) for answer in answers.read().splitlines()]
        if status:
            found.append((status, "", f"ended with {status} while it looked"))
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()


def _answer(asked: Mapping[str, Any], answers: int) -> None:
    """Run the commands, write an answer for each, and end; in the forked process."""
    os.environ.clear()
    os.environ.update(asked["env"])
    os.chdir(asked["cwd"])
    signal.alarm(DEADLINE_S)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for command in asked["commands"]:
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            code = _run(command)
            sys.stdout.flush()
            sys.stderr.flush()
            said = [_whole(file.fileno()) for file in (out, err)]
        os.write(answers, json.dumps((code, *said)).encode() + b"\n")
    os._exit(0)


def _whole(descriptor: int) -> str:
    size = os.fstat(descriptor).st_size
    return os.pread(descriptor, size, 0).decode("utf-8", "replace")


def _run(command: list[str]) -> int:
    try:
        if command[0] == DUMP:
            sys.stdout.write(json.dumps(dict(_dump(command[1]))))
            return 0
        if command[0] == REMOVE:
            for path in command[1:]:
                Path(path).unlink(missing_ok=True)
            return 0
        if command[0] == ALTER:
            alter(command[1])
            return 0
        sys.argv = ["agent-tracker", *command]
        main = importlib.import_module("agent_tracker.__main__").main
        return int(main() or 0)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001 -- whatever it was, it is the answer
        traceback.print_exc()
        return 3


def _dump(path: str) -> Iterator[tuple[str, str]]:
    """Yield each sub-database's name with a hash of all of its records, read without any of our own code."""
    lmdb = importlib.import_module("lmdb")
    if not Path(path).exists():
        return
    with lmdb.open(path, subdir=False, readonly=True, lock=False, max_dbs=100) as env, env.begin() as txn:
        for name in list(txn.cursor().iternext(values=False)):
            digest = hashlib.sha256()
            count = 0
            for count, (key, value) in enumerate(txn.cursor(env.open_db(name, txn, create=False)), 1):  # noqa: B007
                digest.update(b"%d %d " % (len(key), len(value)) + key + value)
            yield name.decode(), f"{count} {digest.hexdigest()[:16]}"


if __name__ == "__main__":
    serve()
