#!/usr/bin/env python3
"""Install agent-tracker for this user from a checkout, bring it up to date, test it, or take it back.

    python3 install.py [REPOSITORY]     install; hooks into REPOSITORY, or else a demonstration
                                        --scan, --no-scan: read its history, or do not; else it asks
    python3 install.py --uninstall      hooks, command and virtual environment out again
    python3 install.py --test [...]     everything the tests need, then pytest with these arguments

Owns the private virtual environment, the link on the PATH and what is said about them. Never touches a repository
except through the command it installed, never edits a shell's file, and never overwrites a file that is not ours.
Only the standard library, and only syntax that Python 3.6 reads, so that an old one gets as far as the message.
"""

import shutil
import sys

if sys.version_info < (3, 11):
    OURS = f"{sys.version_info[0]}.{sys.version_info[1]} ({sys.executable})"
    NEWER = [name for name in ("python3.14", "python3.13", "python3.12", "python3.11") if shutil.which(name)]
    ADVICE = f"run `{NEWER[0]} install.py`" if NEWER else "install a newer one and run install.py with that"
    sys.exit(f"install.py: agent-tracker needs Python 3.11 or newer, and this is {OURS}: {ADVICE}")

import argparse
import hashlib
import importlib.util
import io
import os
import shlex
import subprocess
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

CHECKOUT = Path(__file__).resolve().parent
SHIPPED = ("pyproject.toml", "README.md", "LICENSE", "agent_tracker", "hooks", "scripts")
COMMAND = "agent-tracker"
WRAPPER_ID = b"# agent-tracker launcher 1\n"
UNFINISHED = "unfinished"
MAX_SHEBANG_BYTES = 127
PIP_LINES_SHOWN = 12
DATABASE_SUFFIXES = ("", "-lock", ".write")
EXIT_INTERRUPT = 130

# What pip and git would obey although it was meant for something else.
DROPPED_VARIABLES = (
    "PIP_TARGET",
    "PIP_PREFIX",
    "PIP_ROOT",
    "PIP_USER",
    "PYTHONHOME",
    "PYTHONPATH",
    "__PYVENV_LAUNCHER__",
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_PREFIX",
)


class InstallError(Exception):
    """Something the user can mend; the message says how."""


class Environment(NamedTuple):
    """A virtual environment that this script makes and keeps up to date.

    Its stamp file tells what was installed into it; while work is going on it says so, and what is found in that
    state was interrupted and is made anew.
    """

    root: Path

    @property
    def scripts(self) -> Path:
        """The directory of its commands."""
        return self.root / ("Scripts" if os.name == "nt" else "bin")

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.scripts / ("python.exe" if os.name == "nt" else "python")

    @property
    def stamp_file(self) -> Path:
        """Where the fingerprint of what was installed is kept."""
        return self.root / "agent-tracker-installed"

    @property
    def stamp(self) -> str:
        """The fingerprint of what was installed, `unfinished`, or nothing."""
        try:
            return self.stamp_file.read_text(encoding="utf-8")
        except OSError:
            return ""

    def write_stamp(self, stamp: str) -> None:
        """Replace the stamp as a whole."""
        aside = self.stamp_file.with_suffix(".new")
        aside.write_text(stamp, encoding="utf-8")
        aside.replace(self.stamp_file)

    def evaluate(self, expression: str, *modules: str) -> str | None:
        """Return what its interpreter prints for `expression` after importing `modules`; None if it cannot."""
        imports = "".join(f"import {module}; " for module in modules)
        try:
            done = run_quietly([self.python, "-I", "-c", f"{imports}print({expression})"])
        except OSError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    def holds(self, modules: Sequence[str]) -> bool:
        """Tell whether the command is there and its interpreter can import these modules."""
        return (self.scripts / COMMAND).is_file() and self.evaluate("1", *modules) is not None

    def tool(self, *arguments: str) -> list[str]:
        """Return the command line that runs the installed agent-tracker, however its script may be mounted."""
        return [str(self.python), str(self.scripts / COMMAND), *arguments]


# --- Places


def xdg_directory(variable: str, default: str) -> Path:
    """Return the XDG directory of that variable, which must be absolute to count, or `default` under the home."""
    value = os.environ.get(variable, "")
    return Path(value) if Path(value).is_absolute() else Path.home() / default


def private_environment() -> Environment:
    """Return the environment that the installed command runs in."""
    return Environment(xdg_directory("XDG_DATA_HOME", ".local/share") / "agent-tracker" / "venv")


