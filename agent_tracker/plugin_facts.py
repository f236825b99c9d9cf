"""What the entries of the OpenCode plugin's database mean as facts.

Owns that translation, and saying of each entry what came of it. Never reads a file and never asks the store.

agents          a registration, its id derived from name, model and scope as always. One that is not active is retired,
                and so is one whose name an active agent has here: that name must go on to mean one. What it had earned
                is left out: a standing follows from facts.
commits         a commit, with the mark `plugin` that says whose it is, and `plugin-id`, the id by which the plugin
                called that agent; the subject is the task's first line.
communication   a grade of that commit. The plugin does not say whose: that of the side which gave the same in the
                commit's retrospective, else the first is the agent's and the second the user's, as the plugin asks.
retrospectives  a look back at the commit, or, where it names none that is known, at a session by that name.
activities      an activity.
projects,       nothing: what a project is made of is no fact, and what was migrated is here by its own entries.
migrations

A fact's id is a checksum of what its entry says, without the key: the plugin gave some entries another one when it
moved them from a project's database to the central one. So the same entry is one fact, wherever it is met.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_tracker.journal import MAX_NOTE, MAX_WORD, ActivityFact, GradeFact, RetroFact
from agent_tracker.lmdbjs.entries import DATABASES
from agent_tracker.lmdbjs.msgpackr import Moment
from agent_tracker.records import HUMAN, AgentFact, CommitFact, StateFact
from agent_tracker.registration import MAX_NAME, PLUGIN, PLUGIN_ID, agent_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from agent_tracker.lmdbjs.entries import Entry
    from agent_tracker.records import Agent, Fact, Marks

__all__ = ["KINDS", "TOTALS", "Meant", "Places", "full_oid", "translate"]

TOTALS = "totals"
"""What an agent's entry says beside its registration: counted as a kind of its own."""

KINDS = (*DATABASES[:1], TOTALS, *DATABASES[1:])
"""Every kind, in the order in which a person meets them."""

NS = 10**9
MAX_NS = (1 << 63) - 1
MAX_S = (1 << 32) - 1
MAX_SUBJECT = 300
_OID_DIGITS = (40, 64)
_HEX = frozenset("0123456789abcdef")
_GRADES = {-1: "bad", 1: "neutral", 2: "good", 5: "excellence"}
_SIDES = ("agent", "user")
_EARNED = ("skill_points", "experience_points", "communication_score", "total_commits", "total_bugs")
_UNKNOWN = "unknown"
_MORE = "..."


class Meant(NamedTuple):
    """What came of one entry: of which kind it is, its key, its facts, the one that stands for it first.

    `reason` says why there are none, or, with facts, what they do not hold; `detail` what that was.
    """

    kind: str
    key: str
    facts: tuple[Fact, ...] = ()
    reason: str = ""
    detail: str = ""
    is_unreadable: bool = False


class Places(NamedTuple):
    """What is known around the database: the projects' ids by the paths that entries name, commits by short names.

    `by_path` takes a path, empty where none is named; `find_oid` takes that and the beginning of an oid, and returns
    an empty one where no commit is found.
    """

    by_path: Callable[[str], str]
    find_oid: Callable[[str, str], bytes]


def translate(entries: Sequence[Entry], known: Iterable[Agent], places: Places, *, now: int) -> list[Meant]:
    """Return what each entry means, in their order, agents first.

    Args:
        entries: Of one database.
        known: The agents that are registered here: what they are stays as it is.
        places: Where commits belong.
        now: Unix seconds, for agents that do not say since when they are.
    """
    translation = _Translation(entries, known, places, now)
    unread = [Meant(_kind(each), each.key, (), each.trouble, is_unreadable=True) for each in entries if each.trouble]
    return [*translation.meant(), *unread]


def full_oid(text: object) -> bytes:
    """Return the oid that a text gives in full, empty where it does not."""
    name = text.lower() if isinstance(text, str) else ""
    return bytes.fromhex(name) if len(name) in _OID_DIGITS and _HEX.issuperset(name) else b""


