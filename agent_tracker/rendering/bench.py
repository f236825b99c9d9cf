"""The figures of a measurement, in words and as JSON.

Owns those texts and shapes. Never measures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_tracker.escaping import escape

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent_tracker.benches.bench import Codec, Figures, StoreSpeed
    from agent_tracker.benches.bench_durability import DurabilityCost
    from agent_tracker.benches.bench_hooks import CommitCost, FlushCost, PushCost, Range, RebaseCost
    from agent_tracker.benches.bench_others import Other, OthersCost
    from agent_tracker.benches.bench_reading import ReadingCost

__all__ = ["as_lines", "as_mapping"]

BASELINE = "1.00 x: the baseline"


def as_mapping(figures: Figures) -> dict[str, object]:
    """Return the figures for `bench --json`; a name's end is its unit."""
    return {name: _plain(value) for name, value in figures._asdict().items()}


def _plain(value: object) -> object:
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: _plain(part) for name, part in value._asdict().items()}
    return [_plain(part) for part in value] if isinstance(value, tuple) else value


def as_lines(figures: Figures) -> list[str]:
    """Return the figures as a person reads them, a line each."""
    parts = (
        _machine_lines(figures),
        _commit_lines(figures.commit),
        _others_lines(figures.others),
        _rebase_lines(figures.rebase),
        _push_lines(figures.push),
        _flush_lines(figures.flush),
        _reading_lines(figures.reading),
        _store_lines(figures.store),
        _durability_lines(figures.durability),
        _codec_lines(figures.codecs),
    )
    return [line for part in parts for line in (*part, "")] + [f"Measured in {figures.took_s:.0f} s."]


def _machine_lines(figures: Figures) -> list[str]:
    machine = figures.machine
    facts = [f"{machine.cpus} CPUs ({machine.cpu})", machine.system, machine.file_system, f"sh is {machine.shell}"]
    facts += [f"git {machine.git}", machine.python]
    lines = [
        ", ".join(fact for fact in facts if fact),
        f"Times in ms; {figures.estimator};",
        "in brackets, where 90 % of the ratios lie when the rounds are drawn anew.",
    ]
    if machine.load > machine.cpus / 2:
        lines.append(f"The machine was busy (load {machine.load:.1f}): it would do better when idle.")
    return lines


def _commit_lines(commit: CommitCost) -> list[str]:
    return [
        f"git commit, {commit.rounds} rounds",
        _line("without hooks", f"{commit.no_hooks_ms:.2f}"),
        _line("two empty sh hooks add", f"{commit.empty_hooks_add_ms:.2f}", BASELINE),
        _line(
            "ours, for a person", f"{commit.person_add_ms:.2f}", _times(commit.person_ratio, commit.person_ratio_range)
        ),
        _line("ours, for an agent", f"{commit.agent_add_ms:.2f}", _times(commit.agent_ratio, commit.agent_ratio_range)),
    ]


def _others_lines(others: OthersCost) -> list[str]:
    lines = [
        f"git commit beside other hook managers, {others.rounds} rounds",
        _line("without hooks", f"{others.no_hooks_ms:.2f}"),
        _line("two empty sh hooks add", f"{others.empty_hooks_add_ms:.2f}", BASELINE),
        _line("ours", f"{others.ours_add_ms:.2f}", _times(others.ours_ratio, others.ours_ratio_range)),
    ]
    return lines + [_other_line(other) for other in others.others]


def _other_line(other: Other) -> str:
    if other.trouble:
        return _line(other.name, "-", escape(other.trouble)[:60])
    what = f"{other.name} {other.version}".strip()
    hooks = f", {', '.join(other.hooks)}" if other.name == "git-lfs" else ""
    return _line(what[:26], f"{other.add_ms:.2f}", _times(other.ratio, other.ratio_range) + hooks)


