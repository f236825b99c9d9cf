"""One function for each parser of what others may have written: any bytes, and nothing but an error of ours comes out.

What a parser accepts must also be something that the next part of the product can take: it is packed, unpacked, written
and escaped again. Files are written below one directory of this process, and nothing else there may change.
"""
# ruff: noqa: PTH101, PTH102, PTH103, PTH108, PTH116, PTH118, PTH120, PTH123, PTH208, PTH211 -- as the product has its paths

from __future__ import annotations

import io
import json
import os
import shutil
import stat
import tempfile
import zlib
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import seeds

from agent_tracker import messages, packing, spool
from agent_tracker.clients.payload import parse as parse_payload
from agent_tracker.clients.registry import ADAPTERS
from agent_tracker.config import read_rules, read_settings
from agent_tracker.context import Context
from agent_tracker.durability import fingerprint
from agent_tracker.durability.checking import check_file
from agent_tracker.durability.maintenance import last_outcome, patrol
from agent_tracker.durability.manifests import Manifest, read_manifests, write_manifest
from agent_tracker.errors import AgentTrackerError, UncheckedError
from agent_tracker.escaping import escape, escape_json, unescape
from agent_tracker.fact_files import ARCHIVE, EXPORT, FactReader, write_facts
from agent_tracker.fact_json import fact_from_json, fact_to_json, format_object, parse_object
from agent_tracker.hook import read_use
from agent_tracker.journal import JournalFact, SessionFact
from agent_tracker.journal_codec import KINDS, key_of, pack, unpack
from agent_tracker.jsonc import append_at, remove_at
from agent_tracker.jsonc import parse as parse_settings
from agent_tracker.lines import (
    agent_line,
    commit_line,
    credit_line,
    fact_line,
    format_line,
    parse_agent_id,
    parse_line,
    squash_line,
    state_line,
)
from agent_tracker.lmdbjs import lz4, msgpackr
from agent_tracker.lmdbjs.entries import read_entries as read_plugin_entries
from agent_tracker.marks import HISTORY_TRAILERS, IMPORTED, find_signs, setups_of
from agent_tracker.notes import note_marks
from agent_tracker.observe import _read as read_refs
from agent_tracker.paths import RepositoryPaths, UserPaths
from agent_tracker.plugin_facts import Places, translate
from agent_tracker.projects import find_project
from agent_tracker.pushes import _parse_push as parse_push
from agent_tracker.records import (
    AgentFact,
    CreditFact,
    ReflogPosition,
    ScanPosition,
    Seen,
    SeenCommit,
    SeenRewrite,
    SeenSquash,
    StateFact,
)
from agent_tracker.reflog import operation_of, read_entries
from agent_tracker.registration import agent_id, check_registration
from agent_tracker.registry import _markers as markers
from agent_tracker.registry import read_agents, read_policy, read_session
from agent_tracker.repository import Repository, find_repository, head_oid
from agent_tracker.settled import is_settled
from agent_tracker.spool import Segment, read_segment, segments, set_aside
from agent_tracker.store import Store
from agent_tracker.verbs.journal import RETRO_FIELDS
from agent_tracker.verbs.writing import read_document
from facts import NOW, PROJECT, apply_all, commit_fact, project_fact, store_at

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_tracker.records import Marks

__all__ = ["TARGETS", "Target", "tidy"]

GROWTH = 16
"""By how much what is read may be longer than what was read from: an escape is up to ten characters for one."""

KIND_TYPES = (SeenCommit, SeenRewrite, SeenSquash, AgentFact, StateFact, CreditFact, *(kind.fact for kind in KINDS))


class Target(NamedTuple):
    """One parser: what is done with bytes, what they begin as, and how many examples a quick test tries."""

    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
    examples: int = 120


_made: list[str] = []


def _place(*names: str) -> str:
    """Return a path below this process's own directory, in memory where the system has such a place."""
    if not _made:
        within = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 -- a directory of its own in it
        _made.append(tempfile.mkdtemp(prefix="agent-tracker-fuzz-", dir=within))
    return os.path.join(_made[0], *names)


def tidy() -> None:
    """Take away what this process wrote."""
    while _made:
        shutil.rmtree(_made.pop(), ignore_errors=True)


