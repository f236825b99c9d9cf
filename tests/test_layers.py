"""The layers of the package: who may import whom, and what a hook's path may load."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import lmdb
import pytest

PACKAGE = Path(__file__).parent.parent / "agent_tracker"

TIERS: tuple[frozenset[str], ...] = (
    frozenset({"__init__", "errors", "journal", "records"}),
    frozenset({"lmdbjs.dictionaries", "lmdbjs.lz4", "lmdbjs.msgpackr", "lmdbjs.pages"}),
    frozenset({"lmdbjs.entries"}),
    frozenset(
        {
            "escaping",
            "derived",
            "instructions",
            "rules",
            "journal_codec",
            "jsonc",
            "installation.hook_scripts",
        }
    ),
    frozenset({"grades", "marks", "notes", "packing", "files", "locking", "trees", "durability.child"}),
    frozenset({"appending"}),
    frozenset({"lines"}),
    frozenset(
        {
            "fact_json",
            "messages",
            "paths",
            "repository",
            "config",
            "git",
            "history",
            "spool",
            "reflog",
            "table",
            "tables",
            "settled",
            "processes",
            "mounts",
            "database_kinds",
            "obstacles",
            "plugin_files",
            "ending",
            "durability.checking",
            "durability.fingerprint",
            "durability.manifests",
            "durability.thinning",
        }
    ),
    frozenset({"database_file", "durability.migrations", "durability.remedies", "every_fact", "fact_files", "figures"}),
    frozenset({"environment", "installation.client_script", "clients.base", "clients.moving"}),
    frozenset({"clients.payload"}),
    frozenset(
        {
            "clients.aider",
            "clients.claude",
            "clients.codex",
            "clients.copilot",
            "clients.cursor",
            "clients.gemini",
            "clients.opencode",
            "clients.qwen",
        }
    ),
    frozenset({"clients.registry"}),
    frozenset(
        {
            "store",
            "contents",
            "journal_tables",
            "new_facts",
            "redact",
            "changes",
            "pushes",
            "walking",
            "installation.config_hooks",
            "installation.neighbours",
        }
    ),
    frozenset({"registration", "commit_search", "xp", "credit", "origins", "ancestry", "installation.hook_files"}),
    frozenset(
        {
            "announced",
            "census",
            "copies",
            "registry",
            "plugin_facts",
            "benches.throwaway",
            "tracing",
            "views.base",
            "views.grades",
            "views.review",
            "views.journal",
            "views.judged",
            "views.log",
            "views.rules",
            "views.sessions",
            "views.setups",
            "views.standings",
            "views.sheet",
        }
    ),
    frozenset({"stored_facts", "earnings", "enrolment"}),
    frozenset({"books", "reasons"}),
    frozenset({"journal_apply", "journal_entries", "export.base"}),
    frozenset({"export.status", "export.journal"}),
    frozenset({"export.registry"}),
    frozenset({"export.writing"}),
    frozenset({"derivation"}),
    frozenset({"apply", "gather", "verify", "installation.install", "installation.template_hooks"}),
    frozenset({"observe", "abandon", "lapse", "moved", "projects", "context", "durability.inspecting"}),
    frozenset(
        {
            "durability.backups",
            "durability.capacity",
            "durability.reckoning",
            "durability.salvage",
            "durability.spawning",
            "durability.unfinished",
        }
    ),
    frozenset({"migration"}),
    frozenset({"flush"}),
    frozenset({"durability.copying", "durability.recovery"}),
    frozenset({"durability.maintenance"}),
    frozenset({"announcing", "scan"}),
    frozenset({"configuring"}),
    frozenset({"hook", "verbs.reading", "verbs.writing", "benches.bench_hooks", "flush_command"}),
    frozenset({"clients.opening"}),
    frozenset({"clients.hook"}),
    frozenset({"verbs.noting", "verbs.sheets"}),
    frozenset({"verbs.judged"}),
    frozenset({"verbs.grading", "verbs.review", "verbs.sessions"}),
    frozenset(
        {
            "verbs.backups",
            "verbs.bugs",
            "verbs.forgetting",
            "verbs.journal",
            "verbs.reattributing",
            "verbs.rules",
            "verbs.session_sheets",
        }
    ),
    frozenset({"verbs.agents", "verbs.archive", "verbs.capacity", "verbs.migrate", "verbs.moving"}),
    frozenset({"benches.bench_facts"}),
    frozenset({"benches.bench_durability", "benches.bench_others", "benches.bench_reading"}),
    frozenset({"installation.installing"}),
    frozenset({"verbs.clients"}),
    frozenset({"verbs.scan", "verbs.status", "benches.bench", "benches.demo", "checks.symptoms"}),
    frozenset({"checks.backup_checks", "checks.hook_checks", "checks.user_checks"}),
    frozenset({"checks.spool_checks"}),
    frozenset({"checks.mending"}),
    frozenset({"checks.doctor"}),
    frozenset(
        {
            "rendering.text",
            "rendering.sessions",
            "rendering.grading",
            "rendering.bugs",
            "rendering.review",
            "rendering.hooks",
            "rendering.doctor",
            "rendering.journal",
            "rendering.backups",
            "rendering.capacity",
            "rendering.clients",
            "rendering.migrating",
            "rendering.moving",
            "rendering.reattribution",
            "rendering.recovery",
            "rendering.rules",
            "rendering.scan",
            "rendering.setups",
            "rendering.bench",
            "rendering.layout",
            "rendering.agents",
        }
    ),
    frozenset({"cli.base", "cli.keys"}),
    frozenset({"cli.listing"}),
    frozenset(
        {
            "cli.agents",
            "cli.bugs",
            "cli.grading",
            "cli.review",
            "cli.bench",
            "cli.config",
            "cli.backups",
            "cli.capacity",
            "cli.clients",
            "cli.forgetting",
            "cli.hooks",
            "cli.journal",
            "cli.migrating",
            "cli.moving",
            "cli.recovery",
            "cli.reading",
            "cli.rules",
            "cli.scan",
            "cli.sessions",
            "cli.setups",
        }
    ),
    frozenset({"cli.app"}),
    frozenset({"__main__"}),
)
"""Lowest first; a module imports only from tiers below its own, or from its own tier where SIBLINGS says so."""

PACKAGES = frozenset(
    {
        "benches",
        "checks",
        "cli",
        "clients",
        "durability",
        "export",
        "installation",
        "lmdbjs",
        "rendering",
        "verbs",
        "views",
    }
)
"""Rooms of their own; what holds for each of their modules is its tier."""

SIBLINGS = {
    ("records", "errors"),
    ("records", "journal"),
    ("history", "git"),
    ("locking", "files"),
    ("reflog", "git"),
    ("reflog", "repository"),
    ("tables", "table"),
    ("ending", "paths"),
    ("obstacles", "mounts"),
    ("database_kinds", "obstacles"),
    ("settled", "paths"),
    ("settled", "durability.fingerprint"),
    ("durability.checking", "durability.fingerprint"),
    ("durability.unfinished", "durability.spawning"),
    ("settled", "repository"),
    ("settled", "plugin_files"),
    ("plugin_files", "database_kinds"),
    ("plugin_files", "paths"),
    ("plugin_files", "repository"),
    ("config", "paths"),
    ("views.log", "views.base"),
    ("views.setups", "views.base"),
    ("views.setups", "views.judged"),
    ("views.standings", "views.sheet"),
    ("views.review", "views.base"),
    ("rendering.bugs", "rendering.grading"),
    ("rendering.bugs", "rendering.text"),
    ("rendering.grading", "rendering.text"),
    ("rendering.review", "rendering.grading"),
    ("rendering.review", "rendering.text"),
    ("cli.bugs", "cli.grading"),
    ("cli.hooks", "cli.scan"),
    ("cli.scan", "cli.agents"),
    ("rendering.hooks", "rendering.text"),
    ("rendering.capacity", "rendering.text"),
    ("rendering.clients", "rendering.text"),
    ("rendering.doctor", "rendering.text"),
    ("rendering.journal", "rendering.text"),
    ("rendering.backups", "rendering.text"),
    ("rendering.migrating", "rendering.text"),
    ("rendering.moving", "rendering.text"),
    ("rendering.reattribution", "rendering.text"),
    ("rendering.recovery", "rendering.text"),
    ("rendering.rules", "rendering.text"),
    ("rendering.scan", "rendering.text"),
    ("rendering.scan", "rendering.layout"),
    ("rendering.sessions", "rendering.text"),
    ("rendering.setups", "rendering.text"),
    ("rendering.layout", "rendering.text"),
    ("rendering.agents", "rendering.text"),
    ("rendering.agents", "rendering.layout"),
}
"""The imports inside one tier: (importer, imported)."""

PURE = frozenset(
    {
        "announced",
        "marks",
        "messages",
        "registration",
        "rules",
        "derived",
        "xp",
        "credit",
        "origins",
        "ancestry",
        "views.base",
        "views.grades",
        "views.review",
        "instructions",
        "views.log",
        "views.journal",
        "views.rules",
        "views.judged",
        "views.sessions",
        "views.setups",
        "views.sheet",
        "views.standings",
    }
)
PURE_MAY_IMPORT = frozenset({"errors", "records", "journal"}) | PURE
SOLE_IMPORTERS = {
    "lmdb": "environment",
    "pygit2": "history",
    "typer": "cli.*",
    "rich": "rendering.text",
    "msgspec": "rendering.text",
    "tomlkit": "config",
}
"""Who imports a library: one module, or every module of a room."""

UNUSED = frozenset({"pygit2"})
"""Libraries that nobody imports: what a command asks of one work tree, git itself answers twenty times sooner."""


@cache
def modules() -> dict[str, ast.Module]:
    """Return every module of the package, parsed, by its name below the package."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        if "hooks" not in path.relative_to(PACKAGE).parts:
            name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
            found[name.removesuffix(".__init__") if name != "__init__" else name] = ast.parse(path.read_text("utf-8"))
    return found


