"""What a client runs when something happened: reads its payload, appends a line, and is gone.

Owns that way, and the small files in which it remembers a session. Prints nothing, opens no store, starts no process,
and never fails: whatever is wrong, the client goes on.
"""

from __future__ import annotations

import os
import time

from agent_tracker.appending import append, format_line
from agent_tracker.clients.base import BEGIN, COMPACT, END, IDLE, TURN, USE, Here
from agent_tracker.clients.payload import parse, read_all
from agent_tracker.errors import AgentTrackerError
from agent_tracker.files import read_bytes, replace_file
from agent_tracker.paths import RepositoryPaths, user_paths
from agent_tracker.repository import find_repository, working_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_tracker.clients.base import Client, Told
    from agent_tracker.paths import UserPaths
    from agent_tracker.repository import Repository

__all__ = ["main", "record"]

STDIN = 0
PULSES = {USE: "beat", COMPACT: "compact", IDLE: "idle", END: "end"}
MAX_PLAIN = 100
PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
TAIL_BYTES = 65536
MAX_DIGITS = 20


def main(argv: list[str]) -> None:
    """Handle one event of the client that is named; its payload is on standard input.

    Raises:
        Exception: Whatever went wrong; the caller passes it over.
    """
    # That one alone: each of the others takes a hundredth of the time that all of this does.
    client: Client = __import__(f"agent_tracker.clients.{argv[0]}", fromlist=["told"])
    record(client, read_all(STDIN), os.environ, time.time_ns())


def record(client: Client, data: bytes, env: Mapping[str, str], now_ns: int) -> None:
    """Append what one payload says to the spool of the repository that it is about, if it has one.

    Raises:
        Exception: As above.
    """
    told = client.told(parse(data))
    if told is None:
        return
    # Where the work is, the client says: its variables are another repository's.
    repository = find_repository(told.cwd or working_directory(), {})
    places = RepositoryPaths(repository.common_dir)
    if not os.path.isfile(places.project):
        return
    here = Here(repository, user_paths(env), env, now_ns)
    seat = _Seat(here.paths, told.session)
    line = b""
    if not seat.is_begun or seat.waits_since:
        line = _opening(told, client, seat, here)
    elif told.what == BEGIN:
        line = _pulse_line(told.session, "resume", now_ns)
    is_begun = seat.is_begun or bool(line)
    if is_begun and told.what in PULSES:
        line += _used_line(told, now_ns)
    if is_begun and not client.RUNS_GIT_HOOKS:
        line += _moves(told, client, seat, repository)
    if line:
        append(places.spool_dir, line)
    if seat.is_begun and not seat.waits_since:
        _follow(told, client, seat, here)
    # What could not be appended has not happened, and is tried again.
    seat.remember(here)


def _opening(told: Told, client: Client, seat: _Seat, here: Here) -> bytes:
    """Return the line of a session's beginning; nothing where it waits for its model, or it is still open whose it is.

    Where the model stands in a transcript, it stands there from the first answer on.
    """
    if not told.model and told.transcript:
        told.model = _model_in(told.transcript)
    if seat.waits_since and (told.model or told.what == END):
        from agent_tracker.clients.opening import session_line  # noqa: PLC0415 -- once in a session

        began_ns, seat.waits_since = seat.waits_since, 0
        return session_line(told, client.NAME, "", here, began_ns=began_ns)
    use = os.path.join(here.repository.git_dir, "agent-tracker", "use")
    asked = f"{_changed_at(os.path.join(here.paths.registry, 'agents'))} {_changed_at(use)} {told.model}"
    if seat.waits_since or told.what == END or seat.asked == asked:
        return b""
    from agent_tracker.clients.opening import choose, session_line, tell_hooks  # noqa: PLC0415 -- as above

    agent = choose(told, client.NAME, here)
    seat.asked = "" if agent else asked
    if not agent:
        return b""
    if told.transcript and not told.model:
        seat.waits_since = here.now_ns
        if seat.keep() and tell_hooks(told.session, agent, here):
            seat.is_begun = True
            return b""
        seat.waits_since = 0
    seat.agent, seat.model = agent, told.model
    return session_line(told, client.NAME, agent, here)


def _follow(told: Told, client: Client, seat: _Seat, here: Here) -> None:
    """Have whose the session is follow its model; that is not looked for in a transcript where nothing was answered."""
    model = told.model
    if not model and told.transcript and told.what in {USE, IDLE, TURN}:
        model = _model_in(told.transcript)
    if not model or model == seat.model:
        return
    from agent_tracker.clients.opening import follow  # noqa: PLC0415 -- once for each model

    told.model = model
    try:
        follow(told, client.NAME, here)
    except AgentTrackerError:
        return  # what was told is in the spool by now; whose the session is, is asked again the next time
    seat.model = model