def _write(data: bytes, *names: str) -> str:
    path = _place(*names)
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)
    return path


def _is_harmless(text: str) -> bool:
    return all(c.isprintable() for c in escape(text))


def _check_message(error: AgentTrackerError) -> None:
    """What was wrong is said in few words, however much was wrong."""
    assert _is_harmless(error.message)
    assert len(error.message) < 1000


# -- lines and spools --------------------------------------------------------------------------------------------------


def _framed(record: bytes) -> bytes:
    return b"%s =%d:%08x" % (record, len(record), zlib.crc32(record))


def line(data: bytes) -> None:
    """A line as it came, and as what a frame holds that is right."""
    for each in (data, _framed(data.rpartition(b" =")[0]), _framed(b"1\t" + data)):
        try:
            said = parse_line(each)
        except AgentTrackerError as error:
            _check_message(error)
            continue
        assert len(repr(said)) <= 400 + GROWTH * len(each)
        _pass_on(said)


def _pass_on(said: Seen) -> None:
    """Do with what a line says what a flush does: it is stored, and noted again."""
    if isinstance(said, SeenCommit):
        assert packing.unpack_marks(packing.pack_marks(said.variables)) == said.variables
        again = commit_line(said)
    elif isinstance(said, SeenSquash):
        again = squash_line(said)
    elif isinstance(said, SeenRewrite):
        again = format_line("rewrite", said.operation, said.old.hex(), said.new.hex())
    else:
        assert packing.unpack_event(packing.event_key(said), packing.pack_event(said)) == said
        again = _line_of(said)
    assert parse_line(again.strip(b"\n")) == said


def _line_of(fact: packing.EventFact) -> bytes:
    if isinstance(fact, AgentFact):
        return agent_line(fact)
    if isinstance(fact, StateFact):
        return state_line(fact)
    if isinstance(fact, CreditFact):
        return credit_line(fact)
    assert isinstance(fact, JournalFact)
    return fact_line(fact)


def payload(data: bytes) -> None:
    """What a client hands to its hook: whatever any adapter makes of it stands in a line that can be read again."""
    try:
        found = parse_payload(data)
    except (ValueError, RecursionError):
        return
    for client in ADAPTERS.values():
        told = client.told(found)
        if told is not None:
            who = (told.session, "coder", client.NAME, told.model, told.cwd, told.parent)
            fact = SessionFact(*who, told.process, "", 0, "", "", NOW)
            assert parse_line(fact_line(fact).strip(b"\n")) == fact


def client_settings(data: bytes) -> None:
    """A client's own settings: an element of ours is put in and comes out to the byte, or nothing is changed."""
    text = data.decode("utf-8", "replace")
    try:
        change = append_at(text, ["hooks", "Stop"], {"command": "x"})
    except ValueError:
        return
    hooks = parse_settings(change.text).at("hooks")
    stop = hooks.at("Stop") if hooks else None
    assert stop is not None
    assert stop.children[-1].value == {"command": "x"}
    at = change.text.rindex(change.inserted)
    assert change.text[:at] + change.text[at + len(change.inserted) :] == text
    parse_settings(remove_at(change.text, ["hooks", "Stop", len(stop.children) - 1]))


def segment(data: bytes) -> None:
    """A whole sealed file: each of its lines is read or set aside, and nothing is written but where that goes."""
    name = f"seg-{1:020d}-abcdef01"
    path = _write(data, "segment", name)
    os.chmod(os.path.dirname(path), 0o700)
    found = Segment(path, name, 1, len(data))
    seen, rejected = read_segment(found, KIND_TYPES)
    assert len(seen) + len(rejected) <= data.count(b"\n") + 1
    if rejected:
        set_aside(found, rejected)
        assert all(_is_harmless(each.reason) for each in rejected if escape(each.reason) != each.reason)
    assert set(os.listdir(os.path.dirname(path))) <= {name, name + ".rejected"}
    os.unlink(path)


def segment_name(data: bytes) -> None:
    """A name of a file in the spool's directory: ours, or passed over; never a path."""
    name = os.fsdecode(data)
    at = spool._sealed_ns(name)
    if at is not None:
        assert 0 <= at < 1 << 63
        assert "/" not in name
        assert name.isascii()
        assert name.isprintable()


