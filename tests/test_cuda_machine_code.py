"""What the compiler makes of the texts, for three architectures, without a GPU: spills, wide loads, divisions."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent / "emulator"))

from emulator import EmulatedBatch, joined  # noqa: E402
from expressions import inputs_of, planned, traced  # noqa: E402
from target_cases import CASES  # noqa: E402

import pullback as pb  # noqa: E402
from pullback.codegen.cuda import index_of, write_cuda  # noqa: E402
from pullback.codegen.cuda_plan import chunk_counts  # noqa: E402
from pullback.kernels import disassembly, nvrtc  # noqa: E402

needs_nvrtc = pytest.mark.skipif(nvrtc.nvrtc_version() is None, reason="NVRTC is not installed")
needs_nvdisasm = pytest.mark.skipif(
    nvrtc.nvrtc_version() is None or disassembly.find_nvdisasm() is None, reason="NVRTC or nvdisasm is not installed")
# Of every family of cases one, and all that take numbers apart into indices.
CHOSEN = [n for k, n in enumerate(CASES) if k % 6 == 0 or n.startswith(("structure", "contraction"))]


@pytest.fixture(scope="module")
def texts():
    found = {name: write_cuda(planned(traced(*CASES[name]))).text for name in CHOSEN}
    for function, *shapes in POINTWISE:
        for dtype in ("float32", "float64"):
            arrays = [np.ones(shape, dtype) for shape in shapes]
            found[f"wide {function.__name__} {dtype}"] = write_cuda(planned(traced(function, arrays))).text
    return found


def chain(x, y):
    return pb.exp(x * y) + x


def loss(x, y):
    return pb.value_and_grad(lambda a: pb.sum(pb.sin(a) * y))(x)


POINTWISE = [(chain, (8,), (8,)), (chain, (4, 6), (4, 6)), (loss, (8,), (8,))]


@needs_nvdisasm
@pytest.mark.parametrize("arch", ["sm_80", "sm_90", "sm_100"])
def test_no_spills_wide_loads_and_no_long_divisions(texts, arch):
    cubin = nvrtc.compile_text(joined(list(texts.values())), arch)
    assert not {name: f for name, f in cubin.footprints.items() if f.spill_stores or f.spill_loads}
    code = disassembly.disassemble(cubin)
    assert sum(name in code for name in cubin.footprints) == len(cubin.footprints)
    long_divisions = {name for name, found in code.items() if any(i.startswith("I2F.U64") for i in found)}
    assert not long_divisions
    names = list(texts)
    for number in (k for k, name in enumerate(names) if name.startswith("wide")):
        unit = f"unit_{number}"
        kernels = [found for name, found in code.items() if f"{len(unit)}{unit}" in name and "combine" not in name]
        assert kernels and all("LDG.E.128.CONSTANT" in found for found in kernels), names[number]
        if names[number].startswith("wide chain"):
            assert all("STG.E.128" in found for found in kernels), names[number]


def digits(x):
    return pb.reshape(pb.transpose(x), (-1,))[::3] * 2.0


def test_arithmetic_on_indices_is_done_in_their_type():
    text = pb.compile(digits).lower(np.ones((5, 7))).as_text("cuda")
    assert "pb_quotient(t, n0)" in text and "(long long)i" not in text


def test_an_index_that_leaves_the_reach_of_an_int_makes_it_long():
    """The product of a position with a step counts, not only the elements of buffers."""
    graph = traced(digits, [np.ones((5, 7))])
    program = planned(graph)
    text = write_cuda(program)
    small, large = ({"n0": n, "n1": 7} for n in (5, 2**30 // 7))
    assert text.reaches and index_of(program, text, chunk_counts(program, small)) == "int"
    assert index_of(program, text, chunk_counts(program, large)) == "int"
    beyond = {"n0": 2**31 // 7, "n1": 7}
    assert index_of(program, text, chunk_counts(program, beyond)) == "long long"
    arrays = [np.arange(35.0).reshape(5, 7)]
    batch = EmulatedBatch()
    for index in ("int", "long long"):
        (got,) = batch.run(batch.add(program, index=index), *inputs_of(graph, arrays))
        np.testing.assert_array_equal(got.ravel(), arrays[0].T.reshape(-1)[::3] * 2)


def test_reading_machine_code_says_what_to_install(monkeypatch):
    monkeypatch.setattr(disassembly, "find_nvdisasm", lambda: None)
    with pytest.raises(pb.DeviceError, match="nvdisasm, which was not found: install it with"):
        disassembly.disassemble(nvrtc.Cubin(b"", "sm_90", ""))
