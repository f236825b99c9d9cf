"""Facts to a file and back: nothing is lost on the way, nothing wrong gets in, and two stores become one."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from agent_tracker.context import Context, open_store
from agent_tracker.errors import AgentTrackerError, RecordError, RegistrationError, UsageError
from agent_tracker.every_fact import count_facts, every_fact
from agent_tracker.fact_files import ARCHIVE, FactReader, write_facts
from agent_tracker.fact_json import FACTS, format_object
from agent_tracker.journal import GRADES, PULSES, ActivityFact, BugFact, ForgetFact, RetroFact, RulesFact
from agent_tracker.marks import SESSION_VARIABLE
from agent_tracker.paths import user_paths
from agent_tracker.records import OPERATIONS, AgentFact, CommitFact, Fact, ProjectFact, RewriteFact, SightingFact
from agent_tracker.registry import read_agents
from agent_tracker.rules import format_values
from agent_tracker.verbs.moving import STREAM, Imported, export_facts, import_facts
from facts import (
    NOW,
    PROJECT,
    UNHURRIED,
    agent_fact,
    apply_all,
    binding,
    bug,
    by_agent,
    commit_fact,
    correction,
    fact_id,
    grade,
    listed,
    loss,
    oid,
    problems,
    project_fact,
    pulse,
    push,
    reading,
    rewrite,
    rules_fact,
    session,
    sighting,
    state_fact,
    undone,
    withdrawal,
)
from gitrepo import agent_tracker

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent_tracker.records import Standing
    from agent_tracker.store import Store
    from gitrepo import GitRepo

BOB, EVE = agent_fact("bob"), agent_fact("eve")
OTHER = "99999999-2222-3333-4444-555555555555"
FOUND = (("found", "1"), ("author", "A <a@example.org>"))
EVERY_KIND: list[Fact] = [
    project_fact(path=b"/home/\xff\xfe/repo", root=oid("root")),
    ProjectFact(OTHER, b"/elsewhere", b"", NOW),
    BOB,
    EVE,
    state_fact(EVE, "retired", NOW + 50),
    state_fact(EVE, "active", NOW + 60),
    rules_fact(at=NOW - 100, is_for_all=True, commitXp=7),
    rules_fact(at=NOW + 30),
    *(commit_fact(f"c{n}", marks=by_agent("bob" if n % 3 else "eve"), at=NOW + n // 4) for n in range(40)),
    commit_fact("amended", marks=by_agent("bob"), operation="amend", at=NOW + 20),
    CommitFact(oid("odd", length=32), OTHER, "commit", FOUND, NOW + 5, NOW + 3, "undecodable \udcff\udcc3 \x1b[2J"),
    CommitFact(oid("seen late"), OTHER, "commit", FOUND, NOW + 6, NOW + 6, "found in a reflog"),
    rewrite("c9", "amended", at=NOW + 21, old_lines=3, own_lines=1),
    correction("c5", EVE.id, at=NOW + 22),
    sighting("seen late", by_agent("eve"), at=NOW + 23),
    undone("c7", at=NOW + 24),
    loss("c8", at=NOW + 25),
    grade("g1", "c1", "excellence", at=NOW + 26, note="well done \ud83d\ude00 \udcff"),
    grade("g2", "", "bad", session="s1", at=NOW + 27, side="agent"),
    bug("b1", "c2", at=NOW + 28, note="broken"),
    bug("b2", agent=BOB.id, at=NOW + 29),
    withdrawal("b2", at=NOW + 31),
    RetroFact(fact_id("r"), oid("c1"), "", BOB.id, "task", "good", "", "mine", "yours", PROJECT, (NOW + 32) * 10**9),
    ActivityFact(fact_id("v"), BOB.id, "s1", b"", "task", "did", "came", "decided", PROJECT, (NOW + 33) * 10**9),
    session("s1", BOB.id, at=NOW + 1),
    pulse("p1", "s1", tools=3, commands=2, at=NOW + 2),
    pulse("p2", "s1", "end", at=NOW + 34),
    binding("s1", EVE.id, at=NOW + 20),
    push("c3", at=NOW + 35),
    ForgetFact(fact_id("b1"), (NOW + 36) * 10**9),
]
EVERY_NEW = len(EVERY_KIND)


def at_home(name: str, tmp_path: Path) -> Context:
    """Return what a verb is given in a home of its own."""
    env = {"HOME": str(tmp_path / name), "AGENT_TRACKER_BACKUP_INTERVAL": "0"}
    return Context(user_paths(env), env, (NOW + 100) * 10**9)


def filled(context: Context, facts: Iterable[Fact]) -> Store:
    """Put facts into a home's store and return it."""
    store, _ = open_store(context)
    apply_all(store, facts)
    return store