def directory(data: bytes) -> None:
    """A spool's directory in which anything may lie under any name: reading and sealing end, and leave the rest be."""
    top = _place("directory")
    shutil.rmtree(top, ignore_errors=True)
    os.makedirs(os.path.join(top, "spool"), mode=0o700)
    outside = _write(b"theirs", "directory", "outside")
    for entry in data.split(b"\n")[:8]:
        with suppress(OSError, ValueError):
            _put(os.path.join(os.fsencode(top), b"spool", entry[1:].replace(b"/", b"_")), entry[:1], outside)
    with suppress(AgentTrackerError):
        for found in segments(os.path.join(top, "spool")):
            with suppress(AgentTrackerError):
                seen, rejected = read_segment(found, KIND_TYPES)
                assert not seen
                set_aside(found, rejected)
        spool.seal(os.path.join(top, "spool"), now_ns=5)
    with suppress(AgentTrackerError):
        spool.append(os.path.join(top, "spool"), b"\nx\n")
    spool.mark_applied(os.path.join(top, "spool"))
    assert Path(outside).read_bytes() == b"theirs"
    assert stat.S_IMODE(os.stat(outside).st_mode) & 0o044 == 0o044
    assert sorted(os.listdir(top)) == ["outside", "spool"]


def _put(path: bytes, kind: bytes, outside: str) -> None:
    if kind == b"l":
        os.symlink(outside, path)
    elif kind == b"f":
        os.mkfifo(path)
    elif kind == b"d":
        os.mkdir(path)
    else:
        with open(path, "xb") as file:
            file.write(b"\nhello\n")


def _directories() -> list[bytes]:
    name = b"seg-%020d-abcdef01" % 1
    kinds = (b"l", b"f", b"d", b"-")
    names = (b"spool", b"pending", b"pending.%d.tmp" % os.getpid(), name, name + b".rejected", b"x" * 255, b"a\nb\xff")
    return [kind + each for kind in kinds for each in names] + [b"-spool\nl%s\n-%s\nl%s.rejected" % (name, name, name)]


# -- stored records ----------------------------------------------------------------------------------------------------


def _split(data: bytes) -> tuple[bytes, bytes]:
    """Return the key and the value that the bytes are: the key's length comes first."""
    length = data[0] if data else 0
    return data[1 : 1 + length], data[1 + length :]


def event(data: bytes) -> None:
    """Any event; what is accepted can be packed again, and exported."""
    try:
        fact = packing.unpack_event(*_split(data))
    except AgentTrackerError as error:
        _check_message(error)
        return
    key, value = packing.event_key(fact), packing.pack_event(fact)
    assert packing.unpack_event(key, value) == fact
    assert len(value) <= 64 + 2 * len(data)
    format_object(fact_to_json(fact))


def journal(data: bytes) -> None:
    """Any fact of the journal."""
    key, value = _split(data)
    for letter in (key[:1], b"g", b"v", b"o"):
        try:
            fact = unpack(letter + key[1:], value)
        except AgentTrackerError:
            continue
        assert unpack(key_of(fact), pack(fact)) == fact


def commit(data: bytes) -> None:
    """A commit."""
    with suppress(AgentTrackerError):
        oid, project, operation, marks, committed_at, recorded_at, subject = packing.unpack_commit(data)
        encoded = subject.encode("utf-8", "surrogateescape")
        again = packing.pack_commit(oid, project, operation, marks, committed_at, recorded_at, encoded)
        assert packing.unpack_commit(again) == packing.unpack_commit(data)


def commit_state(data: bytes) -> None:
    """What is derived for a commit."""
    with suppress(AgentTrackerError):
        state = packing.unpack_commit_state(data)
        if len(state[2]) != 1 or state[2][0][1] == 1_000_000:
            assert packing.unpack_commit_state(packing.pack_commit_state(*state)) == state


def agent(data: bytes) -> None:
    """An agent with its standing."""
    with suppress(AgentTrackerError):
        found, number = packing.unpack_agent("coder", data)
        assert packing.unpack_agent("coder", packing.pack_agent(found, number)) == (found, number)


