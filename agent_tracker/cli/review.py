"""The user's review: commit by commit, a key for each grade; in a pipe, the list as JSON.

Owns that command's options, and asking. What it shows is `rendering.review`'s, what it does the verbs'.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from agent_tracker.cli.base import Json, NoFlush, announce, context_here, repository_here, told
from agent_tracker.errors import AgentTrackerError
from agent_tracker.verbs.reading import read

if TYPE_CHECKING:
    from agent_tracker.cli.keys import Keyboard
    from agent_tracker.repository import Repository
    from agent_tracker.tables import Snapshot
    from agent_tracker.verbs.grading import GradeGiven
    from agent_tracker.verbs.review import Look, Pending, Review

__all__ = ["review"]

KEYS = {
    "b": "bad",
    "1": "bad",
    "n": "neutral",
    "2": "neutral",
    "g": "good",
    "3": "good",
    "e": "excellence",
    "4": "excellence",
}
LEAVING = frozenset({"q", "\x04", ""})
REDRAW = "\x0c"
SIZE = (80, 24)
CARD_ROWS = 12
"""How many rows a card takes beside its diffstat, and what is asked below it."""
MIN_ROWS, MIN_COLUMNS = 3, 20
INTERRUPTED = 130
OLDER = "only the newest commits were looked at; for older ones: agent-tracker review --since WHEN"


def review(
    *,
    since: Annotated[
        str, typer.Option(metavar="WHEN|REVISION", help="Only later ones: yesterday, 3d, 2026-11-20, v1.0 ...")
    ] = "",
    agent: Annotated[str, typer.Option(help="Only this agent's.")] = "",
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="At most so many.")] = None,
    as_json: Json = False,
    no_flush: NoFlush = False,
) -> None:
    """Grade the agents' commits that you have not graded yet, newest first, a key for each; in a pipe: list them."""
    from agent_tracker.rendering import review as render_review  # noqa: PLC0415 -- its imports are for what is shown
    from agent_tracker.rendering import text as render  # noqa: PLC0415 -- as above
    from agent_tracker.verbs import review as verb  # noqa: PLC0415 -- its imports are this command's alone
    from agent_tracker.verbs.grading import check_person  # noqa: PLC0415 -- as above

    repository, context = repository_here(), context_here()
    is_asking = not as_json and sys.stdin.isatty() and sys.stdout.isatty()
    if is_asking:
        check_person(context.env, "a review", "review")
    since_at = verb.find_since(since, repository, now=context.now) if since else None

    def waiting(snapshot: Snapshot | None) -> Review:
        return verb.review(snapshot, repository, context, since=since_at, agent=agent, limit=limit)

    reading = read(context, repository, waiting, is_fresh=not no_flush)
    found = told(reading, is_something=bool(reading.value.commits))
    is_cut = found.is_cut and limit is None
    if not is_asking:
        said = verb.outlines(repository, found.commits)
        render.show_json("review", render_review.review_json(found.commits, said))
        if is_cut:
            print(f"note: {OLDER}", file=sys.stderr)
        return
    if not found.commits:
        render.show("Nothing waits for a grade of yours here.")
        return
    code = _Walk(repository, found.commits).run()
    if is_cut:
        render.show(OLDER)
    if code:
        raise typer.Exit(code)


