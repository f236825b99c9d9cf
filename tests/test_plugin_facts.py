from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_tracker.fact_json import fact_from_json, fact_to_json
from agent_tracker.journal import ActivityFact, GradeFact, RetroFact
from agent_tracker.lmdbjs.entries import DATABASES, Entry
from agent_tracker.lmdbjs.msgpackr import Moment
from agent_tracker.plugin_facts import Meant, Places, translate
from agent_tracker.records import Agent, AgentFact, CommitFact, StateFact
from agent_tracker.registration import agent_id
from facts import NOW, PROJECT, UNHURRIED, agent

NS = 10**9
AT = NOW * NS
OID = "ab" * 20
PLACES = Places(
    lambda path: PROJECT if path == "/p" else "", lambda _, name: bytes.fromhex(OID) if name == "abab123" else b""
)
ADA = {"id": "ada", "name": "ada", "model": "gpt-5", "scope": "docs", "active": True, "created_at": Moment(AT)}
COMMIT = {
    "agent_id": "ada",
    "commit_hash": OID,
    "project_path": "/p",
    "task_description": "Do",
    "timestamp": Moment(AT),
}
GRADE = {"agent_id": "ada", "commit_hash": OID, "project_path": "/p", "grade": 2, "timestamp": Moment(AT)}
RETRO = {
    "commit": OID,
    "timestamp": "2023-11-14T22:13:20.500Z",
    "task": "Do",
    "agent_grade": 2,
    "user_grade": 5,
    "agent_note": "mine",
    "user_note": "yours",
}
ACTIVITY = {"timestamp": "2023-11-14T22:13:20Z", "task": "t", "actions": "a", "outcome": "o", "decisions": "d"}
KEYS = {"agents": "ada", "commits": f"/p:{OID}", "communication": f"ada:{OID}:1", "retrospectives": f"ada:{OID}"}
KEYS |= {"activities": "ada:2023-11-14T22:13:20Z"}
WHOLE: dict[str, dict[str, Any]] = {
    "agents": ADA,
    "commits": COMMIT,
    "communication": GRADE,
    "retrospectives": RETRO,
    "activities": ACTIVITY,
}


def entry(database: str, fields: dict[str, Any] | None = None, key: str = "", **changed: Any) -> Entry:  # noqa: ANN401 -- of any kind
    """Return an entry, as it should be but for what is changed."""
    return Entry(database, key or KEYS[database], {**(WHOLE[database] if fields is None else fields), **changed})


def meant(*entries: Entry, known: tuple[Agent, ...] = ()) -> list[Meant]:
    """Return what entries mean."""
    return translate(entries, known, PLACES, now=NOW + 9)


def of(kind: str, *entries: Entry, known: tuple[Agent, ...] = ()) -> Meant:
    """Return what the one entry of a kind means."""
    (found,) = [each for each in meant(*entries, known=known) if each.kind == kind]
    return found


def test_an_agent_is_a_registration() -> None:
    """Its id follows from name, model and scope, as that of any other."""
    found = of("agents", entry("agents"))
    assert found == Meant(
        "agents", "ada", (AgentFact(agent_id("ada", "gpt-5", "docs"), "ada", "gpt-5", "docs", "", NOW),)
    )


def test_what_an_agent_had_earned_is_left_out_and_named() -> None:
    """Totals are no facts."""
    found = of("totals", entry("agents", skill_points=3, experience_points=23.5, total_bugs=0))
    assert (found.facts, found.reason) == ((), "a standing follows from facts")
    assert found.detail == "skill_points 3, experience_points 23.5, total_bugs 0"


def test_an_agent_that_is_not_active_is_retired() -> None:
    """When it was changed last."""
    found = of("agents", entry("agents", active=False, updated_at=Moment(AT + 5 * NS)))
    assert found.facts[1] == StateFact(agent_id("ada", "gpt-5", "docs"), "retired", AT + 5 * NS)


def test_an_agent_that_is_here_stays_as_it_is() -> None:
    """Whatever the plugin says of it."""
    known = agent("ada", model="gpt-5")
    found = of("agents", entry("agents", scope="all", active=False), known=(known,))
    assert [type(fact) for fact in found.facts] == [AgentFact]


def test_a_name_that_means_somebody_here_goes_on_to_mean_one() -> None:
    """Another setup of that name comes retired, and it is said how it is resumed."""
    found = of("agents", entry("agents"), known=(agent("ada"),))
    assert isinstance(found.facts[1], StateFact)
    assert found.reason == (
        f"retired: another agent here is called ada; agent-tracker agents resume {agent_id('ada', 'gpt-5', 'docs')}"
    )