def link_path() -> Path:
    """Return where the command goes."""
    return Path.home() / ".local" / "bin" / COMMAND


def known_repositories() -> list[str]:
    """Return the repositories that install-hooks noted, oldest first; they may be gone."""
    path = xdg_directory("XDG_STATE_HOME", ".local/state") / "agent-tracker" / "repositories"
    try:
        lines = os.fsdecode(path.read_bytes()).split("\n")
    except FileNotFoundError:
        return []
    return [line for line in dict.fromkeys(lines) if line]


def for_people(path: Path | str) -> str:
    """Return the path as one would type it: the home directory as `~`."""
    try:
        return f"~/{Path(path).relative_to(Path.home())}"
    except ValueError:
        return str(path)


# --- Commands


def child_environment() -> dict[str, str]:
    """Return our environment without what would lead pip, Python or git astray."""
    kept = {name: value for name, value in os.environ.items() if name not in DROPPED_VARIABLES}
    return {**kept, "PIP_USER": "0", "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def run_quietly(command: Sequence[str | Path], cwd: Path | str | None = None) -> subprocess.CompletedProcess[str]:
    """Run to the end and return what it said, standard error included."""
    return subprocess.run(
        command,
        cwd=cwd,
        env=child_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )


def run_aloud(command: list[str], cwd: Path | str | None = None) -> int:
    """Run with our terminal and return the exit code."""
    return subprocess.run(command, cwd=cwd, env=child_environment(), check=False).returncode


def say(text: str = "") -> None:
    """Print now: what the commands we run print must not overtake it."""
    print(text, flush=True)


def last_lines(text: str, count: int = PIP_LINES_SHOWN) -> str:
    """Return the last lines that say something, indented."""
    lines = [f"  {line.rstrip()}" for line in text.splitlines() if line.strip()]
    return "\n".join(lines[-count:])


# --- The virtual environment


def check_python() -> None:
    """Raise unless this interpreter can make virtual environments with pip in them."""
    missing = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name) is None]
    if missing:
        package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
        raise InstallError(
            f"{sys.executable} cannot make virtual environments: it has no module {' and no '.join(missing)}.\n"
            f"  Debian and Ubuntu ship them apart: sudo apt install {package}"
        )


def check_git() -> None:
    """Raise unless git is there."""
    if shutil.which("git") is None:
        raise InstallError("git is not on the PATH: install it (https://git-scm.com/downloads) and run this again")


def bring_up_to_date(environment: Environment, stamp: str, requirements: list[str], modules: list[str]) -> bool:
    """Make the environment hold what `stamp` stands for; return whether there was anything to do.

    Args:
        environment: Made if it is missing, anew if its interpreter is gone or the last run was interrupted.
        stamp: Fingerprint of what is to be installed.
        requirements: Arguments to `pip install`.
        modules: What must be importable afterwards.

    Raises:
        InstallError: The environment cannot be made, or pip cannot install.
    """
    if environment.stamp == stamp and environment.holds(modules):
        return False
    if sys.stdout.isatty():
        say(f"Installing into {for_people(environment.root)} (this takes a moment) ...")
    if environment.stamp == UNFINISHED or not environment.evaluate("1", "pip"):
        make_anew(environment)
    environment.write_stamp(UNFINISHED)
    pip_install(environment, requirements)
    if not environment.holds(modules):
        raise InstallError(f"pip reported success, but {environment.root} lacks {COMMAND} or {', '.join(modules)}")
    environment.write_stamp(stamp)
    return True


def make_anew(environment: Environment) -> None:
    """Make an empty environment, whatever is there now."""
    check_python()
    environment.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    clear(environment)
    done = run_quietly([sys.executable, "-m", "venv", environment.root])
    if done.returncode:
        raise InstallError(f"cannot make a virtual environment in {environment.root}:\n{last_lines(done.stdout)}")


def clear(environment: Environment) -> None:
    """Remove everything in the environment but the stamp that says it is unfinished."""
    environment.write_stamp(UNFINISHED)
    for path in environment.root.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path != environment.stamp_file:
            path.unlink()


def pip_install(environment: Environment, requirements: list[str]) -> None:
    """Run `pip install`, and show the end of what it said if it failed."""
    done = run_quietly([environment.python, "-m", "pip", "install", "--quiet", "--upgrade", *requirements])
    if done.returncode:
        raise InstallError(
            f"pip could not install agent-tracker (exit code {done.returncode}); it said:\n{last_lines(done.stdout)}\n"
            "  Nothing else was changed. pip needs its package index: check the network, proxy and pip configuration,"
            " then run this again."
        )


