"""Whatever others may have written: an error of ours, and nothing worse. `run.py` tries millions of these."""

from __future__ import annotations

import random
import resource
from typing import TYPE_CHECKING

import pytest
import targets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutating import mutated
from targets import TARGETS

if TYPE_CHECKING:
    from collections.abc import Iterator

MEMORY_BYTES = 2 << 30


@pytest.fixture(scope="module", autouse=True)
def bounded() -> Iterator[None]:
    """Give this process so much memory, and take away what the targets wrote."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_DATA, before)
    targets.tidy()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", TARGETS)
def test_any_bytes_give_an_answer_or_an_error_of_ours(name: str) -> None:
    """What the product wrote, changed a little or much, and bytes that nobody wrote."""
    target = TARGETS[name]
    corpus = target.seeds()
    for seed in corpus:
        target.run(seed)

    @settings(max_examples=target.examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.binary(max_size=200) | st.integers(0, 1 << 60).map(lambda at: mutated(corpus, random.Random(at))))
    def tried(data: bytes) -> None:
        target.run(data)

    tried()


def test_the_engine_makes_other_inputs_of_its_corpus() -> None:
    """The same chance gives the same, another one something else, and nothing grows without end."""
    corpus = [b"some input", b"x" * 60000]
    made = [mutated(corpus, random.Random(seed)) for seed in range(200)]
    assert made == [mutated(corpus, random.Random(seed)) for seed in range(200)]
    assert len(set(made)) > 150
    assert max(map(len, made)) <= 1 << 16