def marks(data: bytes) -> None:
    """Identity marks."""
    with suppress(AgentTrackerError):
        found = packing.unpack_marks(data)
        assert packing.pack_marks(found) == data


def project(data: bytes) -> None:
    """A project."""
    with suppress(AgentTrackerError):
        found = packing.unpack_project(data)
        assert packing.unpack_project(packing.pack_project(found)) == found


# -- small files -------------------------------------------------------------------------------------------------------


def registry(data: bytes) -> None:
    """The list of agents: each is one that can be stored, and no marker of it leads elsewhere."""
    _write(data, "state", "registry", "agents")
    for found in read_agents(_place("state", "registry")):
        fact = AgentFact(*found[:5], found.created_at)
        assert packing.unpack_event(packing.event_key(fact), packing.pack_event(fact)) == fact
        for at, is_active in found.transitions:
            state = StateFact(found.id, "active" if is_active else "retired", at)
            assert packing.unpack_event(packing.event_key(state), packing.pack_event(state)) == state
        assert not any("/" in key or key.startswith(".") for _, key in markers(found))


def session(data: bytes) -> None:
    """A session's file, and a session's name."""
    _write(data, "state", "sessions", "s-1")
    assert "\n" not in read_session(_place("state", "registry"), "s-1")
    read_session(_place("state", "registry"), os.fsdecode(data))


def policy(data: bytes) -> None:
    """The policy's mirrored files."""
    path = _write(data, "state", "registry", "policy")
    assert read_policy(path, os.path.dirname(path)) in {"enforce", "warn", "off"}


def _repository() -> Repository:
    return Repository(_place("git"), _place("git"), _place("tree"))


def project_file(data: bytes) -> None:
    """The project's UUID, in a repository that came from elsewhere."""
    _write(data, "git", "agent-tracker", "project")
    find_project(_repository())


def settled(data: bytes) -> None:
    """The hint that there is nothing to flush."""
    _write(data, "git", "agent-tracker", "settled")
    is_settled(_paths(), {}, _repository(), now=NOW)


def _paths() -> UserPaths:
    return UserPaths(_place("home"), _place("home", "config.toml"), _place("home", "state"))


def use(data: bytes) -> None:
    """The agent in use."""
    path = _write(data, "git", "agent-tracker", "use")
    os.utime(path, (2 * NOW, 2 * NOW))
    assert len(read_use(_place("git"), now_ns=NOW * 10**9)) <= 200


def refs(data: bytes) -> None:
    """What the branches looked like."""
    path = _write(data, "git", "agent-tracker", "refs")
    read_refs(path)
    assert RepositoryPaths(_place("git")).refs == path


