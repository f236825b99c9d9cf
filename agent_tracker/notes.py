"""What a note of git-ai says of a commit: which agents wrote lines of it.

Owns reading that format. Pure; a note is untrusted, and one that is none says nothing.

Source: Git AI Standard 3.0.0: `<attestations>`, a line `---`, a JSON object with `sessions` and `prompts`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_tracker.records import Marks

__all__ = ["MAX_NOTE_BYTES", "NOTES_REF", "note_marks"]

NOTES_REF = "refs/notes/ai"
MAX_NOTE_BYTES = 1 << 20
MAX_AGENTS = 20
MAX_WORD = 100
_DIVIDER = "---\n"
_OLD_DIGITS = 7
"""How much of a prompt's key the first versions wrote."""


def note_marks(note: bytes) -> Marks:
    """Return a mark `note` for each agent that wrote lines of the commit: `<tool>:<model>`, the model as it is given.

    Agents whose lines did not get into the commit are named in the object alone, and count for nothing.
    """
    text = note.decode("utf-8", "replace").replace("\r\n", "\n")
    lines, divider, data = text.partition("\n" + _DIVIDER)
    if not divider:
        return ()
    try:
        records = json.loads(data)
    except (ValueError, RecursionError):
        return ()
    if not isinstance(records, dict):
        return ()
    keys = {line.split()[0].partition("::")[0] for line in lines.split("\n") if line.startswith("  ") and line.strip()}
    found = (("note", f"{tool}:{model}") for tool, model in _agents(records, keys))
    return tuple(dict.fromkeys(found))[:MAX_AGENTS]


def _agents(records: dict[str, object], keys: set[str]) -> Iterator[tuple[str, str]]:
    for table in (records.get("sessions"), records.get("prompts")):
        for key, record in table.items() if isinstance(table, dict) else ():
            agent = record.get("agent_id") if isinstance(record, dict) else None
            if isinstance(agent, dict) and (key in keys or key[:_OLD_DIGITS] in keys):
                tool, model = agent.get("tool"), agent.get("model")
                if isinstance(tool, str) and tool.isprintable():
                    named = model if isinstance(model, str) and model.isprintable() else ""
                    yield tool[:MAX_WORD], named[:MAX_WORD]
