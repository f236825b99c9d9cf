"""What a commit was made of, as the comparison sees it: copies, squashes, parts, and what is none of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent_tracker.origins import (
    ARRIVED,
    TOLD,
    UNTOLD,
    Origin,
    Work,
    find_copied,
    find_gathered,
    find_parts,
    find_squashed,
    lines_of,
)
from facts import UNHURRIED, oid


def work(name: str, lines: str, *, author: str = "A", at: int = 1, message: str = "") -> Work:
    """Return a commit that adds a line for each small letter, and takes out one for each capital."""
    changes: dict[int, int] = {}
    for letter in lines:
        key = ord(letter.lower())
        changes[key] = changes.get(key, 0) + (1 if letter.islower() else -1)
    return Work(oid(name), author, at, message or name, {line: n for line, n in changes.items() if n})


def names(origin: Origin | None) -> list[bytes]:
    """Return the sources of an origin."""
    return [source for source, _ in origin.sources] if origin else []


def test_a_squash_is_the_sum_of_its_commits() -> None:
    """Lines that one commit added and the next took out are in neither."""
    chain = [work("a", "abcdef"), work("b", "Aghij"), work("c", "klmn")]
    origin = find_squashed(work("s", "bcdefghij"), [chain], UNTOLD)
    assert origin == Origin(((oid("a"), 6), (oid("b"), 5)), 0)


def test_the_best_of_several_branches_is_taken() -> None:
    """Another branch with some of the same lines is not it."""
    one, other = [work("a", "abcdefgh")], [work("b", "abcdefxy"), work("c", "z")]
    assert names(find_squashed(work("s", "abcdefgh"), [other, one], ARRIVED)) == [oid("a")]


def test_what_is_almost_the_same_is_new_unless_something_tells() -> None:
    """Two commits that regenerate one file have most lines in common."""
    chain = [work("a", "abcdefghij"), work("b", "k")]
    squash = work("s", "abcdefghijxy")
    assert find_squashed(squash, [chain], UNTOLD) is None
    assert names(find_squashed(squash, [chain], TOLD)) == [oid("a")]
    assert names(find_squashed(squash, [chain], ARRIVED)) == [oid("a")]


def test_what_is_told_must_still_be_there() -> None:
    """Half of what was to be squashed is something else."""
    assert find_squashed(work("s", "abcdxyz"), [[work("a", "abcdefgh")]], TOLD) is None


def test_lines_of_ones_own_are_counted() -> None:
    """What was added to a squash before it was committed is the committer's."""
    origin = find_squashed(work("s", "abcdefghxy"), [[work("a", "abcdefgh")]], TOLD)
    assert origin == Origin(((oid("a"), 8),), 2)


def test_the_same_small_change_may_be_made_twice() -> None:
    """Of a few lines nobody can say who copied whom, unless the whole message was copied too."""
    chain = [work("a", "abcdefghi", message="subject\n\nbody")]
    assert find_squashed(work("s", "abcdefghi", message="subject"), [chain], UNTOLD) is None
    assert names(find_squashed(work("s", "abcdefghi", message="subject\n\nbody\n"), [chain], UNTOLD)) == [oid("a")]
    many = work("m", "abcdefghij")
    assert names(find_squashed(work("s", "abcdefghij"), [[many]], UNTOLD)) == [oid("m")]


def test_a_forges_small_squash_has_its_number_or_author() -> None:
    """A line that somebody else wrote as well is theirs."""
    chain = [work("a", "a")]
    assert find_squashed(work("s", "a", author="B"), [chain], ARRIVED) is None
    assert names(find_squashed(work("s", "a", author="B", message="A (#12)"), [chain], ARRIVED)) == [oid("a")]
    assert names(find_squashed(work("s", "a", author="B", message="a"), [chain], ARRIVED)) == [oid("a")]
    assert names(find_squashed(work("s", "a"), [chain], ARRIVED)) == [oid("a")]


def test_a_copy_has_its_authors_name_and_time() -> None:
    """The same author in the same second: the subject decides, then the lines."""
    copy = work("c", "abc", message="subject")
    same = work("a", "xyz", message="subject")
    assert find_copied(copy, [work("b", "abc", at=2), work("d", "abc", author="B")], is_certain=True) is None
    assert find_copied(copy, [work("b", "abc", message="other"), same], is_certain=True) == oid("a")
    assert find_copied(copy, [same], is_certain=False) is None
    assert find_copied(copy, [same, work("e", "abx", message="subject")], is_certain=True) == oid("e")
    others = [work("b", "abc", message="other"), work("d", "xyz", message="more")]
    assert find_copied(copy, others, is_certain=True) == oid("b")
    assert find_copied(copy, [work("d", "xyz", message="other")], is_certain=True) is None


def test_a_rebase_gathers_commits_in_any_order() -> None:
    """A fixup moved behind its commit: those whose lines are there, not the one in between."""
    left = [work("a", "abc"), work("b", "def"), work("c", "ghi")]
    origin = find_gathered(work("s", "abcghi"), left)
    assert origin == Origin(((oid("a"), 3), (oid("c"), 3)), 0)


def test_parts_take_in_what_was_left() -> None:
    """Two commits after a reset that have all of its lines are made of it, each with what it took."""
    left = [work("a", "abcdef")]
    one, two = work("one", "abcx"), work("two", "def")
    assert find_parts([one, two], left) == {
        one.oid: Origin(((oid("a"), 3),), 1),
        two.oid: Origin(((oid("a"), 3),), 0),
    }


def test_what_was_thrown_away_is_no_part() -> None:
    """A header in common, after a reset that kept nothing, makes no part; nor do a few of a commit's own lines."""
    left = [work("a", "abcdefgh")]
    assert find_parts([work("new", "abcdxyzw")], left) == {}
    assert find_parts([work("new", "abcdefgh" + "".join(map(chr, range(200, 220))))], left) == {}
    assert find_parts([work("back", "ABCDEFGH")], left) == {}


LETTERS = st.text("abcdefghijklmnop", min_size=1, max_size=10)


@UNHURRIED
@given(before=st.lists(LETTERS, max_size=3), rows=st.lists(LETTERS, min_size=1, max_size=4))
def test_any_run_of_commits_is_found_by_its_sum(before: list[str], rows: list[str]) -> None:
    """A squash of commits in a row is told to be just that, wherever they lie in their branch."""
    earlier = [work(f"before {number}", lines.upper()) for number, lines in enumerate(before)]
    chain = [work(f"row {number}", lines) for number, lines in enumerate(rows)]
    squash = work("s", "".join(rows))
    origin = find_squashed(squash, [[*earlier, *chain]], TOLD)
    assert origin is not None
    assert origin.own_lines == 0
    assert sum(lines for _, lines in origin.sources) >= lines_of(squash.changes)
