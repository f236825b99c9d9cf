"""What install-hooks and uninstall-hooks did, in words and as JSON.

Owns those texts and shapes. Never decides anything.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from agent_tracker.rendering.text import as_text, place, safe, show, show_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent_tracker.installation.hook_files import HookChange
    from agent_tracker.installation.install import InstallReport, UninstallReport
    from agent_tracker.installation.installing import Outcome
    from agent_tracker.installation.template_hooks import TemplateReport

__all__ = [
    "after_setting",
    "install_lines",
    "outcome_json",
    "outcome_lines",
    "show_outcomes",
    "show_template",
    "uninstall_json",
    "uninstall_lines",
]

ON_THE_WAY_IN = frozenset({"installed", "upgraded", "unchanged"})


def install_lines(report: InstallReport, *, has_agents: bool) -> list[str]:
    """Return what install-hooks did and what comes next, a line each."""
    done = [change for change in report.changes if change.change not in ("left", "removed")]
    lines = []
    if report.foreign_hooks_dir:
        lines.append(f"Git looks for hooks in {safe(report.foreign_hooks_dir)}, not in the repository: left alone.")
    elif done:
        lines.append(f"{_done_word(report)} {len(done)} hooks in {place(report.hooks_dir)}.")
    if report.style == "both":
        lines.append("They stand in .git/config as well, for the newer git that was found; no commit meets both.")
    lines += [f"Kept your {c.event} hook; ours runs it: {place(c.kept)}" for c in report.changes if c.kept]
    lines += _lines_to_add(report)
    if not has_agents:
        lines.append("Next: agent-tracker register NAME --model MODEL --scope SCOPE [--client CLIENT]")
    return lines


def _done_word(report: InstallReport) -> str:
    changed = {change.change for change in report.changes}
    return "Installed" if "installed" in changed else "Upgraded" if "upgraded" in changed else "Already installed:"


def _lines_to_add(report: InstallReport) -> list[str]:
    """Return what is to be added where: a line that goes into several files is shown once."""
    files_by_line: dict[str, list[str]] = {}
    for to_add in report.lines_to_add:
        files_by_line.setdefault(to_add.line, []).append(to_add.path)
    if not files_by_line:
        return []
    lines = [] if report.foreign_hooks_dir else [f"{report.owner} overwrites its hooks, so ours are not put there."]
    if report.style == "both":
        lines.append("The newer git needs nothing more. For the older one, add")
    else:
        lines.append("Commits are found in the reflog all the same. To have each credited at once, add")
    for line, files in files_by_line.items():
        where = f"to {place(files[0])}"
        if len(files) > 1:
            names = ", ".join(os.path.basename(path) for path in files)
            where = f"at the end of {safe(names)} in {place(os.path.dirname(files[0]))}"
        lines += [f"  {where}:", *(f"    {part}" for part in line.split("\n"))]
    commands = dict.fromkeys(to_add.then for to_add in report.lines_to_add if to_add.then)
    return [*lines, *(f"  and then: {command}" for command in commands)]


def outcome_lines(outcomes: Iterable[Outcome]) -> list[str]:
    """Return what install-hooks did in several repositories, a line each."""
    lines = []
    for path, report, trouble in outcomes:
        said = f"error: {safe(trouble)}"
        if report:
            said = _done_word(report).rstrip(":").lower()
            if report.lines_to_add:
                said += f", but {report.owner} has hooks there: agent-tracker install-hooks {place(path)}"
        lines.append(f"{place(path)}: {said}")
    return lines or ["No repository there."]


def outcome_json(outcome: Outcome) -> dict[str, object]:
    """Return what install-hooks did in one repository, for `install-hooks --json`."""
    path, report, trouble = outcome
    shown: dict[str, object] = {"project_path": as_text(os.fsencode(path)), "error": trouble or None}
    if report:
        shown |= {
            "style": report.style,
            "hooks_dir": as_text(os.fsencode(report.hooks_dir)),
            "owner": report.owner or None,
            "hooks": [_change_json(change) for change in report.changes],
            "lines_to_add": [
                {"path": as_text(os.fsencode(to_add.path)), "line": to_add.line, "then": to_add.then or None}
                for to_add in report.lines_to_add
            ],
        }
    return shown


def _change_json(change: HookChange) -> dict[str, object]:
    path, kept = (as_text(os.fsencode(path)) for path in (change.path, change.kept))
    return {"event": change.event, "change": change.change, "path": path, "kept": kept or None}


def show_template(report: TemplateReport, *, as_json: bool) -> None:
    """Print what was done to git's template for new repositories, as JSON or as lines."""
    if as_json:
        directory = as_text(os.fsencode(report.directory))
        hooks = [_change_json(change) for change in report.changes]
        show_json("template", {"template_dir": directory or None, "hooks": hooks})
    else:
        show(*_template_lines(report))


def _template_lines(report: TemplateReport) -> list[str]:
    if not report.directory:
        return ["Git has no template directory with hooks of agent-tracker."]
    changes = {change.change for change in report.changes}
    if not changes & ON_THE_WAY_IN:
        word = "Removed from" if changes & {"removed", "restored"} else "Nothing of ours is in"
        return [f"{word} {place(report.directory)}."]
    kept = [f"Kept your {c.event} hook; ours runs it: {place(c.kept)}" for c in report.changes if c.kept]
    return [f"Every repository that git makes from now on has the hooks, from {place(report.directory)}.", *kept]


def uninstall_json(path: str, report: UninstallReport, trouble: str) -> dict[str, object]:
    """Return what uninstall-hooks did, for its --json."""
    return {
        "project_path": as_text(os.fsencode(path)),
        "error": trouble or None,
        "hooks": [_change_json(change) for change in report.changes],
        "unflushed": [as_text(os.fsencode(file)) for file in report.unflushed],
    }


def show_outcomes(shown: list[dict[str, object]], lines: list[str], *, as_json: bool) -> None:
    """Print what was done to repositories, as JSON or as lines."""
    if as_json:
        show_json("repositories", shown)
    else:
        show(*lines)


def after_setting(name: str) -> list[str]:
    """Return what is to be done so that a changed setting takes effect."""
    match name.removeprefix("agenttracker.").lower():
        case "validatein" | "hookstyle":
            return ["To move the hooks over: agent-tracker install-hooks"]
        case "export":
            return ["It is written at each flush while it is on. Turned off, its files stay, and git sees them again."]
    return []


def uninstall_lines(report: UninstallReport, trouble: str) -> list[str]:
    """Return what uninstall-hooks did, a line each."""
    by_change: dict[str, list[str]] = {}
    for change in report.changes:
        by_change.setdefault(change.change, []).append(change.event)
    words = {
        "removed": "Removed",
        "restored": "Given back as they were:",
        "left": "Left alone, somebody else's by now:",
    }
    lines = [f"{word} {', '.join(by_change[key])}." for key, word in words.items() if key in by_change]
    if len(by_change.get("removed", ())) == len(report.changes) > 0:
        lines = [f"Removed {len(report.changes)} hooks."]
    kept = [change for change in report.changes if change.kept]
    lines += [f"Your own {c.event} hook stays kept, another has its place: {place(c.kept)}" for c in kept]
    if trouble:
        lines.append(f"Not everything could be flushed: {safe(trouble)}")
    if report.unflushed:
        lines.append(f"What was not flushed stays in {safe(os.path.dirname(report.unflushed[0]))}.")
    return lines or ["No hooks of agent-tracker were installed here."]