def exported(context: Context) -> bytes:
    """Return a home's export."""
    out = io.BytesIO()
    export_facts(None, context, STREAM, out)
    return out.getvalue()


def imported(context: Context, content: bytes, **options: Any) -> Imported:  # noqa: ANN401 -- as import_facts has them
    """Import what is exported into a home."""
    return import_facts(context, [STREAM], io.BytesIO(content), **options)


def held(context: Context) -> list[Fact]:
    """Return every fact of a home's store, sorted by its kind."""
    store, _ = open_store(context)
    return sorted(reading(store, lambda snapshot: list(every_fact(snapshot))), key=repr)


def standings(context: Context) -> dict[str, Standing]:
    """Return every agent's standing in a home's store, in order."""
    store, _ = open_store(context)
    return {agent.id: agent.standing for agent in reading(store, lambda snapshot: snapshot.agents())}


def written(facts: Sequence[Fact], **changed: Any) -> bytes:  # noqa: ANN401 -- as write_facts has them
    """Return a file of facts that nobody checked."""
    out = io.BytesIO()
    options = {"kind": "export", "count": len(facts), "exported_at": NOW, **changed}
    write_facts(out, facts, **options)
    return out.getvalue()


# -- there and back


def test_every_kind_of_fact_is_here() -> None:
    """What these tests move holds a fact of every kind."""
    assert {type(fact) for fact in EVERY_KIND} == set(FACTS.values())


def test_a_store_moves_whole(tmp_path: Path) -> None:
    """Every fact, every standing and every line of the export is the same in the new home, which is in order."""
    old, new = at_home("old", tmp_path), at_home("new", tmp_path)
    store = filled(old, EVERY_KIND)
    content = exported(old)
    done = imported(new, content)
    assert (done.facts, sum(done.new.values())) == (EVERY_NEW, EVERY_NEW)
    assert held(new) == held(old)
    assert standings(new) == standings(old)
    assert exported(new) == content
    moved, _ = open_store(new)
    assert problems(store) == problems(moved) == ()
    assert reading(moved, lambda s: [tuple(c) for c in s.commits()]) == reading(
        store, lambda s: [tuple(c) for c in s.commits()]
    )


def test_the_order_is_by_need_then_by_time(tmp_path: Path) -> None:
    """Projects, agents, what became of them, rules, what is forgotten, sessions; then all else as it happened."""
    context = at_home("home", tmp_path)
    filled(context, reversed(EVERY_KIND))
    kinds = [json.loads(line).get("kind") for line in exported(context).splitlines()[1:-1]]
    first = ["project"] * 2 + ["agent"] * 2 + ["state"] * 2 + ["rules"] * 2 + ["forget", "session"]
    assert kinds[: len(first)] == first
    facts = reading(open_store(context)[0], lambda snapshot: list(every_fact(snapshot)))[len(first) :]
    times = [_ns_of(fact) for fact in facts]
    assert times == sorted(times)


def _ns_of(fact: Any) -> int:  # noqa: ANN401 -- a fact
    if isinstance(fact, CommitFact):
        return fact.committed_at * 10**9
    return fact.recorded_at * 10**9 if isinstance(fact, SightingFact) else int(fact.recorded_ns)


