"""What clients run: a script of our own, which starts the interpreter that connected them.

Owns its text, where it lies, and the line of shell by which a client's settings call it: where the script or its
interpreter is gone, it does nothing.
"""

from __future__ import annotations

import os

from agent_tracker.errors import AgentTrackerError
from agent_tracker.files import read_text
from agent_tracker.installation.hook_scripts import quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_tracker.paths import UserPaths

__all__ = ["MARK", "command_line", "is_runnable", "script_path", "script_text"]

MARK = "agent-tracker-client"
"""What every text of ours in a client's settings holds."""

_SCRIPT = """\
#!/bin/sh
# {mark} 1: what clients run when something happened; `agent-tracker connect` writes it.
at_python={python}
[ -x "$at_python" ] || exit 0
exec "$at_python" -ISE -c '
import os, sys
try:
    sys.path[:0] = sys.argv[1].split(":")
    from agent_tracker.clients.hook import main
    main(sys.argv[2:])
except BaseException:
    pass
os._exit(0)' {path} "$@" >/dev/null 2>&1
"""


def script_path(paths: UserPaths) -> str:
    """Return where the script lies."""
    return os.path.join(paths.state_dir, f"{MARK}-hook")


def script_text(python: str, sys_path: Sequence[str]) -> str:
    """Return the script.

    Args:
        python: The interpreter, an absolute path.
        sys_path: Where it finds our modules.

    Raises:
        AgentTrackerError: A path cannot be handed to it.
    """
    for path in (python, *sys_path):
        if not os.path.isabs(path) or ":" in path or "\n" in path:
            raise AgentTrackerError(
                f"a client's hook cannot use this path: {path!r}", "install agent-tracker elsewhere"
            )
    return _SCRIPT.format(mark=MARK, python=quoted(python), path=quoted(":".join(sys_path)))


def command_line(paths: UserPaths, client: str) -> str:
    """Return the line of shell that a client runs."""
    script = quoted(script_path(paths))
    return f"[ ! -r {script} ] || exec sh {script} {client}"


def is_runnable(paths: UserPaths) -> bool:
    """Tell whether the script is there, and the interpreter and our modules that it names."""
    values = [line.partition("=")[2] for line in read_text(script_path(paths)).split("\n") if line[:10] == "at_python="]
    here = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    python = values[0][1:-1].replace("'\\''", "'") if values else ""
    return os.access(python, os.X_OK) and here in read_text(script_path(paths))
