"""Rows in strips: the bits of rows one by one, whatever their number."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from target_contract import assert_agree, expected, job_of, run_on_cpu

sys.path.insert(0, str(Path(__file__).parent / "emulator"))

from expressions import fn, gradient  # noqa: E402

from pullback.codegen import llvm_kernel  # noqa: E402
from pullback.codegen.llvm import write_llvm  # noqa: E402
from pullback.codegen.llvm_strips import strips_of  # noqa: E402
from pullback.codegen.program import Program  # noqa: E402

R = np.random.default_rng(3)


def logistic(x, w, y):
    z = x @ w
    return fn.sum(fn.log1p(fn.exp(-fn.abs(z))) + fn.maximum(-y * z, 0))


def standardised(x, w, y):
    """Bools, conditions and several passes over a row."""
    mean = fn.mean(x, axis=1)
    spread = fn.sqrt(fn.mean((x - mean[:, None]) ** 2, axis=1) + 1e-6)
    positive = mean > 0
    return fn.where(positive[:, None], (x - mean[:, None]) / spread[:, None], x * w) * fn.exp(y)[:, None], positive


def bordered(x, w, y):
    """Rows at a border, in which an inner loop over a border begins."""
    padded = fn.pad(x, ((1, 2), (2, 1)))
    weight = fn.sqrt(fn.exp(fn.pad(y, (1, 2))))
    return fn.sum(padded * padded, axis=1) / weight, padded * weight[:, None]


FUNCTIONS = {"bordered": bordered, "logistic": gradient(logistic, 3), "standardised": standardised,
             "log of sums": lambda x, w, y: fn.log(fn.sum(x * x, axis=1)) * fn.exp(y) / fn.sum(fn.abs(x * w), axis=1)}


def arrays(rows: int, dtype: str) -> list[np.ndarray]:
    return [R.normal(size=shape).astype(dtype) for shape in ((rows, 5), (5,), (rows,))]


def in_strips(program: Program) -> list[str]:
    return [k.name for k in program.kernels() if strips_of(k)]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("rows", [1, 7, 8, 9, 40])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_strips_have_the_bits_of_single_rows(name, rows, dtype, monkeypatch):
    job = job_of(FUNCTIONS[name], arrays(rows, dtype))
    assert in_strips(job[1])
    strips = run_on_cpu(job)
    assert_agree(strips, expected(job))
    monkeypatch.setattr(llvm_kernel, "strips_of", lambda kernel: [])
    for a, b in zip(strips, run_on_cpu(job), strict=True):
        assert a.tobytes() == b.tobytes()


def test_what_is_known_in_the_row_is_computed_in_lanes():
    _, program, _ = job_of(FUNCTIONS["log of sums"], arrays(9, "float64"))
    text = write_llvm(program)
    assert "alloca <8 x double>" in text and "fdiv <8 x double>" in text


@pytest.mark.parametrize("change", [
    lambda k: replace(k, serial=True),
    lambda k: replace(k, body=(*k.body[-1:], *k.body)),
], ids=["serial", "a buffer written in two segments"])
def test_rows_that_would_get_in_each_others_way_are_not_in_strips(change):
    _, program, _ = job_of(FUNCTIONS["standardised"], arrays(9, "float64"))
    kernel = next(k for k in program.kernels() if strips_of(k))
    assert not strips_of(change(kernel))


def test_a_row_of_scratch_is_not_in_strips():
    """Every row of a chunk uses the same memory: rows that run at once would overwrite each other's."""
    def density(x, w, y):
        return fn.sum(fn.logsumexp(-fn.exp(w) * (y[:, None] - w) ** 2, axis=1) ** 2)

    job = job_of(gradient(density, 3), arrays(9, "float64"))
    assert_agree(run_on_cpu(job), expected(job))
    scratch = [k for k in job[1].kernels() if any("in_row" in str(s) for s in k.body)]
    assert scratch and not any(strips_of(k) for k in scratch)
