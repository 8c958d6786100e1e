"""Generated texts, kept to be read and compared to the letter: tests/golden/*.py for Numba and *.cu for CUDA.

After a change of a writer, read the difference that this makes, and regenerate with

    python tests/test_golden.py
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent / "emulator"))
sys.path.insert(0, str(Path(__file__).parent))

from expressions import fn, gradient, inputs_of  # noqa: E402
from target_contract import assert_agree, expected, job_of  # noqa: E402

from pullback.codegen.cuda import write_cuda  # noqa: E402
from pullback.codegen.numba_text import write_numba  # noqa: E402
from pullback.kernels import nvrtc  # noqa: E402

FOLDER = Path(__file__).parent / "golden"
R = np.random.default_rng(1)
X, Y, W, B = R.normal(size=(6, 5)), R.normal(size=(6, 5)), R.normal(size=(5, 4)), R.normal(size=4)
PROGRAMS = {
    "loss_and_gradient": (gradient(lambda x, y: fn.exp(-x * x) * fn.sin(y), 2), [X, Y]),
    "row_softmax": (lambda x: fn.softmax(x, axis=1), [X]),
    "column_means": (lambda x: (fn.mean(x, axis=0), x - fn.mean(x, axis=0)), [X.astype("float32")]),
    "linear_layer": (lambda x, w, b: fn.tanh(x @ w + b), [X, W, B]),
    "neighbours": (lambda x, i: (x[i], x.at[i].add(1.0), x[1:, ::-1] - x[:-1]), [X, np.array([0, 3, 3])]),
}


def texts(name: str) -> dict[Path, str]:
    program = job_of(*PROGRAMS[name])[1]
    return {FOLDER / f"{name}.py": write_numba(program), FOLDER / f"{name}.cu": write_cuda(program).text}


@pytest.mark.parametrize("name", PROGRAMS)
def test_texts_are_as_they_were(name):
    for path, text in texts(name).items():
        assert text == path.read_text(encoding="utf-8"), f"{path.name} changed: see the head of {Path(__file__).name}"


@pytest.mark.parametrize("name", PROGRAMS)
def test_python_texts_run_by_themselves(name):
    """Under plain Numba, from the file."""
    job = job_of(*PROGRAMS[name])
    arrays, sizes = inputs_of(job[0], job[2])
    names: dict = {}
    exec(compile((FOLDER / f"{name}.py").read_text(encoding="utf-8"), f"{name}.py", "exec"), names)
    parameters = inspect.signature(names["program"]).parameters.values()
    found = names["program"](*arrays, **{p.name: sizes[p.name] for p in parameters if p.kind is p.KEYWORD_ONLY})
    assert_agree([np.asarray(a) for a in (found if isinstance(found, tuple) else (found,))], expected(job))


@pytest.mark.skipif(nvrtc.nvrtc_version() is None, reason="NVRTC is not installed")
@pytest.mark.parametrize("name", PROGRAMS)
def test_cuda_texts_compile(name):
    text = (FOLDER / f"{name}.cu").read_text(encoding="utf-8")
    footprints = nvrtc.compile_text(text).footprints
    assert len(footprints) == text.count("__global__")
    assert not {k: f for k, f in footprints.items() if f.spill_stores or f.spill_loads}


def test_nothing_else_lies_in_the_folder():
    assert {p.name for p in FOLDER.iterdir()} == {f"{n}.{kind}" for n in PROGRAMS for kind in ("py", "cu")}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for each in PROGRAMS:
        for path, text in texts(each).items():
            path.write_text(text, encoding="utf-8")
            print(path)