def fingerprint(paths: list[Path]) -> str:
    """Return a digest over the names and contents of these files and of all files below these directories."""
    digest = hashlib.sha256()
    for path in (file for top in paths for file in files_below(top)):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(CHECKOUT)}\0{len(content)}\0".encode("utf-8", "surrogateescape") + content)
    return digest.hexdigest()


def files_below(top: Path) -> Iterator[Path]:
    """Yield the files, ordered, that would go into a wheel."""
    if top.is_dir():
        for path in sorted(top.iterdir()):
            if path.name != "__pycache__":
                yield from files_below(path)
    elif top.exists():
        yield top


# --- The command on the PATH


def check_link(link: Path) -> None:
    """Raise if something that is not ours has the command's name."""
    if not os.path.lexists(link) or is_ours(link):
        return
    what = f"a link to {link.readlink()}" if link.is_symlink() else "a file"
    raise InstallError(
        f"{link} is {what} that this script did not make, and stays as it is: move it away, or, if pipx or uv put it"
        f" there, let that remove it (pipx uninstall {COMMAND}, uv tool uninstall {COMMAND}), then run this again"
    )


def is_ours(link: Path) -> bool:
    """Tell whether this script made the link or wrapper."""
    if link.is_symlink():
        return link.readlink().parts[-4:] == ("agent-tracker", "venv", "bin", COMMAND)
    try:
        with link.open("rb") as file:
            return WRAPPER_ID in file.read(200)
    except OSError:
        return False


def put_on_path(environment: Environment, link: Path) -> None:
    """Make the link that runs the command; a wrapper where a link cannot do it."""
    script = environment.scripts / COMMAND
    script.chmod(0o755)
    link.parent.mkdir(parents=True, exist_ok=True)
    aside = link.with_name(f".{COMMAND}.{os.getpid()}")
    aside.unlink(missing_ok=True)
    if not (shebang_works(script) and make_symlink(aside, script)):
        write_wrapper(environment, aside)
    aside.replace(link)


def make_symlink(path: Path, target: Path) -> bool:
    """Make the link; return False where the file system or the system's rules forbid links."""
    try:
        path.symlink_to(target)
    except OSError:
        return False
    return True


def shebang_works(script: Path) -> bool:
    """Tell whether the kernel will read the first line: no space in the path, and not too long."""
    with script.open("rb") as file:
        first = file.readline().rstrip()
    return b" " not in first and len(first) <= MAX_SHEBANG_BYTES


def write_wrapper(environment: Environment, path: Path) -> None:
    """Write a shell script that runs the command."""
    python, script = (shlex.quote(part.as_posix()) for part in (environment.python, environment.scripts / COMMAND))
    path.write_bytes(b"#!/bin/sh\n" + WRAPPER_ID + os.fsencode(f'exec {python} {script} "$@"\n'))
    path.chmod(0o755)


def path_hint(link: Path) -> str:
    """Return what to do so that the command is found, or nothing where it already is."""
    found = shutil.which(COMMAND)
    if found is not None and Path(found).samefile(link):
        return ""
    if found is not None and link.parent in map(Path, os.get_exec_path()):
        return f"Mind: {found} comes before {link} on your PATH, so that is what runs as `{COMMAND}`."
    line, file = shell_line(Path(os.environ.get("SHELL", "")).name)
    return (
        f"{for_people(link.parent)} is not on your PATH. Add this line to {file} and open a new terminal:\n\n"
        f"    {line}\n\n"
        f"Until then, type {for_people(link)} instead of {COMMAND}."
    )


def shell_line(shell: str) -> tuple[str, str]:
    """Return the line that puts ~/.local/bin on the PATH, and the file where this shell reads it."""
    if shell == "fish":
        return "fish_add_path ~/.local/bin", "~/.config/fish/config.fish"
    files = {"zsh": "~/.zshrc", "bash": "~/.bash_profile" if sys.platform == "darwin" else "~/.bashrc"}
    file = files.get(shell, "~/.profile")
    if shell == "zsh" and os.environ.get("ZDOTDIR"):
        file = for_people(Path(os.environ["ZDOTDIR"]) / ".zshrc")
    return 'export PATH="$HOME/.local/bin:$PATH"', file


# --- Install


