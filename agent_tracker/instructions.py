"""Which files in a repository tell its agents how to work, and the fingerprint of a commit's own.

Owns the table of these files, how they stand in a commit's marks, and what follows from them. Pure: no clock, disk, git
or environment.

Only the root of a tree and the directories of the table are looked into: instructions for a part of a project, deeper
in it, are not of its setup. A file counts by its blob, a directory by its tree, a symbolic link by what it says; a
submodule does not count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent_tracker.records import Marks

__all__ = ["CLIENTS", "MARK", "NONE", "PATHS", "Change", "Files", "Setup", "compare", "setup_marks", "setup_of"]

Files = tuple[tuple[str, str], ...]
"""The instruction files of one tree: (path, oid in hexadecimal), in the order of the paths."""

MARK = "setup"
"""Name of the marks that say `<path> <oid>`, one a file; a single one without a value says that there is no file."""

NONE = "none"
"""The fingerprint of a tree without any instruction file."""

FINGERPRINT_DIGITS = 12

CLIENTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "any": (
        "https://agents.md and https://agentskills.io",
        ("AGENTS.md", ".agents/skills"),
    ),
    "aider": (
        "https://aider.chat/docs/config/aider_conf.html",
        (".aider.conf.yml", "CONVENTIONS.md"),
    ),
    "amp": (
        "https://ampcode.com/manual, AGENT.md before it became AGENTS.md",
        ("AGENT.md",),
    ),
    "antigravity": (
        "https://antigravity.codes/blog/user-rules; .agent before 1.19",
        ("GEMINI.md", ".agents/rules", ".agents/workflows", ".agent/rules", ".agent/skills", ".agent/workflows"),
    ),
    "augment": (
        "https://docs.augmentcode.com/cli/rules",
        (".augment-guidelines", ".augment/guidelines.md", ".augment/rules", "CLAUDE.md"),
    ),
    "claude": (
        "https://code.claude.com/docs/en/memory and https://code.claude.com/docs/en/claude-directory",
        (
            "CLAUDE.md",
            "CLAUDE.local.md",
            ".claude/AGENTS.md",
            ".claude/CLAUDE.md",
            ".claude/agents",
            ".claude/commands",
            ".claude/rules",
            ".claude/settings.json",
            ".claude/skills",
            ".claude/workflows",
            ".mcp.json",
        ),
    ),
    "cline": (
        "https://docs.cline.bot/customization/cline-rules",
        (".clinerules", ".cursorrules", ".windsurfrules"),
    ),
    "codex": (
        "https://developers.openai.com/codex/guides/agents-md and https://developers.openai.com/codex/subagents",
        ("AGENTS.override.md", ".codex/agents", ".codex/config.toml"),
    ),
    "continue": (
        "https://docs.continue.dev/customize/deep-dives/rules",
        (".continue/rules",),
    ),
    "copilot": (
        "https://docs.github.com/en/copilot/how-tos/copilot-cli/customize-copilot/add-custom-instructions",
        (
            ".github/copilot-instructions.md",
            ".github/agents",
            ".github/instructions",
            ".github/prompts",
            ".github/skills",
        ),
    ),
    "crush": (
        "https://github.com/charmbracelet/crush, internal/config/config.go",
        (
            "CRUSH.md",
            "CRUSH.local.md",
            "Crush.md",
            "Crush.local.md",
            "crush.md",
            "crush.local.md",
            "Agents.md",
            "agents.md",
            "gemini.md",
            ".crush.json",
            "crush.json",
        ),
    ),
    "cursor": (
        "https://cursor.com/docs/context/rules",
        (".cursorrules", ".cursor/agents", ".cursor/commands", ".cursor/rules", ".cursor/skills"),
    ),
    "droid": (
        "https://docs.factory.ai/cli/configuration/custom-droids",
        (".factory/commands", ".factory/droids", ".factory/skills"),
    ),
    "gemini": (
        "https://geminicli.com/docs/cli/gemini-md",
        ("GEMINI.md", ".gemini/agents", ".gemini/commands", ".gemini/settings.json", ".gemini/skills"),
    ),
    "goose": (
        "https://block.github.io/goose/docs/guides/using-goosehints",
        (".goosehints",),
    ),
    "junie": (
        "https://www.jetbrains.com/help/junie/customize-guidelines.html",
        (".junie/AGENTS.md", ".junie/guidelines.md"),
    ),
    "kilo": (
        "https://kilo.ai/docs/customize/custom-rules",
        (".kilocodemodes", ".kilocode/rules"),
    ),
    "kiro": (
        "https://kiro.dev/docs/steering",
        (".kiro/steering",),
    ),
    "opencode": (
        "https://opencode.ai/docs/rules and https://opencode.ai/docs/config; the singular names are the older ones",
        (
            "opencode.json",
            "opencode.jsonc",
            ".opencode/agent",
            ".opencode/agents",
            ".opencode/command",
            ".opencode/commands",
            ".opencode/opencode.json",
            ".opencode/opencode.jsonc",
            ".opencode/skill",
            ".opencode/skills",
        ),
    ),
    "openhands": (
        "https://docs.openhands.dev/overview/skills; microagents before they became skills",
        (".openhands/microagents", ".openhands/skills"),
    ),
    "pi": (
        "https://github.com/badlogic/pi-mono, packages/coding-agent/README.md",
        (".pi/SYSTEM.md", ".pi/prompts", ".pi/settings.json", ".pi/skills"),
    ),
    "qwen": (
        "https://qwenlm.github.io/qwen-code-docs/en/users/configuration/settings",
        ("QWEN.md", ".qwen/agents", ".qwen/commands", ".qwen/settings.json", ".qwen/skills"),
    ),
    "roo": (
        "https://docs.roocode.com/features/custom-instructions",
        (".roomodes", ".roorules", ".roo/rules"),
    ),
    "warp": (
        "https://docs.warp.dev/agents/capabilities/rules",
        ("WARP.md",),
    ),
    "windsurf": (
        "https://docs.windsurf.com/windsurf/cascade/memories",
        (".windsurfrules", ".windsurf/rules", ".windsurf/skills", ".windsurf/workflows"),
    ),
    "zed": (
        "https://zed.dev/docs/ai/rules",
        (".rules", ".clinerules", ".cursorrules", ".windsurfrules"),
    ),
}
"""Each client's own files, after where that is said. What others read besides their own stands with its owner."""