@pytest.mark.parametrize("keys", [1, 2, 7, 200_000])
def test_the_order_does_not_depend_on_how_much_is_held(tmp_path: Path, keys: int) -> None:
    """Keys that are sorted in files come in the order of those that are sorted in memory."""
    store = filled(at_home("home", tmp_path), EVERY_KIND)
    found = reading(store, lambda snapshot: list(every_fact(snapshot, held=keys)))
    assert found == reading(store, lambda snapshot: list(every_fact(snapshot)))
    assert len(found) == reading(store, count_facts) == EVERY_NEW


def test_exporting_twice_says_the_same(tmp_path: Path) -> None:
    """Only the time in the header, and with it the checksum, tells two exports apart."""
    context = at_home("home", tmp_path)
    filled(context, EVERY_KIND)
    first, later = exported(context), exported(context._replace(now_ns=context.now_ns + 10**9))
    assert first == exported(context)
    assert first.splitlines()[1:-1] == later.splitlines()[1:-1]


def test_a_home_without_a_store_exports_nothing(tmp_path: Path) -> None:
    """The file is whole, holds no fact, and importing it changes nothing."""
    context = at_home("home", tmp_path)
    assert json.loads(exported(context).splitlines()[0])["facts"] == 0
    assert imported(context, exported(context)) == Imported((STREAM,), 0, {}, "")


def test_importing_twice_changes_nothing(tmp_path: Path) -> None:
    """The second time everything is known."""
    old, new = at_home("old", tmp_path), at_home("new", tmp_path)
    filled(old, EVERY_KIND)
    imported(new, exported(old))
    before = exported(new), standings(new)
    assert imported(new, exported(old)).new == {}
    assert (exported(new), standings(new)) == before


@settings(UNHURRIED, max_examples=10, phases=[Phase.generate])
@given(sides=st.lists(st.integers(1, 3), min_size=len(EVERY_KIND), max_size=len(EVERY_KIND)))
def test_two_stores_become_one_either_way_round(tmp_path_factory: pytest.TempPathFactory, sides: list[int]) -> None:
    """However facts lie in two stores, some in both, the one merged into the other stands as all of them in one."""
    base = [fact for fact in EVERY_KIND if isinstance(fact, ProjectFact | AgentFact | RulesFact)]
    root = tmp_path_factory.mktemp("merge")
    one, other, whole = (at_home(name, root) for name in ("one", "other", "whole"))
    filled(one, [*base, *(fact for fact, side in zip(EVERY_KIND, sides, strict=True) if side & 1)])
    filled(other, [*base, *(fact for fact, side in zip(EVERY_KIND, sides, strict=True) if side & 2)])
    filled(whole, EVERY_KIND)
    from_one, from_other = exported(one), exported(other)
    imported(one, from_other)
    imported(other, from_one)
    assert held(one) == held(other) == held(whole)
    assert standings(one) == standings(other) == standings(whole)
    assert problems(open_store(one)[0]) == problems(open_store(other)[0]) == ()


def test_whose_a_commit_is_does_not_depend_on_who_knew_it_first(tmp_path: Path) -> None:
    """A commit made on one machine and met in a reflog on the other is its maker's, whichever way they merge."""
    made, met = at_home("made", tmp_path), at_home("met", tmp_path)
    base: list[Fact] = [project_fact(), BOB]
    filled(made, [*base, commit_fact("c", marks=by_agent("bob"))])
    filled(met, [*base, commit_fact("c", marks=FOUND, operation="earlier")])
    from_made, from_met = exported(made), exported(met)
    assert imported(met, from_made).new == {"sighting": 1}
    assert imported(met, from_made).new == {}
    assert imported(made, from_met).new == {}
    assert standings(made) == standings(met)
    assert standings(met)[BOB.id].total_commits == 1


def test_a_project_that_is_known_keeps_its_path(tmp_path: Path) -> None:
    """A path is of the machine it came from; the root commit that nobody knew here is taken."""
    here = at_home("here", tmp_path)
    filled(here, [project_fact(path=b"/here")])
    arriving = [project_fact(path=b"/there", root=oid("root")), ProjectFact(OTHER, b"/there/too", b"", NOW)]
    imported(here, written(arriving))
    found = reading(open_store(here)[0], lambda snapshot: snapshot.projects())
    assert [(project.path, project.root) for project in found] == [(b"/here", oid("root")), (b"/there/too", b"")]


