"""Reading what a client writes to its hook: JSON, from anybody.

Owns bounds: of the whole, and of each word that is taken from it. Never imports `json`, which takes as long as the
interpreter itself, where the part of it that does the work can be had alone.
"""

from __future__ import annotations

import os

from agent_tracker.clients.base import BEGIN, COMPACT, END, IDLE, TURN, USE, Told

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

__all__ = [
    "USUAL_EVENTS",
    "exit_code_behind",
    "meanings",
    "model_in",
    "parse",
    "path_in",
    "read_all",
    "shaped",
    "text_in",
    "word_in",
]

MAX_BYTES = 32 << 20
MAX_WORD = 100
MAX_MODEL = 200
MAX_PATH = 4096
MAX_CODE_DIGITS = 9
_BLOCK_BYTES = 1 << 20


class _Rules:
    """How JSON is read: as the standard library does."""

    strict = False
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = float
    """An integer may have any number of digits, and none of them is needed exactly."""

    parse_constant = float


def read_all(descriptor: int) -> bytes:
    """Return everything that is written to a descriptor, empty where it is more than 32 MiB."""
    blocks = []
    size = 0
    while block := os.read(descriptor, _BLOCK_BYTES):
        size += len(block)
        if size > MAX_BYTES:
            return b""
        blocks.append(block)
    return b"".join(blocks)


def parse(data: bytes) -> Mapping[str, object]:
    """Return the object that a JSON text is.

    Raises:
        ValueError: It is none.
        RecursionError: It is nested too deeply.
    """
    rules: Any = _Rules  # any object with these names will do
    document = data.decode("utf-8", "replace").strip("\ufeff \t\r\n")
    try:
        from _json import make_scanner  # noqa: PLC0415 -- CPython has it

        found, _ = make_scanner(rules)(document, 0)
    except ImportError:
        from json import loads  # noqa: PLC0415 -- as above

        found = loads(document)
    except StopIteration as error:
        raise ValueError("not JSON") from error
    if isinstance(found, dict):
        return found
    raise ValueError("not an object")


def text_in(payload: object, *names: str) -> str:
    """Return the first of these fields that is text, empty where none is."""
    if isinstance(payload, dict):
        for name in names:
            value = payload.get(name)
            if value and isinstance(value, str):
                return value
    return ""


def word_in(payload: object, *names: str) -> str:
    """Return a field that is an id: printable, without spaces, at most a hundred characters; empty where it is not."""
    text = text_in(payload, *names)
    return text if len(text) <= MAX_WORD and text.isprintable() and " " not in text else ""


def model_in(payload: object) -> str:
    """Return the field that names the model, empty where it cannot be kept."""
    text = text_in(payload, "model")
    return text if len(text) <= MAX_MODEL and text.isprintable() else ""


def path_in(payload: object, *names: str) -> str:
    """Return a field that is an absolute path."""
    text = text_in(payload, *names)
    return text if text.startswith("/") and len(text) <= MAX_PATH and "\0" not in text else ""


def exit_code_behind(mark: str, text: str) -> int:
    """Return the number that follows the last occurrence of a mark, 0 where there is none."""
    _, found, rest = text.rpartition(mark)
    digits = rest[:MAX_CODE_DIGITS].lstrip()
    length = next((at for at, c in enumerate(digits) if c not in "0123456789"), len(digits))
    return int(digits[:length]) if found and length else 0


_FAILURE, _CHILD, _CHILD_END = "failure", "child", "child-end"
_MEANINGS = {
    "SessionStart": BEGIN,
    "UserPromptSubmit": TURN,
    "PostToolUse": USE,
    "PostToolUseFailure": _FAILURE,
    "SubagentStart": _CHILD,
    "SubagentStop": _CHILD_END,
    "PreCompact": COMPACT,
    "Stop": IDLE,
    "SessionEnd": END,
}
"""The events of Claude Code, which most others have taken over."""

USUAL_EVENTS = (
    "SessionStart",
    "PostToolUse",
    "PostToolUseFailure",
    "SubagentStart",
    "SubagentStop",
    "PreCompact",
    "Stop",
    "SessionEnd",
)
"""Those that an adapter listens to where its client has them all."""

_OUTCOMES = {_FAILURE: USE, _CHILD: BEGIN, _CHILD_END: END}


def shaped(
    payload: Mapping[str, object],
    events: Mapping[str, str],
    *,
    shells: frozenset[str],
    has_failed: Callable[[Mapping[str, object]], bool] | None = None,
) -> Told | None:
    """Return what a payload of Claude Code's shape says.

    Args:
        payload: Untrusted.
        events: As the adapter has them.
        shells: The tools that run a command.
        has_failed: Tells whether a tool failed whose client says that it was used.
    """
    name = text_in(payload, "hook_event_name")
    meaning = events.get(name, "")
    session, child = word_in(payload, "session_id"), word_in(payload, "agent_id")
    if not meaning or not session or (meaning in {_CHILD, _CHILD_END} and not child):
        return None
    # A subagent waits for nobody, and its parent tells of its beginning and its end.
    if child and meaning in {BEGIN, TURN, IDLE, END}:
        return None
    return Told(
        _OUTCOMES.get(meaning, meaning),
        child or session,
        parent=session if child else "",
        model=model_in(payload),
        cwd=path_in(payload, "cwd"),
        transcript=_transcript(payload, child),
        is_command=meaning in {USE, _FAILURE} and text_in(payload, "tool_name") in shells,
        has_failed=meaning == _FAILURE or (meaning == USE and bool(has_failed and has_failed(payload))),
    )


def _transcript(payload: Mapping[str, object], child: str) -> str:
    """Return where a session's transcript is; a subagent's is known from where its parent's is."""
    path = path_in(payload, "transcript_path")
    if not child or not path:
        return path
    return path_in(payload, "agent_transcript_path") or f"{path.removesuffix('.jsonl')}/subagents/agent-{child}.jsonl"


def meanings(*names: str) -> dict[str, str]:
    """Return these events of Claude Code's with what each of them says."""
    return {name: _MEANINGS[name] for name in names}
