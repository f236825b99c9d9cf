"""The rules: shown, changed in the user's file, and put in force for all that ever happened.

Owns those verbs. A change in the file holds from then on; only `rederive` changes what was earned before. Never prints.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.apply import apply
from agent_tracker.config import check_rule, read_rules, valid_rules, write_rule
from agent_tracker.context import Context, FlushReport, open_store
from agent_tracker.derivation import derive, rederive
from agent_tracker.errors import AgentTrackerError, ConfigError, UsageError
from agent_tracker.flush import flush, tell_hooks
from agent_tracker.journal import RulesFact
from agent_tracker.journal_tables import facts
from agent_tracker.rules import RULES, Timeline, format_values
from agent_tracker.verbs.grading import check_person
from agent_tracker.views.rules import RulesHistory, Shift, rules_history, shifts

if TYPE_CHECKING:
    from agent_tracker.records import Agent
    from agent_tracker.store import Store
    from agent_tracker.tables import Snapshot, Writer

__all__ = ["Changed", "Rederivation", "rederive_all", "rules", "set_rule", "unset_rule"]

CHANGE = "another judgement of all that agents earn"
LATER_S = 0.02
"""How long after a second's beginning a file is sure to be given a time in it: a kernel's clock for files is coarse."""

_WHOLE_NUMBER = re.compile(r"-?[0-9]+")


class Changed(NamedTuple):
    """A rule that was changed in the user's file: its name as it is spelt, and its value, None where it was taken out.

    `trouble` says why it is not in force before the next flush, if it is not.
    """

    name: str
    value: int | None
    reports: tuple[FlushReport, ...]
    trouble: str


class Rederivation(NamedTuple):
    """What deriving everything anew changes, or changed.

    `before` and `after` are the agents; `is_rules_change`: other rules held for some of what happened.
    """

    shifts: tuple[Shift, ...]
    unchanged: int
    is_rules_change: bool


def rules(snapshot: Snapshot | None, context: Context) -> RulesHistory:
    """Return the rules in force and their history; where there is no store yet, those that one would begin with."""
    if snapshot is not None:
        return rules_history(facts(snapshot, RulesFact))
    return rules_history([RulesFact(0, is_for_all=True, values=format_values(valid_rules(context.paths)))])


def set_rule(context: Context, name: str, text: str) -> Changed:
    """Set a rule in the user's file, in force from now on.

    What is waiting is flushed before, and the change falls on the beginning of a second, as a commit's time does: what
    was committed before it keeps the old rule, what is committed after it has the new one.

    Raises:
        RegistrationError: An agent asks for it.
        ConfigError: There is no such rule, or it may not have this value beside the others.
        UsageError: The value is no number.
    """
    check_person(context.env, CHANGE, "rules set ...")
    rule = _named(name)
    if not _WHOLE_NUMBER.fullmatch(text):
        raise UsageError(f"{rule} must be a whole number, not {text[:40]!r}", "agent-tracker rules")
    return _change(context, rule, int(text[:20]))


def unset_rule(context: Context, name: str) -> Changed:
    """Take a rule out of the user's file: its default is in force from now on, as for `set_rule`.

    Raises:
        RegistrationError: An agent asks for it.
        ConfigError: It does not stand there, or its default does not go with the other rules.
    """
    check_person(context.env, CHANGE, "rules unset ...")
    known = next((rule.name for rule in RULES if rule.name.lower() == name.lower()), name)
    if not check_rule(context.paths, known, None):
        raise ConfigError(f"{known[:40]} is not set in {context.paths.config_file}", "agent-tracker rules")
    return _change(context, known, None)


def _change(context: Context, name: str, value: int | None) -> Changed:
    """Flush, write a rule at the beginning of a second, and flush again; the store's troubles keep nothing from it."""
    check_rule(context.paths, name, value)
    reports: list[FlushReport] = []
    trouble = _flushed(context, reports)
    time.sleep(1 - time.time() % 1 + LATER_S)
    write_rule(context.paths, name, value)
    # The file is younger than this command, and what is in force cannot be younger than the flush.
    trouble = trouble or _flushed(context._replace(now_ns=max(context.now_ns, time.time_ns())), reports)
    return Changed(name, value, tuple(reports), trouble)


def _flushed(context: Context, reports: list[FlushReport]) -> str:
    try:
        reports.append(flush(None, context))
    except AgentTrackerError as error:
        return error.message
    return ""


def _named(name: str) -> str:
    for rule in RULES:
        if rule.name.lower() == name.lower():
            return rule.name
    raise ConfigError(f"unknown rule {name[:40]!r}", "agent-tracker rules lists them")


def rederive_all(context: Context, *, dry_run: bool) -> Rederivation:
    """Derive everything anew from the facts, under the rules that are in force now, as if they always had been.

    Args:
        context: Paths, environment, time.
        dry_run: Change nothing, and say what would change.

    Raises:
        RegistrationError: An agent asks for it.
        ConfigError: The rules of the configuration are not valid.
        StoreError: The store cannot be used, or a fact in it is damaged.
        AgentTrackerError: As `flush.flush`, which goes first.
    """
    if not dry_run:
        check_person(context.env, CHANGE, "rederive")
    read_rules(context.paths)
    flush(None, context)
    store, _ = open_store(context)
    if dry_run:
        with store.snapshot() as snapshot:
            return _planned(snapshot) if snapshot else Rederivation((), 0, is_rules_change=False)
    if not store.exists():
        return Rederivation((), 0, is_rules_change=False)
    done = _rederive(store, context)
    tell_hooks(context)
    return done


def _planned(snapshot: Snapshot) -> Rederivation:
    current = Timeline([RulesFact(0, is_for_all=True, values=format_values(snapshot.timeline().current))])
    before, after = snapshot.agents(), derive(snapshot, current).standings
    return _compared(before, [agent._replace(standing=after[agent.id]) for agent in before], snapshot)


def _rederive(store: Store, context: Context) -> Rederivation:
    def work(writer: Writer) -> Rederivation:
        before, known = writer.agents(), list(facts(writer, RulesFact))
        planned = _compared(before, before, writer)
        if planned.is_rules_change:
            # A clock that went backwards must not put this before what it replaces.
            at_ns = max([context.now_ns, *(fact.recorded_ns + 1 for fact in known)])
            values = format_values(writer.timeline().current)
            apply(writer, [RulesFact(at_ns, is_for_all=True, values=values)], now=context.now)
        else:
            rederive(writer, context.now)
        return _compared(before, writer.agents(), writer)._replace(is_rules_change=planned.is_rules_change)

    return store.write(work, timeout_s=context.timeout_s)


def _compared(before: list[Agent], after: list[Agent], snapshot: Snapshot) -> Rederivation:
    found = shifts({agent.id: agent.standing for agent in before}, {agent.id: agent.standing for agent in after})
    return Rederivation(tuple(found), len(before) - len(found), not snapshot.timeline().is_constant)
