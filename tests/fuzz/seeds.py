"""Where the inputs begin: what the product itself writes, one of each kind."""
# ruff: noqa: PTH118 -- as the product has its paths

from __future__ import annotations

import json
import lzma
import os
import subprocess
import tempfile
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from agent_tracker import packing
from agent_tracker.fact_json import fact_to_json, format_object
from agent_tracker.journal import ActivityFact, ForgetFact, JournalFact, RetroFact
from agent_tracker.journal_codec import key_of, pack
from agent_tracker.lines import agent_line, commit_line, credit_line, fact_line, format_line, squash_line, state_line
from agent_tracker.records import (
    MICRO,
    Agent,
    AgentFact,
    CreditFact,
    LossFact,
    ProjectFact,
    RewriteFact,
    SeenCommit,
    SeenSquash,
    SightingFact,
    StateFact,
    UndoneFact,
)
from agent_tracker.registry import write_agents, write_session
from agent_tracker.xp import NEW_STANDING
from facts import NOW, PROJECT, bug, commit_fact, fact_id, grade, oid, pulse, push, rules_fact, session, withdrawal

__all__ = [
    "agents",
    "facts",
    "hostile_texts",
    "lines",
    "packed",
    "plugin_databases",
    "plugin_values",
    "reflog",
    "registry_files",
    "sealed",
]

ESC, CSI = "\x1b", "\x9b"
AT_NS = NOW * 10**9


def hostile_texts() -> tuple[str, ...]:
    """Return what a terminal would act on, what cannot be decoded, and what a format of ours means something by."""
    return (
        f"{ESC}[31mred{ESC}[0m",
        f"{ESC}]0;title\x07",
        f"{ESC}]52;c;AAAA{ESC}\\",
        f"{CSI}2J",
        "\x7f\x08\x08\r\x00bel\x07",
        "\u202eevil\u2066inner\u2069",
        "zero\u200bwidth\ufeff\u2028",
        "lone \ud800 and \udc80",
        "tab\tnew\nline\\x41 =9:00000000",
        "\U000e0001tag",
        "'; $(touch x) `y` ${z}",
    )


def agents() -> list[Agent]:
    """Return agents: a plain one, one with foreign letters, a retired one."""
    plain = Agent("coder", "coder", "m-1", "all", "aider", True, NOW, NOW, NEW_STANDING, ())  # noqa: FBT003 -- in order
    halted = NEW_STANDING._replace(skill_points=0)
    return [
        plain,
        plain._replace(id="e-1", name="\u00c9crit\t", client=""),
        plain._replace(id="old", active=False, standing=halted, transitions=((AT_NS, True), (AT_NS + 1, False))),
    ]


def journal() -> list[JournalFact]:
    """Return one fact of each kind of the journal."""
    texts = ("a task", "done\nthis", "came out", "chose")
    return [
        grade("a", "good", note="fine"),
        bug("a", note="broken"),
        withdrawal("a"),
        RetroFact(fact_id("r"), oid("a"), "", "coder", "task", "good", "", "note", "", PROJECT, AT_NS),
        ActivityFact(fact_id("v"), "coder", "s", oid("a"), *texts, PROJECT, AT_NS),
        session("s-1", "coder"),
        pulse("p", "s-1"),
        push("a"),
        rules_fact(),
        ForgetFact(fact_id("r"), AT_NS),
    ]