PATHS = frozenset(path for _, paths in CLIENTS.values() for path in paths)
"""Every path that is looked for: in the root of a tree, or in a directory there."""


class Setup(NamedTuple):
    """The setup that a commit was made with.

    `fingerprint` is empty where nobody looked, NONE where there is no instruction file, else twelve hexadecimal digits.
    """

    fingerprint: str
    files: Files


class Change(NamedTuple):
    """What became of the files from one setup to the next: paths, in order."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]


UNKNOWN = Setup("", ())
"""Of a commit that was recorded without a look at its tree, or whose tree could not be read."""


def setup_marks(files: Files | None) -> Marks:
    """Return the marks that stand for the instruction files of a commit, none where nobody could look (None)."""
    if files is None:
        return ()
    return tuple((MARK, f"{path} {oid}") for path, oid in files) or ((MARK, ""),)


def setup_of(marks: Marks) -> Setup:
    r"""Return the setup that a commit's marks tell of.

    The fingerprint is the beginning of the SHA-256 of `<path>\0<oid>\n` for each file, in the order of the paths: it
    depends on what the files hold and on nothing else.
    """
    values = {value for name, value in marks if name == MARK}
    if not values:
        return UNKNOWN
    pairs = (value.rpartition(" ") for value in values if value)
    files = tuple(sorted((path, oid) for path, _, oid in pairs))
    return Setup(_fingerprint(files), files) if files else Setup(NONE, ())


def _fingerprint(files: Files) -> str:
    import hashlib  # noqa: PLC0415 -- 2 ms that a flush on push need not pay

    text = "".join(f"{path}\0{oid}\n" for path, oid in files)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:FINGERPRINT_DIGITS]


def compare(before: Iterable[tuple[str, str]], after: Iterable[tuple[str, str]]) -> Change:
    """Return which files came, went and changed from one setup's to another's."""
    old, new = dict(before), dict(after)
    return Change(
        tuple(sorted(new.keys() - old.keys())),
        tuple(sorted(old.keys() - new.keys())),
        tuple(sorted(path for path in new.keys() & old.keys() if new[path] != old[path])),
    )