def _rebase_lines(rebase: RebaseCost) -> list[str]:
    return [
        f"git rebase of {rebase.rebased_commits} commits, {rebase.rounds} rounds",
        _line("without hooks", f"{rebase.no_hooks_ms:.2f}"),
        _line("an empty post-commit adds", f"{rebase.empty_hook_add_ms:.2f}", BASELINE),
        _line("ours", f"{rebase.ours_add_ms:.2f}", _times(rebase.ours_ratio, rebase.ours_ratio_range)),
    ]


def _push_lines(push: PushCost) -> list[str]:
    spread = push.empty_spool_ratio_range
    return [
        f"git push to a bare remote, {push.rounds} rounds; with a flush, {push.flush_rounds}",
        _line("without a hook", f"{push.no_hook_ms:.2f}"),
        _line("an empty sh hook adds", f"{push.empty_hook_add_ms:.2f}", BASELINE),
        _line("ours, nothing to flush", f"{push.empty_spool_add_ms:.2f}", _times(push.empty_spool_ratio, spread)),
        _line(f"ours, flushing {push.flushed_commits} commits", f"{push.flush_add_ms:.2f}", "over the empty hook"),
    ]


def _flush_lines(flush: FlushCost) -> list[str]:
    return [
        f"agent-tracker flush with nothing to do, {flush.rounds} rounds",
        _line("python -IS, import lmdb", f"{flush.import_lmdb_ms:.2f}", BASELINE),
        _line("agent-tracker flush", f"{flush.nothing_to_do_ms:.2f}", f"{flush.ratio:.2f} x"),
    ]


def _reading_lines(reading: ReadingCost) -> list[str]:
    full = f"with {reading.agents:,} agents and {reading.commits:,} commits"
    return [
        f"reading commands, {reading.rounds} rounds; the last three {full}",
        _line("python, import typer, rich", f"{reading.import_ms:.2f}", BASELINE),
        _line("agent-tracker status", f"{reading.status_ms:.2f}", f"{reading.status_ratio:.2f} x"),
        _line("status", f"{reading.status_add_ms:.2f}", "more than on an empty store"),
        _line("agents", f"{reading.agents_add_ms:.2f}", "more than on an empty store"),
        _line("log -n 50", f"{reading.log_add_ms:.2f}", "more than on an empty store"),
    ]


def _store_lines(store: StoreSpeed) -> list[str]:
    at_random = f"a second, at random among {store.records:,}"
    return [
        f"the store, {store.facts:,} commit facts in one synced transaction",
        _line("facts applied", f"{store.facts_per_s:,.0f}", "a second, standings kept up to date"),
        _line("database", f"{store.bytes_per_commit:.0f}", "bytes a commit, indexes included"),
        _line("commits read", f"{store.commit_reads_per_s:,.0f}", at_random),
        _line("agents read", f"{store.agent_reads_per_s:,.0f}", at_random),
    ]


def _durability_lines(durability: DurabilityCost) -> list[str]:
    return [
        f"keeping the store safe, with {durability.commits:,} commits in it; in seconds",
        _line("every page and checksum", f"{durability.check_s:.2f}", "by a process of its own"),
        _line("verify", f"{durability.verify_s:.2f}", "that, and all standings against the facts"),
        _line("backup", f"{durability.backup_s:.2f}", "a compact copy, read in full"),
        _line("recovery", f"{durability.recovery_s:.2f}", "from backup, segments and git"),
    ]


def _codec_lines(codecs: Iterable[Codec]) -> list[str]:
    heading = f"  {'packing a commit':<18}{'import, ms':>12}{'packed a second':>18}{'unpacked':>14}{'bytes':>8}"
    rows = [
        f"  {codec.name:<18}{codec.import_ms:>12.1f}{codec.encodes_per_s:>18,.0f}{codec.decodes_per_s:>14,.0f}"
        f"{codec.bytes_per_record:>8.0f}"
        for codec in codecs
    ]
    return ["the codec; the store uses struct", heading, *rows]


def _line(what: str, figure: str, remark: str = "") -> str:
    return f"  {what:<26}{figure:>10}  {remark}".rstrip()


def _times(ratio: float, spread: Range) -> str:
    return f"{ratio:.2f} x ({spread[0]:.2f} to {spread[1]:.2f})"