def test_what_was_forgotten_stays_forgotten(tmp_path: Path) -> None:
    """Neither a note nor a subject comes back by an export made before, and what was forgotten there goes here."""
    secret = "hunter2-geheim"  # noqa: S105 -- nobody's
    told: list[Fact] = [project_fact(), BOB, commit_fact("c")._replace(subject=secret), grade("g", "c", note=secret)]
    forgets: list[Fact] = [ForgetFact(fact_id("g"), NOW), ForgetFact(oid("c").hex(), NOW)]
    here, there = at_home("here", tmp_path), at_home("there", tmp_path)
    filled(here, [project_fact(), *forgets])
    imported(here, written(told))
    assert secret.encode() not in exported(here)
    filled(there, told)
    imported(there, written(forgets))
    assert secret.encode() not in exported(there)
    held_in = [
        path for path in (tmp_path / "there").rglob("*") if path.is_file() and secret.encode() in path.read_bytes()
    ]
    assert held_in == []


def test_an_import_that_was_killed_is_finished_by_another(tmp_path: Path) -> None:
    """Killed after any transaction, it leaves a store that is in order, and doing it again brings in the rest."""
    old, new = at_home("old", tmp_path), at_home("new", tmp_path)
    filled(old, EVERY_KIND)
    file = tmp_path / "facts.jsonl"
    export_facts(None, old, str(file))
    program = (
        "import os, signal, sys; from agent_tracker.verbs import moving; from agent_tracker.context import Context; "
        "from agent_tracker.paths import user_paths; moving.BATCH = 7\n"
        "def kill(what, done, of):\n"
        "    if what == 'importing' and done >= int(sys.argv[2]): os.kill(os.getpid(), signal.SIGKILL)\n"
        f"moving.import_facts(Context(user_paths(os.environ), os.environ, {new.now_ns}), [sys.argv[1]], progress=kill)"
    )
    for done in (7, 14, 35):
        argv = [sys.executable, "-c", program, str(file), str(done)]
        code = subprocess.run(argv, env={**os.environ, **new.env}, capture_output=True, check=False).returncode
        assert code == -signal.SIGKILL
        assert problems(open_store(new)[0]) == ()
    assert len(held(new)) == 35
    assert sum(import_facts(new, [str(file)]).new.values()) == EVERY_NEW - 35
    assert held(new) == held(old)


# -- wrong files


def test_a_file_that_was_cut_off_anywhere_changes_nothing(tmp_path: Path) -> None:
    """At every byte: it is refused as cut off, and no store is made. Its last newline alone may be missing."""
    context = at_home("home", tmp_path)
    content = written([project_fact(), BOB, commit_fact("c", marks=by_agent("bob"))])
    for end in range(len(content) - 1):
        with pytest.raises(RecordError) as caught:
            imported(context, content[:end])
        assert "cut off" in caught.value.message or end < content.index(b"\n") + 1, end
    assert not open_store(context)[0].exists()
    assert imported(context, content[:-1]).facts == 3


def test_a_file_that_was_edited_anywhere_changes_nothing(tmp_path: Path) -> None:
    """Whichever byte is another one, the file is refused; where it is still one of facts, as changed."""
    context = at_home("home", tmp_path)
    content = written([project_fact(), BOB, commit_fact("c", marks=by_agent("bob"))])
    reasons = set()
    for at in range(len(content) - 1):
        edited = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        with pytest.raises(RecordError) as caught:
            imported(context, edited)
        reasons.add(caught.value.message.split(":")[2].strip())
    assert not open_store(context)[0].exists()
    assert "changed since it was written" in reasons


LINES = written([project_fact(), BOB, commit_fact("a")]).splitlines(keepends=True)


