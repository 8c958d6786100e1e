"""The suite's programs on a GPU: `pytest -m gpu`. Without one, the tests are skipped and say why."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from kernel_forms import CASES as FORM_CASES
from kernel_forms import FORMS, array, assert_right
from target_cases import CASES
from target_contract import assert_agree, expected, job_of

sys.path.insert(0, str(Path(__file__).parent / "emulator"))

from expressions import CASES as EXPRESSIONS  # noqa: E402
from expressions import inputs_of  # noqa: E402
from programs import examples  # noqa: E402

import pullback as pb  # noqa: E402
from pullback.kernels import cuda  # noqa: E402
from pullback.kernels.cuda import CudaTarget  # noqa: E402

REASON = cuda.available()
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(REASON is not None, reason=REASON or "")]
TABLE = {**{f"table, {name}": case for name, case in CASES.items()},
         **{f"expressions, {name}": case for name, case in EXPRESSIONS.items()}}


def on_host(outputs):
    """Results as NumPy arrays, once the device is done; a failed check raises."""
    cuda.synchronize()
    return [a.get() if hasattr(a, "get") else np.asarray(a) for a in outputs]


@pytest.mark.parametrize("name", TABLE)
def test_the_table_agrees_with_the_reference(name):
    job = job_of(*TABLE[name])
    graph, program, arrays = job
    got = on_host(CudaTarget().prepare(program)(*inputs_of(graph, arrays)))
    want = expected(job)
    assert_agree([a.reshape(b.shape) for a, b in zip(got, want, strict=True)], want, 10)


@pytest.mark.parametrize("name", examples())
def test_an_example_gives_the_numbers_of_numpy(name):
    program, inputs, want, *sizes = examples()[name]
    shapes = {str(d): n for x, a in zip(program.inputs, inputs, strict=True)
              for d, n in zip(program.buffers[x].shape, np.shape(a), strict=True)}
    for a, b in zip(on_host(CudaTarget().prepare(program)(inputs, {**shapes, **(sizes[0] if sizes else {})})), want,
                    strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4 if a.dtype == np.float32 else 1e-11)


@pytest.mark.parametrize(("name", "dtype"), FORM_CASES)
def test_a_form_at_every_size(name, dtype):
    function, _, shapes = FORMS[name]
    compiled = pb.compile(lambda x: function(pb, x), device="cuda")
    for shape in shapes:
        x = array(dtype, shape)
        found = compiled(x)
        assert_right(name, x, on_host(found if isinstance(found, tuple) else (found,)))


def test_results_are_the_same_bits_every_time():
    """Whatever the order of blocks was: sums through partial results, and a scatter with places that repeat."""
    r = np.random.default_rng(0)
    x, place = r.normal(size=100_003), r.integers(0, 99, 100_003)
    f = pb.compile(lambda x, i: (pb.sum(pb.sin(x)), (x[:99] * 0).at[i].add(x)), device="cuda")
    first = [a.tobytes() for a in on_host(f(x, place))]
    assert all([a.tobytes() for a in on_host(f(x, place))] == first for _ in range(5))


def test_a_failed_check_is_an_index_error():
    f = pb.compile(lambda x, i: x[i], device="cuda")
    with pytest.raises(IndexError, match="outside its axis"):
        on_host((f(np.arange(5.0), np.array([0, 5])),))


SANITIZER = shutil.which("compute-sanitizer")


@pytest.mark.skipif(SANITIZER is None, reason="compute-sanitizer is not installed")
@pytest.mark.parametrize("tool", ["memcheck", "racecheck", "synccheck", "initcheck"])
def test_compute_sanitizer_finds_nothing(tool):
    """In one program of each form, at a size of its own."""
    tests = f"{__file__}::test_an_example_gives_the_numbers_of_numpy"
    done = subprocess.run(
        [str(SANITIZER), "--tool", tool, "--error-exitcode", "86", "--target-processes", "all",
         sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", tests],
        capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