def reflog(data: bytes) -> None:
    """A HEAD reflog, read from its beginning and from a position in it."""
    _write(data, "git", "logs", "HEAD")
    said, position = read_entries(_place("git"), None, head="")
    assert position.offset <= len(data)
    assert len(said) <= 3 * (data.count(b"\n") + 1)
    read_entries(_place("git"), position, head="")
    read_entries(_place("git"), ReflogPosition(len(data) // 2, "ab" * 20, NOW), head="ab" * 20, look_back_bytes=64)


def operation(data: bytes) -> None:
    """A reflog entry's message, and an entry that may tell of a push."""
    operation_of(data.decode("utf-8", "replace"))
    oid, at = parse_push(data)
    assert len(oid) in {0, 20, 32}
    assert 0 <= at < 1 << 63


def gitfile(data: bytes) -> None:
    """What `.git`, `HEAD` and `commondir` say."""
    _write(data, "tree", ".git")
    with suppress(AgentTrackerError):
        find_repository(_place("tree"), {})
    _write(data, "git", "HEAD")
    head_oid(_place("git"), _place("git"))


def config(data: bytes) -> None:
    """The user's configuration."""
    _write(data, "home", "config.toml")
    for read in (partial(read_settings, env={}), read_rules):
        with suppress(AgentTrackerError):
            read(_paths())


def _configurations() -> list[bytes]:
    return [b'policy = "warn"\n[rules]\ncommitXp = 5\n', b"a = " + b"[" * 5000, b"[a.b.c]\n" * 3]


def manifest(data: bytes) -> None:
    """What is known of a backup."""
    _write(b"", "backups", "20260101T000000Z.lmdb")
    _write(data, "backups", "20260101T000000Z.manifest")
    for found in read_manifests(_place("backups")):
        assert os.path.dirname(found.path) == _place("backups")


def _manifests() -> list[bytes]:
    path = _place("seeds", "a.lmdb")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    write_manifest(Manifest(path, NOW, 10, 3, 2, "1 2 3", {f"seg-{1:020d}-abcdef01": 300}))
    return [Path(path).with_suffix(".manifest").read_bytes()]


def fingerprint_file(data: bytes) -> None:
    """What is noted of a database, which is nothing that anybody else wrote; it is noted again."""
    path = _write(b"x" * 9000, "noted", "a.lmdb")
    _write(data, "noted", f"a.lmdb{fingerprint.SUFFIX}")
    assert not fingerprint.matches(path) or data.startswith(fingerprint.look(path).encode())
    fingerprint.was_here(path)
    found = fingerprint.counts(path)
    assert all(count >= 0 for count in found.values())
    fingerprint.forget(path)
    assert not fingerprint.matches(path)
    fingerprint.remember(path, {"commits": 1})
    assert fingerprint.matches(path)
    assert fingerprint.counts(path) == {"commits": 1}


def _fingerprints() -> list[bytes]:
    path = _write(b"x" * 9000, "noted", "a.lmdb")
    fingerprint.remember(path, {"commits": 3, "events.rewrite": 70})
    return [Path(fingerprint.stored_at(path)).read_bytes(), b"1 2\ncommits " + b"9" * 5000]


def outcome(data: bytes) -> None:
    """What the process that looks after the database said last."""
    _write(data, "outcome", "outcome")
    at, said = last_outcome(_place("outcome"))
    assert 0 <= at < 10**16
    assert at or not said


def patrol_place(data: bytes) -> None:
    """Where the next portion of all records begins: whatever is said, one is read, and a place is noted."""
    store = _patrolled()
    path = _write(data, "patrolled", "backups", "patrol")
    os.utime(path, (0, 0))
    patrol(Store(store.path, store.size_bytes, os.path.dirname(path)), Context(_paths(), {}, NOW * 10**9, 5.0))
    assert os.stat(path).st_mtime == NOW


def _patrolled() -> Store:
    top = Path(_place("patrolled"))
    if not (top / "backups").exists():
        (top / "backups").mkdir(parents=True)
        apply_all(store_at(top), [project_fact(), *(commit_fact(f"commit {number}") for number in range(30))])
    return store_at(top)


# -- texts -------------------------------------------------------------------------------------------------------------


def document(data: bytes) -> None:
    """What is piped into `retro add -`."""
    with suppress(AgentTrackerError, UnicodeDecodeError):
        values = read_document(data.decode("utf-8"), RETRO_FIELDS)
        assert values.keys() == RETRO_FIELDS.keys()


def fact(data: bytes) -> None:
    """A line of an export that is imported."""
    with suppress(AgentTrackerError):
        found = fact_from_json(parse_object(data))
        assert fact_from_json(parse_object(format_object(fact_to_json(found)).strip())) == found


def fact_file(data: bytes) -> None:
    """A whole file that is imported: all that is yielded are facts, and what ends well is what was written."""
    with suppress(AgentTrackerError):
        reader = FactReader(io.BytesIO(data), "a file")
        count = 0
        for found, length in reader:
            assert length <= len(data)
            format_object(fact_to_json(found))
            count += 1
        assert count == reader.header.facts


def _fact_files() -> list[bytes]:
    out = io.BytesIO()
    found = [commit_fact("a"), *seeds.facts()]
    write_facts(out, found, kind=EXPORT, count=len(found), exported_at=NOW)
    empty = io.BytesIO()
    write_facts(empty, [], kind=ARCHIVE, count=0, exported_at=NOW)
    return [out.getvalue(), empty.getvalue(), out.getvalue()[:-100], out.getvalue() * 2]


def escaping(data: bytes) -> None:
    """Any text: escaped it is harmless, and comes back; what is no escape is an error."""
    wide = data[: len(data) // 2 * 2].decode("utf-16-le", "surrogatepass")
    for text in (data.decode("utf-8", "surrogateescape"), wide):
        escaped = escape(text)
        assert escaped.isprintable()
        assert unescape(escaped) == text
        with suppress(AgentTrackerError):
            unescape(text)
        quoted = json.dumps([text], ensure_ascii=False)
        shown = escape_json(quoted)
        assert all(c.isprintable() for c in shown)
        assert json.loads(shown) == json.loads(quoted)


# -- a whole database --------------------------------------------------------------------------------------------------


def database(data: bytes) -> None:
    """A file that may be a database: the child that reads it may end as it likes, and this process goes on."""
    path = _write(data, "database", "agent-tracker.lmdb")
    with suppress(UncheckedError):
        report = check_file(path, timeout_s=30)
        assert report.problems or report.counts


def _databases() -> list[bytes]:
    with tempfile.TemporaryDirectory() as top:
        store = store_at(Path(top))
        apply_all(store, [project_fact(), *(commit_fact(f"commit {number}") for number in range(30))])
        return [Path(store.path).read_bytes()]


# -- the OpenCode plugin's database ------------------------------------------------------------------------------------


def plugin_database(data: bytes) -> None:
    """A file of another program's: entries that are named, and facts that can be stored, or an error in a line."""
    path = _write(data, "plugin", "agent-tracker.lmdb")
    try:
        found = read_plugin_entries(path)
    except AgentTrackerError as error:
        _check_message(error)
        return
    assert len(found) <= len(data) // 8
    for each in translate(found, [], Places(lambda _: PROJECT, lambda _path, _name: b""), now=NOW):
        assert each.facts or each.reason
        assert all(fact_from_json(fact_to_json(fact)) == fact for fact in each.facts)


def plugin_value(data: bytes) -> None:
    """A value of an entry: no more is made of it than its bytes have room for."""
    for structures in ({}, {0: ("id", "name"), 1: (), 33: ("a",)}):
        with suppress(ValueError):
            msgpackr.unpack(data, structures)


def plugin_block(data: bytes) -> None:
    """A compressed value: as many bytes as it says, or none."""
    size = int.from_bytes(data[:2], "little")
    for dictionary in (b"", b"some words that may be meant"):
        with suppress(ValueError):
            assert len(lz4.decompress(data[2:], size, dictionary)) == size


def _packed(kind: str) -> Callable[[], list[bytes]]:
    return lambda: seeds.packed()[kind]


def _texts() -> list[bytes]:
    return [b"\\x1b\\u202e\\q", *(text.encode("utf-16-le", "surrogatepass") for text in seeds.hostile_texts())]


# -- what a scan reads of a history that others wrote


def message(data: bytes) -> None:
    """A commit's message: a few short marks, which can be stored, and which say who it was or nothing."""
    _check_history(messages.identity_marks(text := data.decode("utf-8", "replace")))
    _check_history(messages.work_marks(text))


def note(data: bytes) -> None:
    """A note of git-ai, or whatever lies in its place."""
    _check_history(note_marks(data))


def person(data: bytes) -> None:
    """Whoever a commit names, in each place where one may stand."""
    text = messages.clean(data.decode("utf-8", "replace"))
    names = ("author", "committer", "mailmap", "footer", "note", "trailer")
    _check_history(tuple((name, text) for name in names))
    _check_history(tuple(("trailer", f"{key}: {text}") for key in HISTORY_TRAILERS))


def _check_history(marks: Marks) -> None:
    """What was found can be packed, and names agents that can be registered."""
    assert packing.unpack_marks(packing.pack_marks(marks)) == marks
    for client, model in setups_of(find_signs(marks)):
        check_registration(client, model, "any")
        assert parse_agent_id(agent_id(client, model, IMPORTED))


def scan_position(data: bytes) -> None:
    """How far a history was read, as the store has it."""
    with suppress(AgentTrackerError):
        position = packing.unpack_scan_position(data)
        assert packing.unpack_scan_position(packing.pack_scan_position(position)) == position


def _notes() -> list[bytes]:
    agents = b'{"s_1": {"agent_id": {"tool": "codex", "id": "1", "model": "gpt-5"}}}'
    return [b'f\n  s_1::t_1 1-3\n  d9978a8 5\n---\n{"sessions": %s, "prompts": %s}' % (agents, agents)]


def _messages() -> list[bytes]:
    footer = "\N{ROBOT FACE} Generated with [Claude Code](https://claude.com/claude-code)"
    trailer = "Co-Authored-By: Claude Opus 4.5 (1M context) <noreply@anthropic.com>"
    fixed = "fix(core)!: it\n\nThis reverts commit " + "ab" * 20 + ".\n\nFixes: 0123456789ab\nCloses #3"
    return [f"Add\n\n{footer}\n\n{trailer}\n".encode(), fixed.encode()]


def _people() -> list[bytes]:
    return [b"Claude Opus 4.5 <noreply@anthropic.com>", b"aider (openai/gpt-5) <aider@aider.chat>", b"codex:gpt-5"]


TARGETS: dict[str, Target] = {
    "line": Target(line, seeds.lines, 400),
    "payload": Target(payload, seeds.payloads),
    "client-settings": Target(client_settings, seeds.client_settings),
    "segment": Target(segment, seeds.sealed),
    "segment-name": Target(segment_name, lambda: [b"seg-%020d-abcdef01" % 1, b"seg-%030d-x" % 1, b"\xd9\xa3" * 10]),
    "directory": Target(directory, _directories, 60),
    "event": Target(event, _packed("event"), 400),
    "journal": Target(journal, _packed("journal"), 200),
    "commit": Target(commit, _packed("commit")),
    "commit-state": Target(commit_state, _packed("commit_state")),
    "agent": Target(agent, _packed("agent")),
    "marks": Target(marks, _packed("marks")),
    "project": Target(project, _packed("project")),
    "registry": Target(registry, lambda: [seeds.registry_files()["agents"]]),
    "session": Target(session, lambda: [seeds.registry_files()["session"], b"../../etc/passwd"]),
    "policy": Target(policy, lambda: [b"warn\n", b"off"], 40),
    "project-file": Target(project_file, lambda: [b"00000000-0000-4000-8000-000000000001 " + b"ab" * 20 + b"\n"], 40),
    "settled": Target(settled, lambda: [b"%d\n/x\n\n" % (2 * NOW), "²\n/x".encode()]),
    "use": Target(use, lambda: [b"coder\n"], 40),
    "refs": Target(refs, lambda: [b"1 2 3 0a0b0c0d\n%d\n%s\n" % (NOW, b"ab" * 20)], 80),
    "reflog": Target(reflog, seeds.reflog),
    "operation": Target(operation, lambda: [b"rebase (pick): x", b"pull: Merge made by x", *seeds.reflog()[:1]]),
    "gitfile": Target(gitfile, lambda: [b"gitdir: ../git\n", b"ref: refs/heads/main\n"]),
    "config": Target(config, _configurations),
    "manifest": Target(manifest, _manifests),
    "document": Target(document, seeds.documents),
    "fact": Target(fact, seeds.exported, 400),
    "fact-file": Target(fact_file, _fact_files),
    "fingerprint": Target(fingerprint_file, _fingerprints),
    "outcome": Target(outcome, lambda: [b"%d begun\n" % NOW, b"%d failed: \x1b[31m" % NOW, b"9" * 5000 + b" x"], 40),
    "patrol": Target(patrol_place, lambda: [b"commits 0a0b\n", b"events \n", b"commits 0\n", b"x " + b"a" * 5000], 40),
    "escaping": Target(escaping, _texts),
    "message": Target(message, _messages),
    "note": Target(note, _notes),
    "person": Target(person, _people),
    "scan-position": Target(scan_position, lambda: [packing.pack_scan_position(ScanPosition((b"a" * 20,), 1, 2, 3))]),
    "database": Target(database, _databases, 4),
    "plugin-database": Target(plugin_database, seeds.plugin_databases, 200),
    "plugin-value": Target(plugin_value, seeds.plugin_values, 300),
    "plugin-block": Target(
        plugin_block, lambda: [b"\x30\x00\x2fab\x02\x00\x0f\x50xxxxx", b"\xff\xff\x1fa\x01\x00\xff\xff"]
    ),
}