@pytest.mark.parametrize(
    ("lines", "reason", "hint"),
    [
        ([], "1: an empty file", "export --jsonl"),
        ([b"hello\n"], "1: not a file of facts: not JSON", "export --jsonl"),
        ([b'{"version":1}\n'], "1: not a file of facts", "export --jsonl"),
        ([b"[" * 100_000 + b"\n"], "1: not a file of facts: nested too deeply", "export --jsonl"),
        (
            [LINES[0].replace(b'"version":1', b'"version":2'), *LINES[1:]],
            "1: written by a newer agent-tracker",
            "upgrade",
        ),
        ([LINES[0].replace(b'"version":1', b'"version":' + b"9" * 4000)], "1: written by a newer", "upgrade"),
        ([LINES[0].replace(b'"version":1', b'"version":true')], "1: its format has no version", "export it anew"),
        ([LINES[0].replace(b'"export"', b'"dump"')], "1: the header says neither", "export it anew"),
        ([LINES[0].replace(b'"facts":3', b'"facts":-3')], "1: the header says neither", "export it anew"),
        ([*LINES[:3], b'{"kind":"spell"}\n', *LINES[4:]], "4: unknown kind of fact 'spell'", "export it anew"),
        ([*LINES[:2], b"[" * 100_000 + b"\n"], "3: nested too deeply", "export it anew"),
        ([*LINES[:2], b"\n", *LINES[2:]], "3: not JSON", "export it anew"),
        ([LINES[0], *LINES[2:]], "3: of a project that no line before it tells of", "the export it belongs to"),
        ([*LINES[:2], *LINES[3:]], "4: changed since it was written: 2 facts where there were 3", "export it anew"),
        ([*LINES[:2], LINES[3], LINES[2], LINES[4]], "5: changed since it was written: its checksum", "export it anew"),
        ([LINES[0], LINES[-1]], "2: changed since it was written: 0 facts where there were 3", "export it anew"),
        ([*LINES, *LINES], "6: goes on after its last line", "one file after another"),
        ([*LINES[:-1], b'{"end":"agent-tracker-facts"}\n'], "5: malformed last line", "export it anew"),
        ([line.replace(b"\n", b"\r\n") for line in LINES], "5: changed since it was written", "export it anew"),
    ],
    ids=range(19),
)
def test_a_wrong_file_is_refused_with_its_line(tmp_path: Path, lines: list[bytes], reason: str, hint: str) -> None:
    """The message begins with the file and the line, the hint says what to do, and nothing was written."""
    context, file = at_home("home", tmp_path), tmp_path / "facts.jsonl"
    file.write_bytes(b"".join(lines))
    with pytest.raises(RecordError) as caught:
        import_facts(context, [str(file)])
    assert caught.value.message.startswith(f"{file}:{reason}")
    assert hint in caught.value.hint
    assert not open_store(context)[0].exists()


def test_one_wrong_file_among_others_keeps_all_out(tmp_path: Path) -> None:
    """Every file is read to its end before anything of any of them is written."""
    context, good, bad = at_home("home", tmp_path), tmp_path / "good", tmp_path / "bad"
    good.write_bytes(b"".join(LINES))
    bad.write_bytes(b"".join(LINES[:-1]))
    with pytest.raises(RecordError, match="bad"):
        import_facts(context, [str(good), str(bad)])
    assert not open_store(context)[0].exists()


def test_an_agent_with_more_changes_than_can_be_kept_is_refused(tmp_path: Path) -> None:
    """Their number has sixteen bits in the store: such a file is refused before, and not met there."""
    context = at_home("home", tmp_path)
    changes: list[Fact] = [BOB, *(state_fact(BOB, "retired", NOW + n) for n in range(10_001))]
    with pytest.raises(RecordError, match="more than 10000 times"):
        imported(context, written(changes))


def test_an_archive_is_imported_like_an_export(tmp_path: Path) -> None:
    """The format is the same; the header says which of them a file is."""
    content = written([project_fact(), BOB], kind=ARCHIVE)
    assert FactReader(io.BytesIO(content), "file").header.kind == ARCHIVE
    assert imported(at_home("home", tmp_path), content).new == {"project": 1, "agent": 1}


