"""The entry point: `flush` at once, everything else through the command line interface.

Owns the dispatch alone. A flush starts on every push, so nothing is imported here that it can go without.
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> int:
    """Run the command that `sys.argv` names and return its exit code."""
    if sys.argv[1:2] == ["flush"]:
        from agent_tracker.flush_command import run  # noqa: PLC0415 -- before Typer is imported

        code = run(sys.argv[2:])
        if code is not None:
            return code
    from agent_tracker.cli.app import main as cli_main  # noqa: PLC0415 -- as above

    return cli_main()


if __name__ == "__main__":
    raise SystemExit(main())
