"""Every form of kernel, in every kind of number that it takes, at odd sizes: CUDA text on the emulator, which watches
each access and the bounds of C++'s meaning, against NumPy."""

import shutil
import sys
from pathlib import Path

import pytest
from kernel_forms import CASES, FORMS, array, assert_right

sys.path.insert(0, str(Path(__file__).parent / "emulator"))

from emulator import EmulatedBatch  # noqa: E402
from expressions import inputs_of, planned, traced  # noqa: E402

import pullback as pb  # noqa: E402
from pullback.codegen.check import check  # noqa: E402

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="the emulator is compiled by g++")


def key_of(name, dtype, shape):
    """A program of each form and dtype serves every shape, but that an axis of one element is another program."""
    return name, dtype, tuple(n == 1 for n in shape)


@pytest.fixture(scope="module")
def batch():
    """All programs in one translation unit."""
    emulated, made = EmulatedBatch(), {}
    for name, dtype in CASES:
        function, _, shapes = FORMS[name]
        for shape in shapes:
            if key_of(name, dtype, shape) not in made:
                graph = traced(lambda x, function=function: function(pb, x), [array(dtype, shape)])
                program = planned(graph)
                check(program)
                made[key_of(name, dtype, shape)] = emulated.add(program), graph
    return emulated, made


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_form(batch, name, dtype):
    emulated, made = batch
    for shape in FORMS[name][2]:
        x, (handle, graph) = array(dtype, shape), made[key_of(name, dtype, shape)]
        assert_right(name, x, emulated.run(handle, *inputs_of(graph, [x])))
