"""What a client's adapter is: one module that reads what the client tells its hooks, and knows where these stand.

Owns the contract and the shape of what was told. Pure, and imports nothing: a client waits for its hooks at each use of
a tool.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Protocol

    from agent_tracker.paths import UserPaths
    from agent_tracker.repository import Repository

    class Client(Protocol):
        """An adapter.

        `NAME` is as in `marks.CLIENTS`, `TITLE` for people. `EVENTS` are the client's events that are listened to, with
        what each of them says; a client without any is known by its marks alone. `MISSES` says, a sentence each, what
        is not told, and why. `RUNS_GIT_HOOKS` is False where no git hook runs in the client's shell.
        """

        NAME: str
        TITLE: str
        EVENTS: dict[str, str]
        MISSES: tuple[str, ...]
        RUNS_GIT_HOOKS: bool

        def config_path(self, env: Mapping[str, str], home: str) -> str:
            """Return the file in which the client looks for its hooks; empty where it has none."""

        def settings(self, command: str, state_dir: str) -> str | dict[str, object]:
            """Return what stands there: a file's whole text, or by event what the user's own file gets under `hooks`.

            `command` is one line of shell.
            """

        def told(self, payload: Mapping[str, object]) -> Told | None:
            """Return what the client says on one event, None where it is nothing of ours. The payload is untrusted."""


__all__ = ["BEGIN", "COMPACT", "END", "IDLE", "TURN", "USE", "Client", "Here", "Told"]

BEGIN, USE, COMPACT, IDLE, END, TURN = "begin", "use", "compact", "idle", "end", "turn"
"""What can be told: of a session, of one use of a tool or command; a turn is when its user has said something."""


class Told:
    """One event of a session.

    `parent` is the session in which it was begun, if any. `model` is empty where the client does not say; then
    `transcript` may be a file that does. `process` is the one that lives as long as the session, 0 for: look.
    """

    __slots__ = ("cwd", "has_failed", "is_command", "model", "parent", "process", "session", "transcript", "what")

    def __init__(  # noqa: PLR0913 -- a record; typing, for a NamedTuple, takes as long to import as all of this to run
        self,
        what: str,
        session: str,
        *,
        parent: str = "",
        model: str = "",
        cwd: str = "",
        transcript: str = "",
        process: int = 0,
        is_command: bool = False,
        has_failed: bool = False,
    ) -> None:
        self.what = what
        self.session = session
        self.parent = parent
        self.model = model
        self.cwd = cwd
        self.transcript = transcript
        self.process = process
        self.is_command = is_command
        self.has_failed = has_failed


class Here:
    """Where and when something was told: the repository, the user's paths, the client's environment, the time."""

    __slots__ = ("env", "now_ns", "paths", "repository")

    def __init__(self, repository: Repository, paths: UserPaths, env: Mapping[str, str], now_ns: int) -> None:
        self.repository = repository
        self.paths = paths
        self.env = env
        self.now_ns = now_ns
