"""The README's own commands, run as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from gitrepo import GitRepo

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def session(text: str) -> list[tuple[str, list[str]]]:
    """Return the commands of the console blocks, each with the lines it is said to answer."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def shape(line: str) -> str:
    """Return a line without what differs from run to run: oids, times, the home directory, spaces."""
    line = re.sub(r"\b[0-9a-f]{10}(?:[0-9a-f]{2})?\b", "OID", line)
    line = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "WHEN", line)
    line = re.sub(r"\d+ s$", "SECONDS", line)
    return re.sub(r"\s+", " ", line).strip()


def test_the_session_answers_what_the_readme_says(repo: GitRepo, home: Path) -> None:
    """Every command of `Use` does what is printed below it, in a repository of one's own."""
    place = home / "code" / "shop"
    place.parent.mkdir()
    repo.path.rename(place)
    (home / "bin").mkdir()
    launcher = home / "bin" / "agent-tracker"
    launcher.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m agent_tracker "$@"\n')
    launcher.chmod(0o755)
    commands = session(README[README.index("## Use") : README.index("## How it works")])
    assert len(commands) > 8
    for command, expected in commands:
        runnable = command.replace("git commit -m", "git commit --quiet --allow-empty -m")
        done = subprocess.run(
            ["sh", "-c", f'PATH="$HOME/bin:$PATH"; {runnable}'], cwd=place, capture_output=True, text=True, check=False
        )
        answer = [shape(line) for line in (done.stdout + done.stderr).splitlines()]
        assert answer == [shape(line) for line in expected], command
        assert (done.returncode == 0) is ("commit refused" not in done.stderr), command
    assert from_python(place) == [
        "bob-30aeb6e0 62 64",
        "['Mend the guide', 'Start the shop', 'Write a guide', 'Add the cart']",
    ]


def from_python(place: Path) -> list[str]:
    """Return what the README's Python prints, run as it stands."""
    (program,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    done = subprocess.run([sys.executable, "-c", program], cwd=place, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_the_two_commands_are_those_of_the_installer() -> None:
    """The README's two commands are options that install.py has."""
    commands = [command for command, _ in session(README) if command.startswith("python3 install.py")]
    assert commands == ["python3 install.py ~/code/shop", "python3 install.py --test"]
    usage = subprocess.run([sys.executable, ROOT / "install.py", "--help"], capture_output=True, text=True, check=True)
    assert "--test" in usage.stdout
    assert "--uninstall" in usage.stdout


@pytest.mark.parametrize("word", ["FIGURES", "TODO"])
def test_nothing_is_left_to_be_written(word: str) -> None:
    """No placeholder is left in the README."""
    assert word not in README


def test_every_setting_is_in_the_table() -> None:
    """The configuration table names every setting and its variable."""
    from agent_tracker.config import SETTINGS  # noqa: PLC0415

    for setting in SETTINGS:
        assert f"`{setting.name}`" in README
        assert f"`{setting.variable}`" in README