class _Walk:
    """One review, from the newest commit on."""

    def __init__(self, repository: Repository, commits: tuple[Pending, ...]) -> None:
        self._repository = repository
        self._commits = commits
        self._given: dict[int, GradeGiven] = {}
        """By the commit's place, in the order in which they were graded."""
        self._skipped: set[int] = set()
        self._current = self._front = 0

    def run(self) -> int:
        """Ask until all are graded or skipped, or the user has had enough; return the exit code."""
        from agent_tracker.cli.keys import Keyboard  # noqa: PLC0415 -- where there is a terminal alone
        from agent_tracker.rendering import review as render_review  # noqa: PLC0415
        from agent_tracker.rendering import text as render  # noqa: PLC0415

        code = 0
        try:
            with Keyboard() as keyboard:
                while self._current < len(self._commits) and self._ask(keyboard):
                    pass
        except KeyboardInterrupt:
            print()
            code = INTERRUPTED
        grades = [given.grade for given in self._given.values()]
        skipped = len(self._skipped)
        left = len(self._commits) - len(grades) - skipped
        render.show(render_review.summary_line(grades, skipped, left))
        return code

    def _ask(self, keyboard: Keyboard) -> bool:
        """Show the current commit and do what the keys say until another is to be shown; False to leave."""
        from agent_tracker.rendering import review as render_review  # noqa: PLC0415

        self._show()
        while True:
            key = keyboard.key(render_review.fitting(render_review.PROMPTS, _size()[0]))
            if key in LEAVING:
                print("quit")
                return False
            if self._grade(KEYS[key], keyboard) if key in KEYS else self._do(key):
                return True

    def _do(self, key: str) -> bool:
        """Do what a key says that is no grade; return whether another commit is to be shown."""
        from agent_tracker.rendering import review as render_review  # noqa: PLC0415

        match key:
            case "s":
                print("skipped")
                self._skip()
                return True
            case "u":
                print("undo")
                return self._go_back()
            case "o":
                print("open")
                self._open()
            case "?":
                print("help", *render_review.HELP, sep="\n")
            case _:
                print() if key == REDRAW else print(f"\n{render_review.UNKNOWN}")
        return key == REDRAW

    # -- what is shown

    def _show(self) -> None:
        from agent_tracker.rendering import review as render_review  # noqa: PLC0415
        from agent_tracker.rendering import text as render  # noqa: PLC0415

        columns, rows = _size()
        pending = self._commits[self._current]
        look = self._look(pending, columns, rows)
        place = (self._current + 1, len(self._commits))
        lines = render_review.card_lines(pending, look, place, columns - 1, self._given.get(self._current))
        render.show("", *lines)

    def _look(self, pending: Pending, columns: int, rows: int) -> Look:
        from agent_tracker.verbs.review import look  # noqa: PLC0415

        width, files = max(MIN_COLUMNS, columns - 1), max(MIN_ROWS, rows - CARD_ROWS)
        return look(self._repository, pending, columns=width, rows=files)

    def _open(self) -> None:
        """Let git show the whole commit; Ctrl-C is its pager's, and nothing is fetched."""
        import subprocess  # noqa: PLC0415 -- where it is asked for alone

        from agent_tracker.verbs.review import diff_command  # noqa: PLC0415

        env = {**os.environ, "GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": ""}
        before = signal.signal(signal.SIGINT, lambda *_: None)
        try:
            subprocess.run(diff_command(self._repository, self._commits[self._current].oid), env=env, check=False)
        except OSError as error:
            self._complain(AgentTrackerError(f"cannot run git: {error.strerror}"))
        finally:
            signal.signal(signal.SIGINT, before)

    def _complain(self, error: AgentTrackerError) -> None:
        from agent_tracker.rendering import review as render_review  # noqa: PLC0415
        from agent_tracker.rendering import text as render  # noqa: PLC0415

        render.show(render_review.trouble_line(error.message, error.hint))

    # -- what is done

    def _grade(self, word: str, keyboard: Keyboard) -> bool:
        """Give the current commit a grade, with a note if there is one; False where it was taken back or cannot be."""
        from agent_tracker.rendering import review as render_review  # noqa: PLC0415
        from agent_tracker.rendering import text as render  # noqa: PLC0415
        from agent_tracker.verbs.grading import grade  # noqa: PLC0415

        print(word)
        print(render_review.fitting(render_review.NOTE_PROMPTS, _size()[0]), end="", flush=True)
        note = keyboard.line()
        if note is None:
            print("\nnot graded")
            return False
        oid = self._commits[self._current].oid.hex()
        try:
            given = grade(self._repository, context_here(), oid, word, side="user", note_text=note.strip())
        except AgentTrackerError as error:
            self._complain(error)
            return False
        for report in given.reports:
            announce(report)
        render.show(render_review.graded_line(given))
        self._given.pop(self._current, None)
        self._given[self._current] = given
        self._skipped.discard(self._current)
        self._go_on()
        return True

    def _skip(self) -> None:
        if self._current not in self._given:
            self._skipped.add(self._current)
        self._go_on()

    def _go_on(self) -> None:
        """Go to the first commit that was not come to yet."""
        self._front = max(self._front, self._current + 1)
        self._current = self._front

    def _go_back(self) -> bool:
        """Go to the commit that was graded last before this one."""
        order = list(self._given)
        before = order[: order.index(self._current)] if self._current in order else order
        if not before:
            print("nothing to go back to")
            return False
        self._current = before[-1]
        return True


def _size() -> tuple[int, int]:
    """Return the terminal's columns and rows, which may have changed since the last card."""
    try:
        columns, rows = os.get_terminal_size(1)
    except OSError:
        return SIZE
    return columns or SIZE[0], rows or SIZE[1]
