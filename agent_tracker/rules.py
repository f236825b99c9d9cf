"""The rules by which standing follows from facts: one table, each rule with its default and its source.

Owns the table, its versions, and the words for tiers. Pure.

A change of the rules is a fact of its own: it holds from its time on, and what happened before keeps what it earned,
unless the change was made for all of it.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.errors import ConfigError
from agent_tracker.journal import GRADES, RulesFact

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "DEFAULT_RULES",
    "RULES",
    "Rule",
    "Rules",
    "Timeline",
    "format_values",
    "parse_values",
    "score_tier",
    "trust_tier",
    "with_overrides",
]

MAX_VALUE = 100_000

Rules = dict[str, int]
"""A value for every rule, by its name."""


class Rule(NamedTuple):
    """One rule: an integer between `minimum` and MAX_VALUE; `source` is where it is laid down."""

    name: str
    default: int
    minimum: int
    meaning: str
    source: str


_EXPERIENCE = "README, Standing: experience"
_LEVELS = "README, Standing: levels"
_BUGS = "README, Standing: bugs"
_GRADES = "README, Standing: grades"
_NEW = "README, Standing: a new agent"
_TRUST = "README, Standing: trust tiers"
_SCORE = "README, Standing: score tiers"

RULES = (
    Rule("toolXp", 1, 0, "XP for a successful use of a tool", _EXPERIENCE),
    Rule("commandXp", 2, 0, "XP for a successful command", _EXPERIENCE),
    Rule("commitXp", 5, 0, "XP for a commit, given by share", _EXPERIENCE),
    Rule("gradedCommitXp", 1, 0, "XP for a commit that was graded, once", _EXPERIENCE),
    Rule("pushXp", 10, 0, "XP for a push that moved a remote's ref", _EXPERIENCE),
    Rule("levelXp", 100, 1, "XP times SP at which the next SP comes; what is beyond is kept", _LEVELS),
    Rule("bugSp", 1, 0, "SP that a reported bug takes; at 0 the agent is halted", _BUGS),
    Rule("gradeBad", -1, -MAX_VALUE, "CS for the grade bad", _GRADES),
    Rule("gradeNeutral", 1, -MAX_VALUE, "CS for the grade neutral", _GRADES),
    Rule("gradeGood", 2, -MAX_VALUE, "CS for the grade good", _GRADES),
    Rule("gradeExcellence", 5, -MAX_VALUE, "CS for the grade excellence", _GRADES),
    Rule("newSp", 1, 1, "SP of a new agent", _NEW),
    Rule("newCs", 60, 0, "CS of a new agent", _NEW),
    Rule("trustJunior", 2, 0, "SP from which an agent is junior; below: probation", _TRUST),
    Rule("trustEstablished", 4, 0, "SP from which an agent is established", _TRUST),
    Rule("trustSenior", 7, 0, "SP from which an agent is senior", _TRUST),
    Rule("trustExpert", 10, 0, "SP from which an agent is expert", _TRUST),
    Rule("scoreBreakingPoint", 1, 0, "CS from which it is breaking point; below: broken", _SCORE),
    Rule("scoreCritical", 20, 0, "CS from which it is critical", _SCORE),
    Rule("scoreDeclining", 40, 0, "CS from which it is declining", _SCORE),
    Rule("scoreNeutral", 60, 0, "CS from which it is neutral", _SCORE),
    Rule("scoreStrong", 80, 0, "CS from which it is strong", _SCORE),
    Rule("scoreExceptional", 100, 0, "CS from which it is exceptional", _SCORE),
)
"""Every rule."""

DEFAULT_RULES: Rules = {rule.name: rule.default for rule in RULES}
_BY_NAME = {rule.name: rule for rule in RULES}
_TRUST_WORDS = (
    ("trustExpert", "expert"),
    ("trustSenior", "senior"),
    ("trustEstablished", "established"),
    ("trustJunior", "junior"),
)
_SCORE_WORDS = (
    ("scoreExceptional", "exceptional"),
    ("scoreStrong", "strong"),
    ("scoreNeutral", "neutral"),
    ("scoreDeclining", "declining"),
    ("scoreCritical", "critical"),
    ("scoreBreakingPoint", "breaking point"),
)
_GRADE_RULES = {grade: f"grade{grade.capitalize()}" for grade in GRADES}


def trust_tier(skill_points: int, rules: Mapping[str, int] = DEFAULT_RULES) -> str:
    """Return the word for so many skill points."""
    return next((word for name, word in _TRUST_WORDS if skill_points >= rules[name]), "probation")


def score_tier(score: int, rules: Mapping[str, int] = DEFAULT_RULES) -> str:
    """Return the word for a communication score."""
    return next((word for name, word in _SCORE_WORDS if score >= rules[name]), "broken")


def grade_value(grade: str, rules: Mapping[str, int]) -> int:
    """Return what a grade adds to a communication score."""
    return rules[_GRADE_RULES[grade]]


def with_overrides(overrides: Mapping[str, object], source: str) -> Rules:
    """Return the default rules with some of them replaced.

    Args:
        overrides: Values by the rules' names, as a configuration file holds them.
        source: Where they stand; an error begins with it.

    Raises:
        ConfigError: There is no such rule, or the value is not a number that it may have.
    """
    rules = dict(DEFAULT_RULES)
    for name, value in overrides.items():
        rule = _BY_NAME.get(name)
        if rule is None:
            raise ConfigError(f"{source}: unknown rule {name[:40]!r}", "agent-tracker rules lists them")
        if not isinstance(value, int) or isinstance(value, bool) or not rule.minimum <= value <= MAX_VALUE:
            raise ConfigError(
                f"{source}: {name} must be a whole number from {rule.minimum} to {MAX_VALUE}, not {str(value)[:40]!r}",
                f"the default is {rule.default}",
            )
        rules[name] = value
    _check_order(rules, source)
    return rules


def _check_order(rules: Rules, source: str) -> None:
    for words in (_TRUST_WORDS, _SCORE_WORDS):
        values = [rules[name] for name, _ in words]
        if values != sorted(values, reverse=True):
            names = ", ".join(name for name, _ in reversed(words))
            raise ConfigError(f"{source}: the tiers must rise in this order: {names}", "agent-tracker rules")


def format_values(rules: Mapping[str, int]) -> str:
    """Return rules as a fact holds them."""
    return " ".join(f"{name}={value}" for name, value in sorted(rules.items()))


def parse_values(text: str) -> Rules:
    """Undo `format_values`; a rule that is not named has its default, and a name that is not known is passed over."""
    rules = dict(DEFAULT_RULES)
    for word in text.split(" "):
        name, _, value = word.partition("=")
        if name in rules and value.removeprefix("-").isdigit():
            rules[name] = int(value)
    return rules


class Timeline:
    """Which rules held when.

    Args:
        facts: Every change of the rules, in any order.
    """

    def __init__(self, facts: Iterable[RulesFact] = ()) -> None:
        first: Rules = dict(DEFAULT_RULES)
        later: list[tuple[int, Rules]] = []
        for fact in sorted(facts):
            values = parse_values(fact.values)
            if fact.is_for_all:
                first, later = values, []
            else:
                later.append((fact.recorded_ns, values))
        self._versions = [first, *(rules for _, rules in later)]
        self.boundaries = tuple(at for at, _ in later)
        """When the rules changed for what came after; Unix nanoseconds, ascending."""

    @property
    def current(self) -> Rules:
        """The rules that hold now."""
        return self._versions[-1]

    @property
    def is_constant(self) -> bool:
        """Whether the same rules hold for all time."""
        return not self.boundaries

    def at(self, at_ns: int) -> Rules:
        """Return the rules that held then."""
        return self._versions[bisect_right(self.boundaries, at_ns)] if self.boundaries else self._versions[0]

    def commit_micro(self, share: int, at: int) -> int:
        """Return the experience for a share (in millionths) of a commit, earned at so many Unix seconds."""
        return share * self.at(at * 10**9)["commitXp"]
