"""Try millions of inputs on every parser: `python tests/fuzz/run.py [--target NAME] [--count NUMBER]`.

With atheris installed the inputs follow the coverage of the code; without it they are changed by chance. Each target
has a process of its own, bounded in memory and in the time for one input. What ends one is kept in a file.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent.parent)]

COUNT = 500_000
MEMORY_MB = 2048
PER_INPUT_S = 10
MAX_BYTES = 4096
SLOW = {
    "database": 200,
    "plugin-database": 20,
    "patrol": 50,
    "directory": 50,
    "segment": 5,
    "config": 5,
    "reflog": 5,
    "gitfile": 5,
}
"""How many times fewer inputs these are given: they start processes, or write many files."""

_DONE = re.compile(r"Done (\d+) runs|stat::number_of_executed_units: +(\d+)|plain: (\d+) inputs")


def main() -> int:
    """Run the targets and say how many inputs each was given; 1 where one failed."""
    parser = argparse.ArgumentParser(description="Try inputs on every parser.")
    parser.add_argument("--target", action="append", default=[], help="only this one; may be given several times")
    parser.add_argument("--count", type=int, default=COUNT, help="how many inputs for each")
    parser.add_argument("--engine", choices=("atheris", "plain"), default="")
    parser.add_argument("--keep", type=Path, default=None, help="a directory for corpora and for what failed")
    parser.add_argument("--inside", default="", help=argparse.SUPPRESS)
    given = parser.parse_args()
    engine = given.engine or ("atheris" if importlib.util.find_spec("atheris") else "plain")
    if given.inside:
        return inside(given.inside, engine, given.count, given.keep)
    from targets import TARGETS  # noqa: PLC0415 -- the paths are set above

    keep = given.keep or Path(tempfile.mkdtemp(prefix="agent-tracker-fuzz-"))
    keep.mkdir(parents=True, exist_ok=True)
    total, failed = 0, []
    for name in given.target or TARGETS:
        done, is_sound = outside(name, engine, max(given.count // SLOW.get(name, 1), 1), keep)
        total += done
        failed += [] if is_sound else [name]
    say(f"{'total':16} {total:>12,} inputs, {engine}")
    if failed:
        say(f"failed: {' '.join(failed)}; see {keep}")
    return 1 if failed else 0


def say(text: str) -> None:
    """Print a line at once: a run takes minutes."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def outside(name: str, engine: str, count: int, keep: Path) -> tuple[int, bool]:
    """Run one target in a process of its own; return how many inputs it was given, and whether all went well."""
    begun = time.monotonic()
    argv = [sys.executable, __file__, "--inside", name, "--engine", engine, "--count", str(count), "--keep", str(keep)]
    with tempfile.TemporaryDirectory() as home:
        environment = {"PATH": os.environ["PATH"], "HOME": home, "GIT_CONFIG_NOSYSTEM": "1"}
        done = subprocess.run(argv, capture_output=True, env=environment, check=False)
    text = (done.stdout + done.stderr).decode("utf-8", "replace")
    numbers = [int(next(filter(None, found))) for found in _DONE.findall(text)]
    taken_s = time.monotonic() - begun
    number = numbers[-1] if numbers else 0
    say(f"{name:16} {number:>12,} inputs in {taken_s:6.1f} s{'' if done.returncode == 0 else '  FAILED'}")
    if done.returncode:
        (keep / f"{name}.log").write_text(text)
        say(text[-3000:])
    return number, done.returncode == 0


def inside(name: str, engine: str, count: int, keep: Path) -> int:
    """Run one target in this process."""
    if engine == "atheris":
        return with_atheris(name, count, keep)
    from mutating import mutated  # noqa: PLC0415 -- as above
    from targets import TARGETS, tidy  # noqa: PLC0415

    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_MB << 20, MEMORY_MB << 20))
    signal.signal(signal.SIGALRM, too_long)
    target, chance = TARGETS[name], random.Random(int.from_bytes(os.urandom(8), "big"))
    corpus = target.seeds()
    data, number = b"", 0
    try:
        while number < count:
            number += 1
            data = mutated(corpus, chance)
            signal.alarm(PER_INPUT_S)
            target.run(data)
        signal.alarm(0)
    except BaseException:  # noqa: BLE001 -- whatever it is, it is a finding
        traceback.print_exc()
        (keep / f"{name}.input").write_bytes(data)
        return 1
    finally:
        tidy()
        say(f"plain: {number} inputs")
    return 0


def too_long(_number: int, _frame: FrameType | None) -> None:
    """End an input that takes too long."""
    raise TimeoutError(f"one input took more than {PER_INPUT_S} seconds")


def with_atheris(name: str, count: int, keep: Path) -> int:
    """Let atheris choose the inputs; it ends the process itself."""
    atheris = importlib.import_module("atheris")  # where it is installed
    with atheris.instrument_imports(include=["agent_tracker"]):
        from targets import TARGETS, tidy  # noqa: PLC0415 -- instrumented

    corpus = keep / "corpus" / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(TARGETS[name].seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    longest = max((MAX_BYTES, *(path.stat().st_size for path in corpus.iterdir())))
    options = [f"-runs={count}", f"-max_len={longest}", f"-timeout={PER_INPUT_S}", f"-rss_limit_mb={MEMORY_MB}"]
    options += [f"-artifact_prefix={keep}/{name}-", "-print_final_stats=1", "-verbosity=0", str(corpus)]
    atheris.Setup([sys.argv[0], *options], TARGETS[name].run)
    try:
        atheris.Fuzz()
    finally:
        tidy()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