def install(repository: str | None, *, scan: bool | None) -> int:
    """Install or upgrade, then put the hooks into `repository`, or show the demonstration; return the exit code."""
    check_git()
    root = None if repository is None else check_repository(repository)
    link, environment = link_path(), private_environment()
    check_link(link)
    is_new = not environment.stamp
    stamp = fingerprint([CHECKOUT / name for name in SHIPPED])
    has_changed = bring_up_to_date(environment, stamp, [str(CHECKOUT)], ["agent_tracker", "lmdb", "pygit2"])
    put_on_path(environment, link)
    version = environment.evaluate("agent_tracker.__version__", "agent_tracker")
    done = ("installed" if is_new else "upgraded") if has_changed else "up to date"
    say(f"agent-tracker {version} is {done}: {for_people(link)}")
    if done == "upgraded":
        refresh_hooks(environment, except_for=root)
    code = run_aloud(environment.tool("demo")) if root is None else put_hooks_in(environment, root)
    if code == 0:
        say_what_next(link, repository)
    if code == 0 and root is not None and wants_scan(scan=scan):
        code = scan_history(environment, root)
    return code


def check_repository(repository: str) -> str:
    """Return the repository's path, absolute.

    Raises:
        InstallError: Git says that it is none.
    """
    path = Path(repository).expanduser().absolute()
    if not path.is_dir():
        raise InstallError(f"{repository}: no such directory")
    done = run_quietly(["git", "rev-parse", "--git-dir"], path)
    if done.returncode:
        said = done.stdout.strip().splitlines() or ["git gave no reason"]
        raise InstallError(f"{repository} is not a git repository that can be used here ({said[0]})")
    return str(path)


def put_hooks_in(environment: Environment, root: str) -> int:
    """Install the hooks, pass on what the command says except for the next step, which we name, and return its code."""
    done = run_quietly(environment.tool("install-hooks", "--no-scan"), root)
    said = "\n".join(line for line in done.stdout.splitlines() if not line.startswith("Next: "))
    print(said, file=sys.stderr if done.returncode else sys.stdout, flush=True)
    return done.returncode


def wants_scan(*, scan: bool | None) -> bool:
    """Tell whether the history is to be read: as it was said, else by asking at a terminal."""
    if scan is not None:
        return scan
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    try:
        answer = input("\nRead the history that is here already, and credit the agents that left marks in it? [Y/n] ")
    except EOFError:
        return False
    return answer.strip().lower() in {"", "y", "yes"}


def scan_history(environment: Environment, root: str) -> int:
    """Read the repository's history, and end with the table that compares the agents; return the exit code."""
    return run_aloud(environment.tool("scan"), root) or run_aloud(environment.tool("agents"), root)


def refresh_hooks(environment: Environment, *, except_for: str | None) -> None:
    """Bring the hooks of every known repository to the version just installed; say which could not be."""
    for path in known_repositories():
        if path != except_for and Path(path).is_dir():
            done = run_quietly(environment.tool("install-hooks"), path)
            if done.returncode:
                say(f"The hooks in {path} could not be brought up to date:\n{last_lines(done.stdout)}")


def say_what_next(link: Path, repository: str | None) -> None:
    """Print the steps from here to the first standings."""
    steps = [
        f"{COMMAND} register NAME --model MODEL --scope SCOPE --client CLIENT    once for each agent",
        "commit as ever, it and you: its commits are credited to it",
        f"git push (or {COMMAND} flush), then see {COMMAND} agents, log and status",
    ]
    if repository is None:
        steps.insert(0, f"{COMMAND} install-hooks    in each repository that is to be followed")
    say("\nWhat happens next:")
    for number, step in enumerate(steps, 1):
        say(f"  {number}. {step}")
    hint = path_hint(link)
    if hint:
        say(f"\n{hint}")


# --- Uninstall


def uninstall() -> int:
    """Take everything back but what was recorded; return 1 if a repository's hooks could not be removed."""
    link, environment = link_path(), private_environment()
    is_usable = environment.evaluate("1", "agent_tracker") is not None
    kept = kept_places(environment) if is_usable else []
    failures = remove_hooks(environment, is_usable=is_usable)
    if is_ours(link):
        link.unlink()
    if environment.root.exists():
        clear(environment)
        shutil.rmtree(environment.root)
        remove_if_empty(environment.root.parent)
    say("agent-tracker is uninstalled.")
    if kept:
        say("What was recorded is kept. To remove that as well:\n")
        say(f"    rm -r {' '.join(shlex.quote(str(path)) for path in kept)}")
    return 1 if failures else 0