def imports(tree: ast.Module) -> set[str]:
    """Return the dotted names that a module imports anywhere in it, type checking included."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def internal(tree: ast.Module) -> set[str]:
    """Return the modules of the package that a module imports, by their names below it."""
    known = modules().keys()
    found = set()
    for name in imports(tree):
        if name.startswith("agent_tracker."):
            below = name.removeprefix("agent_tracker.")
            found.add(below if below in known else below.rpartition(".")[0])
    return {name for name in found if name}


def tier(name: str) -> int:
    """Return a module's tier."""
    return next(number for number, members in enumerate(TIERS) if name in members)


def test_every_module_has_its_tier() -> None:
    """A new module is placed in a layer before it can be merged."""
    placed = frozenset().union(*TIERS)
    assert modules().keys() - placed - PACKAGES == set()


def test_imports_point_downwards() -> None:
    """A module imports only from the layers below it."""
    wrong = [
        f"{name} imports {other}"
        for name, tree in modules().items()
        if name not in PACKAGES
        for other in internal(tree)
        if other != "__init__" and tier(other) >= tier(name) and (name, other) not in SIBLINGS
    ]
    assert wrong == []


def test_rules_and_views_are_pure() -> None:
    """Identity, credit, experience and the views reach no clock, disk, git or environment."""
    tree = modules()
    for name in PURE:
        assert internal(tree[name]) <= PURE_MAY_IMPORT, name
        assert not imports(tree[name]) & {"os", "sys", "time", "pathlib", "subprocess", "io"}, name


