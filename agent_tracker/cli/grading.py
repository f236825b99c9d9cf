"""Grading a commit, and the record of the grades.

Owns those commands' options. Never holds logic of its own.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from agent_tracker.cli.base import Json, NoFlush, context_here, repository_here
from agent_tracker.cli.listing import list_entries
from agent_tracker.errors import UsageError
from agent_tracker.journal import MAX_NOTE

if TYPE_CHECKING:
    from agent_tracker.context import Context
    from agent_tracker.tables import Snapshot
    from agent_tracker.views.grades import GradeEntry

__all__ = ["NUMBERS_ARE_WORDS", "grade", "grades", "note_of"]

NUMBERS_ARE_WORDS = {"ignore_unknown_options": True}
"""Typer's setting for a command whose `-1` is a grade and no option."""

EXAMPLE = "agent-tracker grade HEAD good"
Note = Annotated[str, typer.Option("--note", help=f"A word on why, at most {MAX_NOTE:,} characters; - reads it.")]


def grade(
    words: Annotated[list[str] | None, typer.Argument(metavar="[COMMIT] GRADE", show_default=False)] = None,
    *,
    by: Annotated[str, typer.Option(help="Whose grade: user or agent; default: who types.")] = "",
    note: Note = "",
    as_json: Json = False,
) -> None:
    """Grade an agent's commit: bad (-1), neutral (+1), good (+2) or excellence (+5). COMMIT defaults to HEAD."""
    from agent_tracker.rendering import grading as render_grading  # noqa: PLC0415 -- its imports are for what is shown
    from agent_tracker.rendering import text as render  # noqa: PLC0415 -- as above
    from agent_tracker.verbs import grading  # noqa: PLC0415 -- its imports are this command's alone

    revision, word = _split(words or [])
    given = grading.grade(repository_here(), context_here(), revision, word, side=by, note_text=note_of(note))
    if as_json:
        render.show_json("grade", render_grading.given_json(given))
    else:
        render.show(*render_grading.given_lines(given))


def _split(words: list[str]) -> tuple[str, str]:
    """Return the revision and the grade."""
    unknown = next((word for word in words if word.startswith("-") and not word[1:].strip("-").isdigit()), "")
    if unknown:
        raise UsageError(f"no such option: {unknown[:40]}", "agent-tracker grade --help")
    match words:
        case [word]:
            return "HEAD", word
        case [revision, word]:
            return revision, word
        case []:
            raise UsageError("which grade: bad, neutral, good or excellence?", EXAMPLE)
    raise UsageError(f"{len(words)} words where [COMMIT] GRADE is wanted", f"{EXAMPLE} --note 'a word on why'")


def note_of(text: str) -> str:
    """Return a note as it was given: `-` is what stands on standard input, without its last newline."""
    if text != "-":
        return text
    from agent_tracker.verbs.writing import read_input  # noqa: PLC0415 -- only where something is piped in

    return read_input(sys.stdin.buffer).removesuffix("\n")


def grades(
    *,
    agent: Annotated[str, typer.Option(help="Only this agent's work.")] = "",
    everywhere: Annotated[bool, typer.Option("--all", help="Of all projects.")] = False,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="At most so many.")] = None,
    as_json: Json = False,
    no_flush: NoFlush = False,
) -> None:
    """List the grades that were given, newest first, the replaced ones too."""
    from agent_tracker.rendering import grading as render_grading  # noqa: PLC0415
    from agent_tracker.rendering import text as render  # noqa: PLC0415
    from agent_tracker.verbs import grading  # noqa: PLC0415

    def listed(snapshot: Snapshot | None, context: Context, project: str | None, shown: int | None) -> list[GradeEntry]:
        return grading.grades(snapshot, context, project=project, agent=agent, limit=shown)

    entries, more = list_entries(listed, everywhere=everywhere, limit=limit, as_json=as_json, no_flush=no_flush)
    if as_json:
        render.show_json("grades", render_grading.grades_json(entries))
    elif entries:
        render_grading.show_grades(entries)
        render.show(*more)
    else:
        render.show(f"No grades here yet: {EXAMPLE}")