def test_a_writer_that_miscounts_is_told(tmp_path: Path) -> None:
    """A header that promises more facts than follow is never completed."""
    with pytest.raises(RecordError, match="1 facts were written, and 2 are there"):
        written([BOB], count=2)
    assert listed(tmp_path) == []


@pytest.mark.parametrize("what", ["missing", "directory", "device"])
def test_what_is_no_file_is_refused(tmp_path: Path, what: str) -> None:
    """A missing file, a directory, a device: one line, and no hang."""
    path = {"missing": tmp_path / "none", "directory": tmp_path, "device": Path("/dev/zero")}[what]
    with pytest.raises(AgentTrackerError, match=r"cannot read|not a regular file"):
        import_facts(at_home("home", tmp_path), [str(path)])


def test_standard_input_is_read_once(tmp_path: Path) -> None:
    """Named twice, it is a mistake."""
    with pytest.raises(UsageError, match="once"):
        import_facts(at_home("home", tmp_path), [STREAM, STREAM], io.BytesIO(b""))


@pytest.mark.parametrize("variable", ["AGENT_TRACKER_AGENT", SESSION_VARIABLE, "CLAUDECODE"])
def test_an_agent_imports_nothing(tmp_path: Path, variable: str) -> None:
    """Importing moves standings: in an agent's shell it is refused, and looking is not."""
    context = at_home("home", tmp_path)
    context = context._replace(env={**context.env, variable: "1"})
    with pytest.raises(RegistrationError, match="a person's to give"):
        imported(context, b"".join(LINES))
    assert sum(imported(context, b"".join(LINES), dry_run=True).new.values()) == 3
    assert not open_store(context)[0].exists()


def test_a_dry_run_says_what_an_import_does(tmp_path: Path) -> None:
    """By kind, of a store that has some of it, without a change."""
    old, new = at_home("old", tmp_path), at_home("new", tmp_path)
    filled(old, EVERY_KIND)
    filled(new, EVERY_KIND[:20])
    before = exported(new)
    planned = imported(new, exported(old), dry_run=True)
    assert exported(new) == before
    assert planned.new == imported(new, exported(old)).new
    assert sum(planned.new.values()) == EVERY_NEW - 20


@pytest.mark.parametrize("word", FACTS)
def test_the_format_is_written_down(word: str) -> None:
    """The documentation names every kind with each of its fields, and no other field."""
    text = (Path(__file__).parent.parent / "docs" / "facts-format.md").read_text("utf-8")
    (row,) = [line for line in text.splitlines() if line.startswith(f"| `{word}` | `")]
    named = re.findall(r"`([a-z_]+)`", row.split("|")[2])
    words = {"active", "retired", "user", "agent", *GRADES, *PULSES, *OPERATIONS}
    fields = FACTS[word]._fields
    assert [name for name in named if name in fields or name not in words] == list(fields)


# -- the command line


def test_a_machine_is_left_for_another(repo: GitRepo, home: Path, tmp_path: Path) -> None:
    """By two commands: agents, log and check are the same there, and the hooks there know the agent."""
    repo.ok("install-hooks")
    bob = repo.register("bob")
    for subject in ("one", "two", "three é"):
        repo.commit(subject, env={"AGENT_TRACKER_AGENT": bob})
    repo.git("commit", "--amend", "--quiet", "-m", "three, again", env={"AGENT_TRACKER_AGENT": bob})
    repo.ok("grade", "HEAD~1", "good", "--note", "well done")
    file = tmp_path / "facts.jsonl"
    said = json.loads(repo.ok("export", "--jsonl", file, "--json"))["exported"]
    assert said["bytes"] == file.stat().st_size
    assert file.stat().st_mode & 0o777 == 0o600
    there = {"HOME": str(tmp_path / "there"), "GIT_CONFIG_GLOBAL": str(home / ".gitconfig")}
    done = json.loads(agent_tracker("import", file, "--json", cwd=tmp_path, env=there).out)
    assert done["version"] == 1
    assert done["imported"]["new"]["commit"] == 4
    for words in (("agents", "--json"), ("log", "--all", "--json")):
        here, moved = (agent_tracker(*words, cwd=tmp_path, env=env).out for env in ({}, there))
        assert _without_times(moved) == _without_times(here)
    assert json.loads(agent_tracker("verify", "--json", cwd=tmp_path, env=there).out)["verify"]["clean"]
    assert [agent.id for agent in read_agents(user_paths(there).registry)] == [bob]
    again = agent_tracker("export", "--jsonl", "-", cwd=tmp_path, env=there).out
    assert again.splitlines()[1:-1] == file.read_text().splitlines()[1:-1]
    assert "Nothing new" in agent_tracker("import", "-", cwd=tmp_path, env=there, stdin=file.read_text()).out