def _changed_at(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def _model_in(path: str) -> str:
    """Return the model that a transcript names last, empty where it names none."""
    tail = _tail(path, TAIL_BYTES)
    for mark in (b'"model":"', b'"model": "'):
        _, found, rest = tail.rpartition(mark)
        name = rest.partition(b'"')[0].decode("utf-8", "replace")
        # What the client itself says, on behalf of no model, stands in angle brackets.
        if found and len(name) <= MAX_PLAIN and name.isprintable() and "\\" not in name and "<" not in name:
            return name
    return ""


def _tail(path: str, size: int) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return b""
    try:
        length = os.fstat(descriptor).st_size
        os.lseek(descriptor, max(0, length - size), os.SEEK_SET)
        return os.read(descriptor, size)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def _used_line(told: Told, now_ns: int) -> bytes:
    if told.what != USE:
        return _pulse_line(told.session, PULSES[told.what], now_ns)
    done = not told.has_failed
    counts = (int(done and not told.is_command), int(done and told.is_command), int(told.has_failed))
    return _pulse_line(told.session, "beat", now_ns, counts)


def _pulse_line(session: str, what: str, now_ns: int, used: tuple[int, int, int] = (0, 0, 0)) -> bytes:
    """Return a PulseFact's line; `lines`, which knows every fact, takes longer to import than all of this to run."""
    counts = (*map(str, used), "0", "0", "0")
    return format_line("pulse", os.urandom(6).hex(), session, what, *counts, str(now_ns))


class _Seat:
    """What is remembered of a session between two events: in files, for each event is a process of its own.

    `is_begun`: the git hooks know it. `agent`: whom they are to be told of. `asked`: with what its agent was asked for
    in vain. `waits_since` when it began (Unix nanoseconds) while its model is not known, else 0. `position`: how far
    HEAD's reflog of which git directory was read. `model`: for which it was last asked whose it is.
    """

    __slots__ = ("_path", "_session", "_text", "agent", "asked", "is_begun", "model", "position", "waits_since")

    def __init__(self, paths: UserPaths, session: str) -> None:
        self._session, self.agent = session, ""
        is_plain = PLAIN.issuperset(session) and not session.startswith(".") and len(session) <= MAX_PLAIN
        self._path = os.path.join(paths.state_dir, "clients", session) if is_plain else ""
        if is_plain:
            self.is_begun = os.path.isfile(os.path.join(paths.state_dir, "sessions", session))
        else:
            from agent_tracker.registry import read_session  # noqa: PLC0415 -- no client is known to have such ids

            self.is_begun = bool(read_session(paths.registry, session))
        self._text = read_bytes(self._path, TAIL_BYTES).decode("utf-8", "surrogateescape") if is_plain else ""
        self.asked, waits_since, self.position, self.model = [*self._text.split("\n"), "", "", "", ""][:4]
        self.waits_since = int(waits_since) if waits_since.isdecimal() and len(waits_since) < MAX_DIGITS else 0

    def remember(self, here: Here) -> None:
        """Write it down; a state directory that cannot be written remembers nothing."""
        if self.agent:
            from agent_tracker.clients.opening import tell_hooks  # noqa: PLC0415 -- once in a session

            tell_hooks(self._session, self.agent, here)
        self.keep()

    def keep(self) -> bool:
        """Write the file; False where that cannot be."""
        text = f"{self.asked}\n{self.waits_since or ''}\n{self.position}\n{self.model}\n"
        if not self._path or text == (self._text or "\n\n\n\n"):
            return bool(self._path)
        try:
            replace_file(self._path, text)
        except OSError:
            return False
        self._text = text
        return True


# -- commits that no git hook saw


def _moves(told: Told, client: Client, seat: _Seat, repository: Repository) -> bytes:
    """Return the lines of the commits that were made since the session's last event, as a hook would have written them.

    What was committed between two turns is the user's.
    """
    log = os.path.join(repository.git_dir, "logs", "HEAD")
    try:
        size = os.stat(log).st_size
    except OSError:
        size = 0
    position = f"{size} {repository.git_dir}"
    before, _, place = seat.position.partition(" ")
    line = b""
    if told.what == USE and place == repository.git_dir and before.isdecimal() and size > int(before):
        from agent_tracker.clients.moving import lines_of_commits  # noqa: PLC0415 -- after a commit alone

        added = _tail(log, min(size - int(before), TAIL_BYTES))
        line = lines_of_commits(added, told.session, client.NAME, repository)
    seat.position = position
    return line
