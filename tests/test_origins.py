"""What a commit was made of, as the comparison sees it: copies, squashes, parts, and what is none of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent_tracker.origins import Origin, Work, find_copied, find_gathered, find_parts, find_squashed, lines_of
from facts import UNHURRIED, oid


def work(  # noqa: PLR0913 -- what a commit is compared by
    name: str, lines: str, *, who: str = "x", author: str = "A", at: int = 1, message: str = ""
) -> Work:
    """Return a commit that adds a line for each small letter, and takes out one for each capital."""
    changes: dict[int, int] = {}
    for letter in lines:
        key = ord(letter.lower())
        changes[key] = changes.get(key, 0) + (1 if letter.islower() else -1)
    return Work(oid(name), author, at, message or name, who, {line: n for line, n in changes.items() if n})


def names(origin: Origin | None) -> list[bytes]:
    """Return the sources of an origin."""
    return [source for source, _ in origin.sources] if origin else []


def test_a_squash_is_the_sum_of_its_commits() -> None:
    """Lines that one commit added and the next took out are in neither."""
    chain = [work("a", "abcdef"), work("b", "Aghij"), work("c", "klmn")]
    origin = find_squashed(work("s", "bcdefghij", who="y"), [chain])
    assert origin == Origin(((oid("a"), 6), (oid("b"), 5)), 0)


def test_the_best_of_several_branches_is_taken() -> None:
    """Another branch with some of the same lines is not it."""
    one, other = [work("a", "abcdefgh")], [work("b", "abcdefxy"), work("c", "z")]
    assert names(find_squashed(work("s", "abcdefgh"), [other, one])) == [oid("a")]


def test_new_work_is_new() -> None:
    """Half of the lines in common make no squash, unless something tells."""
    chain = [work("a", "abcdefgh"), work("b", "ijkl")]
    squash = work("s", "abcdefuvwxyz")
    assert find_squashed(squash, [chain]) is None
    assert names(find_squashed(squash, [chain], is_told=True)) == [oid("a")]


def test_lines_of_ones_own_are_counted() -> None:
    """What was added to a squash before it was committed is the committer's."""
    origin = find_squashed(work("s", "abcdefghxy", who="y"), [[work("a", "abcdefgh")]])
    assert origin == Origin(((oid("a"), 8),), 2)


def test_two_agents_may_make_the_same_small_change() -> None:
    """Of a change of a line or two, nobody can say who copied whom: an agent keeps what a hook saw it make."""
    chain = [work("a", "ab", who="x")]
    assert find_squashed(work("s", "ab", who="y"), [chain]) is None
    assert names(find_squashed(work("s", "ab", who="x"), [chain])) == [oid("a")]
    assert names(find_squashed(work("s", "ab", who="human"), [chain])) == [oid("a")]
    assert names(find_squashed(work("s", "abcdef", who="y"), [[work("a", "abcdef")]])) == [oid("a")]
    assert names(find_squashed(work("s", "ab", who="y", message="a"), [chain])) == [oid("a")]


def test_small_changes_must_be_the_very_same() -> None:
    """Three lines of four are no proof."""
    assert find_squashed(work("s", "abcx", who="human"), [[work("a", "abcd")]]) is None


def test_a_forge_that_lists_the_commits_is_believed() -> None:
    """Where the message has every subject, it may be edited more, by a conflict say."""
    chain = [work("add a", "abcdefgh"), work("add b", "ijklmnop")]
    squash = work("s", "abcdefghijkluvwxyz", message="Both (#3)\n\n* add a\n* add b (#2)\n")
    assert names(find_squashed(squash, [chain])) == [oid("add a"), oid("add b")]


def test_a_copy_has_its_authors_name_and_time() -> None:
    """The same author in the same second: the subject decides, then the lines."""
    copy = work("c", "abc", message="subject")
    same = work("a", "xyz", message="subject")
    assert find_copied(copy, [work("b", "abc", at=2), work("d", "abc", author="B")]) is None
    assert find_copied(copy, [work("b", "abc", message="other"), same]) == oid("a")
    assert find_copied(copy, [work("b", "abc", message="other"), work("d", "xyz", message="more")]) == oid("b")
    assert find_copied(copy, [work("d", "xyz", message="other")]) is None


def test_a_rebase_gathers_commits_in_any_order() -> None:
    """A fixup moved behind its commit: those whose lines are there, not the one in between."""
    left = [work("a", "abc"), work("b", "def"), work("c", "ghi")]
    origin = find_gathered(work("s", "abcghi"), left)
    assert origin == Origin(((oid("a"), 3), (oid("c"), 3)), 0)


def test_a_part_is_most_of_a_commit_that_was_left() -> None:
    """Half of its lines at least come from there; the rest is its own."""
    left = [work("a", "abcdef")]
    assert find_parts(work("p", "abc"), left) == Origin(((oid("a"), 3),), 0)
    assert find_parts(work("p", "abcxy"), left) == Origin(((oid("a"), 3),), 2)
    assert find_parts(work("p", "axyz"), left) is None
    assert find_parts(work("p", "ABC"), left) is None


LETTERS = st.text("abcdefghijklmnop", min_size=1, max_size=10)


@UNHURRIED
@given(before=st.lists(LETTERS, max_size=3), rows=st.lists(LETTERS, min_size=1, max_size=4))
def test_any_run_of_commits_is_found_by_its_sum(before: list[str], rows: list[str]) -> None:
    """A squash of commits in a row is told to be just that, wherever they lie in their branch."""
    earlier = [work(f"before {number}", lines.upper()) for number, lines in enumerate(before)]
    chain = [work(f"row {number}", lines) for number, lines in enumerate(rows)]
    squash = work("s", "".join(rows), who="x")
    origin = find_squashed(squash, [[*earlier, *chain]])
    assert origin is not None
    assert origin.own_lines == 0
    assert sum(lines for _, lines in origin.sources) >= lines_of(squash.changes)
