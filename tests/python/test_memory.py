"""What a network takes of memory: as estimated, and as limited."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import slide_rs as sr
from slide_rs import memory, optim, samplers
from slide_rs.cli import main
from slide_rs.layers import Dense, SampledDense, SparseInput

CHAIN = [SparseInput(30_000), Dense(64), SampledDense(100_000)]

# Prints by how much the resident memory grew, and the estimate.
GROWTH = """
import numpy as np, resource, scipy.sparse as sp, slide_rs as sr
from slide_rs.layers import Dense, SampledDense, SparseInput

def resident():
    for line in open("/proc/self/status"):
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024

rng = np.random.default_rng(0)
rows = [np.sort(rng.choice(30_000, 60, replace=False)) for _ in range(256)]
X = sp.csr_array(
    (np.ones(256 * 60, np.float32), np.concatenate(rows), np.arange(257) * 60), (256, 30_000)
)
Y = rng.integers(0, 100_000, 256)
small = sr.Network([SparseInput(30_000), Dense(8), SampledDense(100)], threads=2)
small.train_batch(X, Y % 100)
before = resident()
net = sr.Network([SparseInput(30_000), Dense(64), SampledDense(100_000)], threads=2)
# One step touches a part of the pages of the moments; an epoch would touch all.
for batch in range(8):
    net.train_batch(X, rng.integers(0, 100_000, 256))
print(resident() - before, net.estimate_memory(256).total)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_estimate_is_what_the_resident_memory_grows_by() -> None:
    done = subprocess.run(
        [sys.executable, "-c", GROWTH], capture_output=True, text=True, check=True
    )
    grown, estimated = map(int, done.stdout.split())
    # Pages of moments that no step touched yet are missing, and buffers may be twice what is in
    # them; weights and tables are more than half of all.
    assert 0.75 * estimated < grown < 1.2 * estimated


def test_an_estimate_before_is_the_one_after_and_has_parts() -> None:
    before = sr.estimate_memory(CHAIN, threads=2)
    network = sr.Network(CHAIN, threads=2)
    assert network.estimate_memory() == before
    assert f"memory:  {before}" in network.summary()
    assert before.weights == 4 * (30_000 * 64 + 64 + 100_000 * 64 + 100_000)
    exact = optim.Adam(second_moment="entry", moments_dtype="float32")
    assert sr.estimate_memory(CHAIN, optimizer=exact).moments == 2 * before.weights
    # By rule a half for each weight and a float for each place of a row, as many in each of 64
    # shards; the hidden units' biases are such a row, those of the outputs have two floats.
    places = 30_016 + 64 + 100_032
    light = 2 * (30_000 * 64 + 64 + 100_000 * 64) + 4 * places
    assert before.moments == light + 2 * 4 * 100_000
    assert before.total == sum(
        (before.weights, before.moments, before.tables, before.hash_functions, before.scratch)
    )


def test_what_is_left_out_takes_nothing() -> None:
    plain = sr.estimate_memory(CHAIN, optimizer=optim.SGD())
    assert plain.moments == 0
    chain = [*CHAIN[:2], SampledDense(100_000, sampler=samplers.Uniform(), dtype="bfloat16")]
    halves = sr.estimate_memory(chain)
    assert halves.tables == halves.hash_functions == 0
    assert plain.weights - halves.weights == 2 * 100_000 * 64
    assert sr.estimate_memory(CHAIN, batch_size=1).scratch < plain.scratch


def test_a_network_beyond_max_memory_is_refused_by_its_parts() -> None:
    # It would take more than any machine has.
    chain = [SparseInput(2**31 - 1), Dense(1000), SampledDense(2**31 - 1)]
    refusal = r"^max_memory: found .* TB \(weights .*wanted at most 2 GB"
    with pytest.raises(MemoryError, match=refusal):
        sr.Network(chain, max_memory="2GB")
    needed = sr.estimate_memory(CHAIN, threads=1).total
    with pytest.raises(MemoryError, match="scratch"):
        sr.Network(CHAIN, threads=1, max_memory=needed - 1)
    sr.Network(CHAIN, threads=1, max_memory=needed)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (999.4, "999 B"),
        (999.6, "1 kB"),
        (1000, "1 kB"),
        (999_499, "999 kB"),
        (999_999, "1 MB"),
        (999_999_999, "1 GB"),
        (999.6e9, "1 TB"),
        (5e12, "5 TB"),
        (1.234e15, "1.23 PB"),
        (5e18, "5,000 PB"),
    ],
)
def test_sizes_are_written_with_three_digits_and_never_a_power(count: float, text: str) -> None:
    assert memory.readable(count) == text


@pytest.mark.parametrize(
    ("text", "found"),
    [("1.5 GiB", 1.5 * 2**30), ("2GB", 2e9), ("300 mb", 3e8), ("1e6", 1e6), ("7 B", 7)],
)
def test_sizes_are_read_with_units(text: str, found: float) -> None:
    assert memory.size("max_memory", text) == found


@pytest.mark.parametrize("wrong", ["", "GB", "2 XB", "nan", "-1", "0", 0, 2.5, True])
def test_what_is_no_size_is_refused(wrong: object) -> None:
    with pytest.raises((TypeError, ValueError), match=r"^max_memory: found "):
        sr.Network(CHAIN, max_memory=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("verb", ["train", "compare"])
def test_the_help_says_what_is_not_counted(verb: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    said = " ".join(capfd.readouterr().out.split())
    assert "not counted are the rows and what a ranker takes beside them" in said


def test_the_command_line_refuses_what_is_too_large(
    tiny_file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for verb in (["train"], ["compare", "--valid", str(tiny_file)]):
        assert main([*verb, str(tiny_file), "--max-memory", "9 kB"]) != 0
        found = "2 networks, each of which takes" if verb == ["train"] else "a network that takes"
        assert f"max_memory: found {found}" in capfd.readouterr().err
        assert main([*verb, str(tiny_file), "--max-memory", "much"]) != 0
        assert capfd.readouterr().err.startswith("slide-rs: --max-memory: found 'much', wanted")