def _without_times(document: str) -> Any:  # noqa: ANN401 -- JSON
    """Return a document without when an agent's standing last changed in this store."""
    value = json.loads(document)
    for agent in value.get("agents", []):
        agent.pop("updated_at")
    return value


def test_a_file_that_is_there_stays(repo: GitRepo, tmp_path: Path) -> None:
    """Without --force it is not written over, a link or a directory never is, and nothing is left beside it."""
    place = tmp_path / "out"
    place.mkdir()
    file, link = place / "facts", place / "link"
    file.write_text("precious")
    link.symlink_to(file)
    for argv in ((file,), (link, "--force"), (place, "--force"), (place / "no" / "such", "--force")):
        assert repo.tracker("export", "--jsonl", *argv).code in {1, 2}
    assert file.read_text() == "precious"
    assert listed(place) == ["facts", "link"]
    assert "Wrote 0 facts" in repo.ok("export", "--jsonl", file, "--force")
    assert json.loads(file.read_text().splitlines()[0])["format"] == "agent-tracker-facts"
    assert listed(place) == ["facts", "link"]


def test_an_export_never_takes_the_place_of_a_file_of_ours(repo: GitRepo, tmp_path: Path) -> None:
    """Forced or not, there already or not, by whatever link: database, backups, state and configuration stay."""
    repo.ok("install-hooks")
    repo.commit("one", env={"AGENT_TRACKER_AGENT": repo.register("bob")})
    repo.ok("flush")
    repo.ok("backup")
    repo.ok("config", "set", "maxBackups", "5")
    paths = user_paths(os.environ)
    database = Path(paths.default_database)
    (backup,) = Path(paths.backups_of(str(database))).glob("*.lmdb")
    (tmp_path / "by-link").symlink_to(database.parent)
    (tmp_path / "state").symlink_to(paths.state_dir)
    ours = [
        database,
        *(database.with_name(database.name + suffix) for suffix in ("-lock", ".write", ".fingerprint", ".damaged-x")),
        tmp_path / "by-link" / database.name,
        backup,
        backup.with_name("new"),
        tmp_path / "state" / "error.log",
        Path(paths.state_dir) / "registry" / "agents",
        Path(paths.config_file),
    ]
    before = {path: path.read_bytes() for path in ours if path.exists()}
    for path in ours:
        for force in ((), ("--force",)):
            done = repo.tracker("export", "--jsonl", path, *force)
            assert (done.code, done.err.count("\n")) == (2, 2), (path, done)
    assert {path: path.read_bytes() for path in ours if path.exists()} == before
    repo.ok("export", "--jsonl", database.with_name("mine.jsonl"))


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("export",), "agent-tracker export --jsonl FILE"),
        (("export", "--jsonl", "--json"), "--json says what was written to a file"),
        (("import", "-", "-"), "standard input can be read once"),
    ],
)
def test_a_command_that_makes_no_sense_is_a_usage_error(repo: GitRepo, argv: tuple[str, ...], words: str) -> None:
    """It says what to type, and exits with 2."""
    done = repo.tracker(*argv)
    assert done.code == 2
    assert words in done.err