@pytest.mark.parametrize(("library", "owner"), SOLE_IMPORTERS.items())
def test_each_library_has_one_importer(library: str, owner: str) -> None:
    """A library is known to one module alone, or to the modules of one room."""
    known = modules()
    users = {name for name, tree in known.items() if any(i.split(".")[0] == library for i in imports(tree))}
    owners = {name for name in known if name == owner or (owner.endswith(".*") and name.startswith(owner[:-1]))}
    allowed = owners | ({"benches.bench"} if library in {"lmdb", "msgspec"} else set())
    assert users <= allowed
    assert bool(users & owners) is (library not in UNUSED)


@pytest.mark.parametrize("room", ["verbs.", "views.", "export."])
def test_verbs_and_views_neither_print_nor_exit(room: str) -> None:
    """They are functions for any program: what they have to say is returned or raised."""
    found = [
        f"{name}:{node.lineno}"
        for name, tree in modules().items()
        if name.startswith(room)
        for node in ast.walk(tree)
        if (isinstance(node, ast.Name) and node.id in {"print", "input", "exit", "quit", "SystemExit"})
        or (
            isinstance(node, ast.Attribute)
            and ast.unparse(node) in {"sys.exit", "os._exit", "sys.stdout", "sys.stderr"}
        )
    ]
    assert found == []


def loaded(code: str) -> set[str]:
    """Return the modules that are loaded after running `code` in a bare interpreter."""
    program = f"import sys; sys.path[:0] = sys.argv[1].split(':'); {code}; print(*sys.modules)"
    where = f"{PACKAGE.parent}:{Path(lmdb.__file__).parent.parent}"
    done = subprocess.run([sys.executable, "-ISc", program, where], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


FORBIDDEN = {"pygit2", "typer", "rich", "dataclasses", "msgspec", "json", "asyncio", "tomlkit"}


@pytest.mark.parametrize("module", ["hook", "announced", "enrolment", "flush", "flush_command", "__main__"])
def test_a_hooks_path_loads_nothing_heavy(module: str) -> None:
    """What runs on a push or an odd commit starts without the heavy libraries."""
    assert not loaded(f"import agent_tracker.{module}") & FORBIDDEN


def test_a_flush_with_nothing_to_do_loads_next_to_nothing() -> None:
    """Asking whether there is anything to flush costs less than importing typing or lmdb."""
    heavy = {"typing", "re", "lmdb", "subprocess", "pathlib", "enum", "contextlib"}
    assert not loaded("import agent_tracker.flush_command") & heavy


def test_what_runs_at_each_use_of_a_tool_loads_next_to_nothing() -> None:
    """A client waits for its hook: not even what most of us need is imported on its way."""
    heavy = {"typing", "re", "lmdb", "subprocess", "pathlib", "enum", "contextlib", "functools", "hashlib", "struct"}
    assert not loaded("import agent_tracker.clients.hook") & (heavy | FORBIDDEN)


def test_the_beginning_of_a_session_loads_nothing_heavy() -> None:
    """Once in a session, and after a commit that no git hook saw, a little more is needed; never the store."""
    modules = "import agent_tracker.clients.opening, agent_tracker.clients.moving"
    assert not loaded(modules) & (FORBIDDEN | {"lmdb", "agent_tracker.store"})