def _kind(entry: Entry) -> str:
    return entry.database if entry.database in DATABASES else ""


class _Translation:
    def __init__(self, entries: Iterable[Entry], known: Iterable[Agent], places: Places, now: int) -> None:
        self._by_database: dict[str, list[tuple[str, dict[str, Any]]]] = {}
        for each in entries:
            if each.fields is not None:
                self._by_database.setdefault(_kind(each), []).append((each.key, each.fields))
        self._known = {agent.id: agent for agent in known}
        self._names = {agent.name for agent in self._known.values() if agent.active}
        self._places = places
        self._now = now
        self._ids: dict[str, str] = {}
        """Our ids of agents by the plugin's."""
        self._projects: dict[bytes, str] = {}

    def meant(self) -> list[Meant]:
        """Return what each entry means that could be read."""
        found = []
        agents = self._of("agents")
        active = {self._setup(key, fields).id for key, fields in agents if fields.get("active") is not False}
        for key, fields in agents:
            found += self._agent(key, fields, active)
        found += [self._commit(key, fields) for key, fields in self._of("commits")]
        found += self._grades()
        found += [self._retro(key, fields) for key, fields in self._of("retrospectives")]
        found += [self._activity(key, fields) for key, fields in self._of("activities")]
        found += [
            Meant("projects", key, (), "what a project is made of is not kept") for key, _ in self._of("projects")
        ]
        found += [Meant("migrations", key, (), "the plugin's own bookkeeping") for key, _ in self._of("migrations")]
        return found + [Meant("", key, (), "of no kind that is known") for key, _ in self._of("")]

    def _of(self, database: str) -> list[tuple[str, dict[str, Any]]]:
        return self._by_database.get(database, [])

    # -- agents

    def _setup(self, key: str, fields: dict[str, Any]) -> AgentFact:
        name = _printable(fields.get("name")) or _printable(key) or _UNKNOWN
        name = f"{name}-agent" if name.lower() == HUMAN else name
        model = _printable(fields.get("model")) or _UNKNOWN
        scope = _printable(fields.get("scope")) or _UNKNOWN
        since_ns = next((ns for ns in map(_ns, (fields.get("created_at"), fields.get("updated_at"))) if ns), 0)
        return AgentFact(agent_id(name, model, scope), name, model, scope, "", min(since_ns // NS, MAX_S) or self._now)

    def _agent(self, key: str, fields: dict[str, Any], active: set[str]) -> list[Meant]:
        fact = self._setup(key, fields)
        self._ids[key] = fact.id
        facts: list[Fact] = [fact]
        reason = ", ".join(filter(None, (_shortened(name, fields.get(name)) for name in ("name", "model", "scope"))))
        is_taken = fact.name in self._names
        if fact.id not in self._known and (fact.id not in active or is_taken):
            at_ns = max(_ns(fields.get("updated_at")), (fact.recorded_at + 1) * NS)
            facts.append(StateFact(fact.id, "retired", at_ns))
            if is_taken and fact.id in active:
                why = f"retired: another agent here is called {fact.name}; agent-tracker agents resume {fact.id}"
                reason = f"{reason}, {why}" if reason else why
        found = [Meant("agents", key, tuple(facts), reason)]
        totals = [f"{name} {fields[name]}" for name in _EARNED if isinstance(fields.get(name), int | float)]
        if totals:
            found.append(Meant(TOTALS, key, (), "a standing follows from facts", ", ".join(totals)))
        return found

    def _agent_of(self, plugin_id: object) -> str:
        """Return our id of an agent, or the plugin's as a word where it has no entry."""
        name = plugin_id if isinstance(plugin_id, str) else ""
        return self._ids.get(name) or _word(name)

    # -- commits

    def _commit(self, key: str, fields: dict[str, Any]) -> Meant:
        path, oid = self._place(fields, key)
        at_ns = _ns(fields.get("timestamp"))
        if not oid:
            return Meant("commits", key, (), "it does not name its commit in full")
        if not at_ns or at_ns // NS > MAX_S:
            return Meant("commits", key, (), "it does not say when the commit was made")
        self._projects[oid] = self._places.by_path(path)
        if not self._projects[oid]:
            return Meant("commits", key, (), "it does not say in which directory its project lies")
        at = at_ns // NS
        subject = _text(fields.get("task_description")).strip().partition("\n")[0][:MAX_SUBJECT]
        marks = self._marks(fields.get("agent_id"))
        return Meant("commits", key, (CommitFact(oid, self._projects[oid], "commit", marks, at, at, subject),))

    def _marks(self, plugin_id: object) -> Marks:
        """Return the marks of a commit: no hook saw it, the plugin says whose it is, and by which name it called it."""
        name = self._agent_of(plugin_id)
        if not name:
            return (("found", "1"),)
        return (("found", "1"), (PLUGIN, name), (PLUGIN_ID, _word(plugin_id)))

    def _place(self, fields: dict[str, Any], key: str) -> tuple[str, bytes]:
        """Return the path of the project that an entry names, empty where none is, and the oid of its commit."""
        before, _, last = key.rpartition(":")
        path, name = fields.get("project_path"), fields.get("commit_hash")
        path = path if isinstance(path, str) else before
        name = name if isinstance(name, str) else last
        return path, full_oid(name) or self._short(path, name)

    def _short(self, path: str, name: str) -> bytes:
        return self._places.find_oid(path, name.lower()) if _HEX.issuperset(name.lower()) else b""

    # -- grades

    def _grades(self) -> list[Meant]:
        found = []
        looked_back = self._looked_back()
        taken: dict[bytes, list[str]] = {}
        entries = sorted(self._of("communication"), key=lambda each: (_ns(each[1].get("timestamp")), each[0]))
        for key, fields in entries:
            _, oid = self._place(fields, "")
            grade, at_ns = _grade(fields.get("grade")), _ns(fields.get("timestamp"))
            if not (oid and grade and at_ns):
                what = "its commit in full" if not oid else "when it was given" if grade else "a grade that is known"
                found.append(Meant("communication", key, (), f"it does not name {what}"))
                continue
            side = _side(grade, looked_back.get(oid, ()), taken.setdefault(oid, []))
            fact = GradeFact(_id("communication", "", fields), oid, "", side, grade, _note(fields, "reason"), at_ns)
            found.append(Meant("communication", key, (fact,), _cut(fields, "reason")))
        return found

    def _looked_back(self) -> dict[bytes, tuple[str, str]]:
        """Return which grades the agent and the user gave, by the retrospectives."""
        found = {}
        for _, fields in self._of("retrospectives"):
            oid = full_oid(fields.get("commit"))
            if oid:
                found[oid] = _grade(fields.get("agent_grade")), _grade(fields.get("user_grade"))
        return found

    # -- the journal

    def _retro(self, key: str, fields: dict[str, Any]) -> Meant:
        commit = fields.get("commit")
        commit = commit if isinstance(commit, str) else key.rpartition(":")[2]
        plugin_id = key.removesuffix(f":{commit}")
        oid = full_oid(commit) or self._short("", commit)
        session = "" if oid else _word(f"{PLUGIN} {commit}")
        at_ns = _ns(fields.get("timestamp"))
        if not at_ns:
            return Meant("retrospectives", key, (), "it does not say when it was written")
        fact = RetroFact(
            id=_id("retrospectives", plugin_id, fields),
            oid=oid,
            session=session,
            agent=self._agent_of(plugin_id),
            task=_note(fields, "task"),
            agent_grade=_grade(fields.get("agent_grade")),
            user_grade=_grade(fields.get("user_grade")),
            agent_note=_note(fields, "agent_note"),
            user_note=_note(fields, "user_note"),
            project=self._projects.get(oid, ""),
            recorded_ns=at_ns,
        )
        return Meant("retrospectives", key, (fact,), _cut(fields, "task", "agent_note", "user_note"))

    def _activity(self, key: str, fields: dict[str, Any]) -> Meant:
        said = fields.get("timestamp")
        plugin_id = key.removesuffix(f":{said}") if isinstance(said, str) else key.partition(":")[0]
        at_ns = _ns(said)
        if not at_ns:
            return Meant("activities", key, (), "it does not say when it was written")
        fact = ActivityFact(
            id=_id("activities", plugin_id, fields),
            agent=self._agent_of(plugin_id),
            session="",
            oid=b"",
            task=_note(fields, "task"),
            actions=_note(fields, "actions"),
            outcome=_note(fields, "outcome"),
            decisions=_note(fields, "decisions"),
            project=self._places.by_path(""),
            recorded_ns=at_ns,
        )
        return Meant("activities", key, (fact,), _cut(fields, "task", "actions", "outcome", "decisions"))


# -- fields


def _side(grade: str, looked_back: tuple[str, ...], taken: list[str]) -> str:
    """Return whose a grade is, and note that this side has given one."""
    matching = [side for side, given in zip(_SIDES, looked_back, strict=False) if given == grade and side not in taken]
    free = [side for side in _SIDES if side not in taken]
    side = next(iter(matching or free), _SIDES[len(taken) % 2])
    taken.append(side)
    return side


def _ns(value: object) -> int:
    """Return a time in Unix nanoseconds: a date, ISO 8601, or JavaScript's milliseconds; 0 where it is none."""
    if isinstance(value, Moment):
        found = value.ns
    elif isinstance(value, str):
        try:
            read = datetime.fromisoformat(value)
            since = (read if read.tzinfo else read.replace(tzinfo=UTC)) - datetime.fromtimestamp(0, UTC)
            found = (since.days * 86400 + since.seconds) * NS + since.microseconds * 1000
        except (ValueError, OverflowError):
            found = 0
    elif isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < MAX_NS:
        found = int(value) * 10**6
    else:
        found = 0
    return found if 0 < found <= MAX_NS else 0


def _grade(value: object) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return next((word for number, word in _GRADES.items() if is_number and value == number), "")


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _note(fields: dict[str, Any], name: str) -> str:
    return _text(fields.get(name))[:MAX_NOTE]


def _word(value: object) -> str:
    """Return a text as a name: short, and without what separates names in the store."""
    return _text(value).replace("\0", "")[:MAX_WORD]


def _printable(value: object) -> str:
    """Return a text as a registration's may be: printable, short, and told from others that begin like it."""
    text = "".join(letter if letter.isprintable() else " " for letter in _text(value)).strip()
    if len(text) <= MAX_NAME:
        return text
    digits = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{text[: MAX_NAME - len(_MORE) - len(digits)]}{_MORE}{digits}"


def _shortened(name: str, value: object, limit: int = MAX_NAME) -> str:
    """Return that a text is not whole, in words, empty where it is."""
    length = len(_text(value))
    return f"{name} cut from {length} characters to {limit}" if length > limit else ""


def _cut(fields: dict[str, Any], *names: str) -> str:
    return ", ".join(filter(None, (_shortened(name, fields.get(name), MAX_NOTE) for name in names)))


def _id(database: str, agent: str, fields: dict[str, Any]) -> str:
    """Return a fact's id: twelve hexadecimal digits of what its entry says."""
    said = [database, agent]
    for name, value in sorted(fields.items()):
        plain = value.ns if isinstance(value, Moment) else value
        said.append(f"{name}={int(plain) if isinstance(plain, float) and plain.is_integer() else plain}")
    return hashlib.sha256("\0".join(said).encode("utf-8", "surrogatepass")).hexdigest()[:12]