def test_a_hostile_export_leaves_a_store_that_can_be_read(tmp_path: Path, repo: GitRepo) -> None:
    """The most that every field may hold, in one store: it is in order, and every list of it is shown."""
    most = (1 << 63) - 1
    evil = agent_fact("evil")._replace(recorded_at=(1 << 40) - 1, name="x" * 4096, client="é" * 4096)
    far = commit_fact("far", marks=(*by_agent("evil"), ("setup", "\udcff\x9b" * 2000), ("resolved", evil.id)))
    facts: list[Fact] = [
        project_fact(path=b"/\x1b]0;\xff" * 300),
        evil,
        rules_fact(at=0, is_for_all=True, levelXp=1, toolXp=100_000, commandXp=100_000),
        session("s", evil.id)._replace(recorded_ns=most, worktree="\udcff" * 4096, process=1 << 32, port=1 << 16),
        far._replace(committed_at=(1 << 40) - 1, recorded_at=(1 << 32) - 1, subject="\x1b[31m\udcff" * 400),
        RewriteFact(oid("far"), oid("gone"), "x" * 40, most, (1 << 31) - 1, -(1 << 31) + 1),
        grade("g", "far", note="\ud83d\udc00" * 10_000)._replace(recorded_ns=most),
        bug("b", agent=evil.id, note="\x00" * 20_000)._replace(recorded_ns=most),
        BugFact(fact_id("d"), oid("far"), "", "", oid("x", length=32), "", 0),
        pulse("p", "s")._replace(
            tools=10_000, commands=10_000, response_ms=1 << 40, slowest_ms=1 << 40, recorded_ns=most
        ),
        SightingFact(oid("far"), (("a", ""),) * 500, (1 << 40) - 1),
        push("far")._replace(recorded_ns=most),
    ]
    file = tmp_path / "facts.jsonl"
    file.write_bytes(written(facts))
    repo.ok("import", file)
    assert (
        sum(1 for _ in exported(Context(user_paths(os.environ), os.environ, NOW * 10**9)).splitlines())
        == len(facts) + 2
    )
    for argv in (
        ("agents",),
        ("log", "--all"),
        ("verify",),
        ("setups",),
        ("bugs", "--all"),
        ("session", "list", "--all"),
    ):
        for more in ((), ("--json",)):
            done = repo.tracker(*argv, *more)
            assert done.code == 0, (argv, done)
            assert not {"\x1b", "\x9b"}.intersection(done.out)


def test_rules_that_no_program_could_read_never_get_in(tmp_path: Path) -> None:
    """A store whose rules cannot be parsed would be of no use to anybody."""
    value = {"kind": "rules", "recorded_ns": 1, "is_for_all": True, "values": format_values({"commitXp": 1}) + "\u00b2"}
    lines = written([BOB]).splitlines(keepends=True)
    with pytest.raises(RecordError, match="2: malformed rules"):
        imported(at_home("home", tmp_path), lines[0] + format_object(value) + lines[2])


def test_what_the_commands_say_as_json_is_written_down(repo: GitRepo, tmp_path: Path) -> None:
    """Each command's word has a section, and each name in its value is in that."""
    repo.ok("install-hooks")
    repo.commit("one", env={"AGENT_TRACKER_AGENT": repo.register("bob")})
    text = (Path(__file__).parent.parent / "docs" / "json.md").read_text("utf-8")
    sections = {section.partition("\n")[0].split("`")[-2]: section for section in text.split("\n## ")[1:]}
    for argv in (
        ("export", "--jsonl", tmp_path / "all"),
        ("import", tmp_path / "all"),
        ("archive", "--before", "0d"),
        ("store",),
        ("compact",),
        ("backup",),
        ("backups",),
        ("restore", "--dry-run"),
        ("recover",),
        ("recover", "--dry-run"),
        ("verify",),
    ):
        said = json.loads(repo.ok(*argv, "--json"))
        assert said.pop("version") == 1
        ((word, value),) = said.items()
        assert [name for name in value if f"`{name}`" not in sections[word]] == []