@lru_cache
def facts() -> list[packing.EventFact]:
    """Return one fact of each kind that is an event."""
    return [
        RewriteFact(oid("a"), oid("b"), "amend", AT_NS, 3, 4),
        StateFact("coder", "retired", AT_NS),
        CreditFact(oid("a"), (("coder", MICRO // 2), ("human", MICRO // 2)), AT_NS, "was mine"),
        AgentFact("coder", "coder", "m-1", "all", "aider", NOW),
        SightingFact(oid("a"), (("hook", "1"), ("AI_AGENT", "x")), NOW),
        UndoneFact(oid("a"), oid("b"), AT_NS),
        LossFact(oid("a"), is_lost=True, recorded_ns=AT_NS),
        *journal(),
    ]


@lru_cache
def lines() -> list[bytes]:
    """Return one line of each kind that a spool may hold, without their frames' newlines."""
    seen = SeenCommit(oid("a"), "coder", "", "rebase", (("AI_AGENT", "aider é"), ("X", "a\tb\x1b[31m")))
    core = [
        commit_line(seen),
        format_line("rewrite", "amend", oid("a").hex(), oid("b").hex()),
        squash_line(SeenSquash(oid("a"), (oid("b"), oid("c", length=32)))),
        agent_line(AgentFact("coder", "coder", "m-1", "all", "aider", NOW)),
        state_line(StateFact("coder", "retired", AT_NS)),
        credit_line(CreditFact(oid("a"), (("coder", MICRO),), AT_NS, "was mine")),
        b"1\tcommit\t%s\t\tcoder\t\tAI_AGENT=aider =78\n" % oid("a").hex().encode(),
    ]
    return [line.strip(b"\n") for line in [*core, *map(fact_line, journal())]]


def sealed() -> list[bytes]:
    """Return whole spools: a good one, a torn one, one with other bytes in it."""
    whole = b"".join(b"\n%s\n" % line for line in lines())
    return [whole, whole[: len(whole) // 2], whole.replace(b"\n\n", b"\r\n\0\n"), b"\0" * 300 + whole]


@lru_cache
def packed() -> dict[str, list[bytes]]:
    """Return stored values by the kind of record; where a key belongs to it, its length in a byte and it come first."""
    return {
        "event": [_keyed(packing.event_key(fact), packing.pack_event(fact)) for fact in facts()],
        "journal": [_keyed(key_of(fact), pack(fact)) for fact in journal()],
        "commit": [
            packing.pack_commit(oid("a", length=length), 1, operation, 2, NOW, NOW, b"a subject \xff")
            for length, operation in ((20, "commit"), (32, "arrived"))
        ],
        "commit_state": [
            packing.pack_commit_state(7, "counted", ((2, MICRO),)),
            packing.pack_commit_state(7, "rewritten", ((2, 1), (3, MICRO - 1)), NOW),
        ],
        "agent": [packing.pack_agent(agent, number) for number, agent in enumerate(agents(), 2)],
        "marks": [packing.pack_marks((("hook", "1"), ("trailer", "x"))), b""],
        "project": [packing.pack_project(ProjectFact(PROJECT, b"/home/x\xff", root, NOW)) for root in (b"", oid("r"))],
    }


def _keyed(key: bytes, value: bytes) -> bytes:
    return bytes([len(key)]) + key + value


def exported() -> list[bytes]:
    """Return the lines of an export: every kind of fact as JSON."""
    commit = commit_fact("a")
    return [format_object(fact_to_json(fact)).strip() for fact in (commit, *facts())]


def documents() -> list[bytes]:
    """Return what an agent may pipe into `retro add -`."""
    whole = {"task": "t", "agent_grade": "good", "agent_note": "n\nn", "user_note": "é"}
    return [json.dumps(whole).encode(), b'{"task": "a", "task": "b"}', b'{"task": 1e999}', b"[" * 100]


def payloads() -> list[bytes]:
    """Return what real clients handed to their hooks."""
    directory = Path(__file__).parent.parent / "clients" / "payloads"
    return [line for path in sorted(directory.glob("*.jsonl")) for line in path.read_bytes().splitlines()]


def client_settings() -> list[bytes]:
    """Return what may stand in a client's settings."""
    commented = b'{\n  // why\n  "a": 1, /* b */\n  "hooks": {"Stop": [{"hooks": []},], },\n}\n'
    return [b"{}", b"", commented, b'{"hooks": {"Stop": []}}', b'\xef\xbb\xbf{\r\n\t"hooks": {}\r\n}']


@lru_cache
def registry_files() -> dict[str, bytes]:
    """Return the files of a registry, as the product writes them, by their names."""
    with tempfile.TemporaryDirectory() as top:
        registry = os.path.join(top, "registry")
        write_agents(registry, agents())
        write_session(registry, "s-1", "coder", now_ns=AT_NS)
        return {
            "agents": Path(registry, "agents").read_bytes(),
            "marker": Path(registry, "ids", "coder").read_bytes(),
            "session": Path(top, "sessions", "s-1").read_bytes(),
        }


@lru_cache
def reflog() -> list[bytes]:
    """Return the HEAD reflog of a repository in which the common things happened."""
    people = {f"GIT_{who}_{what}": "a" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment = {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, **people}
    with tempfile.TemporaryDirectory() as top:
        commit = ("commit", "--quiet", "--allow-empty", "-m")
        for argv in (
            ("init", "--quiet", "--initial-branch=main"),
            (*commit, "one"),
            (*commit, "two"),
            ("commit", "--quiet", "--allow-empty", "--amend", "-m", "three"),
            ("switch", "--quiet", "--create", "topic"),
            (*commit, "four"),
            ("switch", "--quiet", "main"),
            ("merge", "--quiet", "--no-ff", "-m", "merged", "topic"),
            ("reset", "--quiet", "--hard", "HEAD~"),
            ("cherry-pick", "--allow-empty", "topic"),
        ):
            subprocess.run(("git", *argv), cwd=top, env=environment, check=True, capture_output=True)
        whole = Path(top, ".git", "logs", "HEAD").read_bytes()
    entries = whole.split(b"\n")
    return [whole, *(b"\n".join(pair) + b"\n" for pair in pairwise(entries))]


@lru_cache
def plugin_databases() -> list[bytes]:
    """Return what the OpenCode plugin wrote, in both its layouts."""
    kept = Path(__file__).parent.parent / "fixtures" / "lmdbjs"
    return [lzma.decompress((kept / f"{name}.lmdb.xz").read_bytes()) for name in ("old", "new", "odd", "new-worn")]


def plugin_values() -> list[bytes]:
    """Return values as the plugin writes them: a record of its own, one of a shared structure, dates and numbers."""
    return [
        b"\xd4\x72\x40\x92\xa2id\xa4name\xa3ada\xa3ada",
        b"\x92\x40\xa3ada\x05\x61\x00\xd6\xff\x65\x00\x00\x00",
        b"\x82\xa1a\xc7\x0c\xff\x00\x00\x00\x01\x00\x00\x00\x00\x65\x00\x00\x00\xa1b\xcb\x40\x37\xb3\x33\x33\x33\x33\x33",
        b"\xd5\x72\x60\x01\x91\xa1x\xd3\xff\xff\xff\xff\xff\xff\xff\xff",
    ]