def remove_hooks(environment: Environment, *, is_usable: bool) -> int:
    """Flush and remove the hooks of git's template and every repository known; return how many could not be done."""
    repositories = [path for path in known_repositories() if Path(path).is_dir()]
    if not is_usable:
        for path in repositories:
            say(f"Hooks stay in {path}, where they do no harm: the command that removes them is not installed.")
        return len(repositories)
    flushed = run_quietly(environment.tool("flush", "--all"))
    if flushed.returncode:
        say(f"Not everything could be flushed; it stays in the repositories:\n{last_lines(flushed.stdout)}")
    failures = int(run_quietly(environment.tool("uninstall-hooks", "--template")).returncode != 0)
    for path in repositories:
        done = run_quietly(environment.tool("uninstall-hooks", path))
        failures += done.returncode != 0
        reason = f"could not be removed, and do no harm:\n{last_lines(done.stdout)}"
        say(f"Hooks in {path} {reason if done.returncode else 'removed.'}")
    return failures


def kept_places(environment: Environment) -> list[Path]:
    """Return what outlives an uninstall and exists: the database's files, the configuration, the state."""
    settings = "agent_tracker.config.read_settings(agent_tracker.paths.user_paths(os.environ), os.environ)"
    located = f"agent_tracker.store.locate({settings}['databasePath'].value).path"
    database = environment.evaluate(located, "os", *(f"agent_tracker.{name}" for name in ("config", "paths", "store")))
    places = [Path(f"{database}{suffix}") for suffix in DATABASE_SUFFIXES] if database else []
    places.append(xdg_directory("XDG_CONFIG_HOME", ".config") / "agent-tracker")
    places.append(xdg_directory("XDG_STATE_HOME", ".local/state") / "agent-tracker")
    return [path for path in places if path.exists()]


def remove_if_empty(directory: Path) -> None:
    """Remove a directory of ours unless something is in it."""
    if not any(directory.iterdir()):
        directory.rmdir()


# --- Test


def test(arguments: list[str]) -> int:
    """Make `.venv` hold everything the tests need, run pytest there and return its exit code."""
    check_git()
    environment = Environment(CHECKOUT / ".venv")
    with (CHECKOUT / "pyproject.toml").open("rb") as file:
        group = tomllib.load(file)["dependency-groups"]["dev"]
    stamp = f"{fingerprint([CHECKOUT / name for name in ('pyproject.toml', 'scripts')])} {CHECKOUT}"
    bring_up_to_date(environment, stamp, ["--editable", str(CHECKOUT), *group], ["agent_tracker", "lmdb", "pytest"])
    return run_aloud([str(environment.python), "-m", "pytest", *arguments], CHECKOUT)


# --- The command line


def parse(argv: list[str]) -> argparse.Namespace:
    """Return the arguments, `pytest` holding all that follows a leading `--test`; a usage error exits with 2."""
    own, pytest = (argv[:1], argv[1:]) if argv[:1] == ["--test"] else (argv, [])
    parser = argparse.ArgumentParser(
        usage="install.py [-h] [[--scan | --no-scan] REPOSITORY | --uninstall | --test [PYTEST ARGUMENT ...]]",
        description="Install agent-tracker for this user, or bring it up to date.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "repository", nargs="?", metavar="REPOSITORY", help="gets the hooks; without it: a demonstration"
    )
    parser.add_argument(
        "--scan",
        action=argparse.BooleanOptionalAction,
        help="read the history of REPOSITORY, too; else: asked at a terminal",
    )
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--uninstall", action="store_true", help="take it all back, except what was recorded")
    group.add_argument("--test", action="store_true", help="run the tests; all that follows goes to pytest")
    arguments = parser.parse_args(own)
    if arguments.repository is not None and (arguments.uninstall or arguments.test):
        parser.error("REPOSITORY goes with neither --uninstall nor --test")
    if arguments.scan and arguments.repository is None:
        parser.error("--scan needs a REPOSITORY")
    arguments.pytest = pytest
    return arguments


def main(argv: list[str]) -> int:
    """Run and return the exit code: 0 done, 1 could not, 2 usage, 130 interrupted; with --test, pytest's."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a path may hold any byte
    arguments = parse(argv)
    try:
        if arguments.test:
            return test(arguments.pytest)
        return uninstall() if arguments.uninstall else install(arguments.repository, scan=arguments.scan)
    except InstallError as error:
        print(f"install.py: {error}", file=sys.stderr)
    except OSError as error:
        print(f"install.py: {error.filename or 'the system'}: {error.strerror or error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("install.py: interrupted; run it again to finish", file=sys.stderr)
        return EXIT_INTERRUPT
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
