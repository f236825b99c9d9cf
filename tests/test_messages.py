"""Messages: the last lines alone name agents, and what kind of work a commit says it is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from agent_tracker.messages import identity_marks, work_marks

if TYPE_CHECKING:
    from agent_tracker.records import Marks

CLAUDE = "Co-Authored-By: Claude <noreply@anthropic.com>"
FOOTER = "\N{ROBOT FACE} Generated with [Claude Code](https://claude.com/claude-code)"
BOTH = (("footer", "Claude Code"), ("trailer", CLAUDE))
OID = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param(f"Add it\n\nWhy.\n\n{CLAUDE}\n", (("trailer", CLAUDE),), id="trailer"),
        pytest.param(f"Add it\n\n{FOOTER}\n\n{CLAUDE}\n", BOTH, id="both"),
        pytest.param(f"Add it\n\nWhy.\n{FOOTER}\n{CLAUDE}\n", BOTH, id="close"),
        pytest.param(f"Add it\r\n\r\n{CLAUDE}\r\n", (("trailer", CLAUDE),), id="crlf"),
        pytest.param(f"Add it\n\n{CLAUDE}\n\n# Conflicts:\n#\tfile\n", (("trailer", CLAUDE),), id="conflicts-below"),
        pytest.param(
            f"Add it (#7)\n\n* one\n\n* two\n\n---------\n\nCo-authored-by: A <a@b>\n{CLAUDE}\n",
            (("trailer", "Co-authored-by: A <a@b>"), ("trailer", CLAUDE)),
            id="squash-merge",
        ),
        pytest.param(f"Add it\n\n{CLAUDE}\nSigned-off-by: A <a@b>\n", (("trailer", CLAUDE),), id="others-below"),
        pytest.param(f"Add it\n\n{CLAUDE}\n{CLAUDE}\n", (("trailer", CLAUDE),), id="repeated"),
        pytest.param("Add it\n\nGenerated with Claude Code\n", (("footer", "Claude Code"),), id="unlinked"),
    ],
)
def test_the_last_lines_name_agents(message: str, expected: Marks) -> None:
    """Trailers and footers, in whatever order programs and forges put them."""
    assert identity_marks(message) == expected


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(CLAUDE, id="subject"),
        pytest.param(f"\n\n{FOOTER}", id="subject-after-blanks"),
        pytest.param(f"Stop it\n\nThe agent wrote\n\n{CLAUDE}\n\nbelow each commit.\n", id="quoted-paragraph"),
        pytest.param(f"Stop it\n\n    {CLAUDE}\n", id="indented"),
        pytest.param(f"Stop it\n\n> {CLAUDE}\n", id="quoted"),
        pytest.param(f"Stop it\n\nWe say {CLAUDE}\n", id="in-a-line"),
        pytest.param(f"Stop it\n\n{FOOTER}\n\nis what it said.\n\nSigned-off-by: A <a@b>\n", id="quoted-footer"),
        pytest.param("Add it\n\nSigned-off-by: Claude <noreply@anthropic.com>\n", id="another-trailer"),
        pytest.param("", id="nothing"),
        pytest.param("\n\n\n", id="blanks"),
    ],
)
def test_no_other_line_names_an_agent(message: str) -> None:
    """Neither the subject nor what is quoted, indented or said in the text."""
    assert identity_marks(message) == ()


def test_marks_are_bounded() -> None:
    """A message with any number of trailers, of any length, leaves a few short marks."""
    message = "Add it\n\n" + "".join(f"Co-authored-by: {number} {'x' * 5000}\0\n" for number in range(400))
    marks = identity_marks(message)
    assert len(marks) == 20
    assert all(len(value) <= 300 and "\0" not in value for _, value in marks)


@pytest.mark.parametrize("part", ["Fix: ", "a: b\n", "- ", "fixes ", "Generated with [", "\n", "x", "* \n\n", "fix a/"])
def test_a_hostile_message_takes_no_time(part: str) -> None:
    """A million characters of what looks like the beginning of something: more than is read of any message."""
    message = "Add it\n\n" + part * (1_000_000 // len(part))
    began = time.process_time()
    identity_marks(message)
    work_marks(message)
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param("fix(core): it\n", (("fix", "type"),), id="conventional"),
        pytest.param("hotfix!: it\n", (("fix", "type"),), id="hotfix"),
        pytest.param("feat: fix the bug\n\nFixes #3\n", (), id="another-type-is-believed"),
        pytest.param("Mend it\n\nCloses #12\n", (("fix", "closes"),), id="closes"),
        pytest.param("Mend it\n\nResolves owner/repo#12\n", (("fix", "closes"),), id="closes-elsewhere"),
        pytest.param("Fixed a crash\n", (("fix", "words"),), id="words"),
        pytest.param("Add a prefix\n", (), id="part-of-a-word"),
        pytest.param(f"Mend it\n\nFixes: {OID}\n", (("fix", "trailer"), ("fixes", OID)), id="trailer"),
        pytest.param('Mend\n\nFixes: 0123456789ab ("Add")\n', (("fix", "trailer"), ("fixes", OID[:12])), id="short"),
        pytest.param(f'Revert "fix it"\n\nThis reverts commit {OID}.\n', (("reverts", OID),), id="revert"),
        pytest.param('Revert "Add it" (#8)\n', (("reverts", ""),), id="revert-without-oid"),
        pytest.param("Merge branch 'fix-bug'\n", (), id="merge"),
        pytest.param(f"Explain\n\nHe wrote: This reverts commit {OID}.\n", (), id="not-at-the-start"),
    ],
)
def test_a_message_says_what_work_it_is(message: str, expected: Marks) -> None:
    """A fix by what it is known, the most certain first, and what is taken back."""
    assert work_marks(message) == expected