def test_two_entries_of_one_setup_are_one_agent() -> None:
    """It is active if one of them is, and both names lead to it."""
    second = entry("agents", key="ada-2", active=False)
    found = meant(entry("agents"), second, entry("commits", agent_id="ada-2"))
    setup = agent_id("ada", "gpt-5", "docs")
    assert [each.facts[0][0] for each in found if each.kind == "agents"] == [setup, setup]
    assert not any(isinstance(fact, StateFact) for each in found for fact in each.facts)
    commit = found[-1].facts[0]
    assert isinstance(commit, CommitFact)
    assert dict(commit.marks) == {"found": "1", "plugin": setup, "plugin-id": "ada-2"}


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        ({"name": ""}, ("ada", "gpt-5", "docs")),
        ({"model": None, "scope": 7}, ("ada", "unknown", "unknown")),
        ({"name": "Human"}, ("Human-agent", "gpt-5", "docs")),
        ({"name": "a\x1b[31m\nb"}, ("a [31m b", "gpt-5", "docs")),
    ],
    ids=["no name", "no model", "human", "control characters"],
)
def test_a_setup_that_cannot_be_kept_as_it_is(changed: dict[str, Any], wanted: tuple[str, ...]) -> None:
    """It is made one that can be, for commits are its own."""
    (fact,) = of("agents", entry("agents", **changed)).facts
    assert fact[1:4] == wanted


def test_a_long_scope_is_cut_and_said_to_be() -> None:
    """Two that begin alike stay two."""
    one, other = (of("agents", entry("agents", scope="z" * 20_000 + end)) for end in "ab")
    assert one.reason == "scope cut from 20001 characters to 100"
    assert isinstance(one.facts[0], AgentFact)
    assert len(one.facts[0].scope) == 100
    assert one.facts[0] != other.facts[0]


@pytest.mark.parametrize("at", [None, "soon", -5, 1e400, Moment(-1), Moment(1 << 70)])
def test_an_agent_that_does_not_say_since_when_is_from_now(at: object) -> None:
    """Or from when it was changed last."""
    facts = [*of("agents", entry("agents", created_at=at)).facts]
    facts += of("agents", entry("agents", created_at=at, updated_at=Moment(AT))).facts
    assert [fact.recorded_at for fact in facts if isinstance(fact, AgentFact)] == [NOW + 9, NOW]


def test_a_commit_says_whose_it_is() -> None:
    """By our id, beside the plugin's; no hook saw it."""
    found = of("commits", entry("agents"), entry("commits", task_description="Do\x00 it\nand more"))
    marks = (("found", "1"), ("plugin", agent_id("ada", "gpt-5", "docs")), ("plugin-id", "ada"))
    assert found.facts == (CommitFact(bytes.fromhex(OID), PROJECT, "commit", marks, NOW, NOW, "Do\x00 it"),)


@pytest.mark.parametrize(
    ("plugin_id", "marks"),
    [("gone", (("found", "1"), ("plugin", "gone"), ("plugin-id", "gone"))), (None, (("found", "1"),))],
)
def test_a_commit_of_an_agent_without_an_entry(plugin_id: object, marks: tuple[tuple[str, str], ...]) -> None:
    """It is nobody's until somebody of that name is registered."""
    (fact,) = of("commits", entry("commits", agent_id=plugin_id)).facts
    assert isinstance(fact, CommitFact)
    assert fact.marks == marks


def test_a_commit_that_is_named_in_short_is_looked_up() -> None:
    """Where its project's repository knows it."""
    (fact,) = of("commits", entry("commits", commit_hash="ABAB123")).facts
    assert fact[0] == bytes.fromhex(OID)


@pytest.mark.parametrize(
    ("database", "changed", "reason"),
    [
        ("commits", {"commit_hash": "abc1234"}, "it does not name its commit in full"),
        ("commits", {"commit_hash": "../../etc"}, "it does not name its commit in full"),
        ("commits", {"project_path": "shop"}, "it does not say in which directory its project lies"),
        ("commits", {"timestamp": None}, "it does not say when the commit was made"),
        ("commits", {"timestamp": Moment(1 << 62)}, "it does not say when the commit was made"),
        ("communication", {"commit_hash": "abc1234"}, "it does not name its commit in full"),
        ("communication", {"grade": 3}, "it does not name a grade that is known"),
        ("communication", {"grade": True}, "it does not name a grade that is known"),
        ("communication", {"timestamp": "x"}, "it does not name when it was given"),
        ("retrospectives", {"timestamp": ""}, "it does not say when it was written"),
        ("activities", {"timestamp": 0}, "it does not say when it was written"),
    ],
)
def test_what_cannot_be_a_fact_is_skipped_with_a_reason(database: str, changed: dict[str, Any], reason: str) -> None:
    """And named."""
    found = of(database, entry(database, **changed))
    assert (found.facts, found.reason, found.key) == ((), reason, KEYS[database])


@pytest.mark.parametrize(("number", "word"), [(-1, "bad"), (1, "neutral"), (2.0, "good"), (5, "excellence")])
def test_a_grade_is_one_of_ours(number: float, word: str) -> None:
    """With the reason that was given as its note."""
    (fact,) = of("communication", entry("communication", grade=number, reason="why")).facts
    assert isinstance(fact, GradeFact)
    assert (fact.oid, fact.grade, fact.note, fact.recorded_ns) == (bytes.fromhex(OID), word, "why", AT)


@pytest.mark.parametrize(
    ("grades", "looked_back", "sides"),
    [
        ([2], None, ["agent"]),
        ([2, 5], None, ["agent", "user"]),
        ([2, 5, 1, -1], None, ["agent", "user", "agent", "user"]),
        ([5], (2, 5), ["user"]),
        ([5, 2], (2, 5), ["user", "agent"]),
        ([2, 2], (2, 2), ["agent", "user"]),
        ([1], (2, 5), ["agent"]),
    ],
)
def test_whose_a_grade_is(grades: list[int], looked_back: tuple[int, int] | None, sides: list[str]) -> None:
    """As the retrospective says, else in the order in which the plugin asks."""
    entries = [
        entry("communication", key=f"ada:{OID}:{at}", grade=number, timestamp=Moment(AT + at))
        for at, number in enumerate(grades)
    ]
    if looked_back:
        entries.append(entry("retrospectives", agent_grade=looked_back[0], user_grade=looked_back[1]))
    facts = [each.facts[0] for each in meant(*entries) if each.kind == "communication"]
    assert [fact.side for fact in facts if isinstance(fact, GradeFact)] == sides


def test_a_retrospective() -> None:
    """All of it, in the project of its commit."""
    found = of("retrospectives", entry("agents"), entry("commits"), entry("retrospectives"))
    setup = agent_id("ada", "gpt-5", "docs")
    fact = found.facts[0]
    oid = bytes.fromhex(OID)
    assert isinstance(fact, RetroFact)
    assert fact[1:] == (oid, "", setup, "Do", "good", "excellence", "mine", "yours", PROJECT, AT + NS // 2)


def test_a_retrospective_of_no_known_commit_keeps_its_words() -> None:
    """It is about a session by that name, as one without a commit is here."""
    (fact,) = of("retrospectives", entry("retrospectives", key="ada:abc", commit="abc")).facts
    assert isinstance(fact, RetroFact)
    assert (fact.oid, fact.session, fact.agent, fact.agent_note) == (b"", "plugin abc", "ada", "mine")


def test_an_activity() -> None:
    """Whose it is stands in its key, before a time that has colons too."""
    (fact,) = of("activities", entry("agents"), entry("activities")).facts
    assert isinstance(fact, ActivityFact)
    assert fact[1:] == (agent_id("ada", "gpt-5", "docs"), "", b"", "t", "a", "o", "d", "", AT)


def test_a_long_text_is_cut_and_said_to_be() -> None:
    """It is as long as a note may be."""
    found = of("activities", entry("activities", task="x" * 30_000))
    assert found.reason == "task cut from 30000 characters to 20000"
    assert isinstance(found.facts[0], ActivityFact)
    assert len(found.facts[0].task) == 20_000


@pytest.mark.parametrize(
    ("database", "kind", "reason"),
    [
        ("projects", "projects", "what a project is made of is not kept"),
        ("migrations", "migrations", "the plugin's own bookkeeping"),
        ("", "", "of no kind that is known"),
        ("else", "", "of no kind that is known"),
    ],
)
def test_what_is_no_fact_is_skipped(database: str, kind: str, reason: str) -> None:
    """With the reason."""
    assert meant(Entry(database, "k", {"a": 1})) == [Meant(kind, "k", (), reason)]


def test_an_entry_that_cannot_be_read_is_unreadable() -> None:
    """It is named like the others."""
    assert meant(Entry("agents", "big", None, "why")) == [Meant("agents", "big", (), "why", is_unreadable=True)]


def test_the_same_entry_is_the_same_fact_wherever_it_lies() -> None:
    """The plugin gives a grade another key when it moves it; its words are the same."""
    (one,), (other,) = (of("communication", entry("communication", key=f"ada:{OID}:{at}")).facts for at in (1, 2))
    assert one == other
    assert one != of("communication", entry("communication", reason="else")).facts[0]


FIELDS = sorted({name for fields in WHOLE.values() for name in fields} | {"reason", "skill_points"})
VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=60)
    | st.integers(-(1 << 70), 1 << 70).map(Moment)
    | st.sampled_from([OID, "abab123", "2023-11-14T22:13:20Z", "9999-12-31T23:59:59+23:59", "0001-01-01", "ada"])
)


@settings(UNHURRIED, max_examples=300)
@given(
    st.lists(
        st.builds(
            Entry,
            st.sampled_from((*DATABASES, "", "x")),
            st.text(max_size=30) | st.sampled_from(sorted(KEYS.values())),
            st.none() | st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=12),
            st.just(""),
        ),
        max_size=8,
    )
)
def test_any_entries_become_facts_that_a_store_may_hold(entries: list[Entry]) -> None:
    """Each fact passes the checks of an import, and every entry comes out once at least."""
    entries = [each if each.fields is not None else each._replace(trouble="why") for each in entries]
    found = meant(*entries)
    assert len([each for each in found if each.kind != "totals"]) == len(entries)
    for each in found:
        assert each.facts or each.reason
        for fact in each.facts:
            assert fact_from_json(fact_to_json(fact)) == fact
            assert not isinstance(fact, CommitFact) or fact.project
