"""Every machine operation on every dtype, in lanes and as scalars, against NumPy."""

import warnings

import numpy as np
import pytest

from pullback.codegen import llvm_routines
from pullback.codegen.llvm import write_llvm
from pullback.codegen.machine import MACHINE
from pullback.codegen.mathematics import routine
from pullback.codegen.program import DTYPES, Axis, Buffer, Kernel, Let, Load, Offset, Program, Store
from pullback.dsl.size import symbol
from pullback.kernels.cpu import CpuProgram

n = symbol("n")
HERE = Offset(0, (("i", 1),))
COMPARISONS = {"equal", "not_equal", "less", "less_equal", "greater", "greater_equal"}
LOGIC = {"logical_and", "logical_or", "logical_xor", "logical_not"}
FLOATS = {"divide", "sqrt", "fma", "copysign"}
ROUNDING = {"floor", "ceil", "trunc", "round"}
INTEGERS = {"bitwise_left_shift", "bitwise_right_shift"}
BITS = {"bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_invert"}
NUMPY = {
    "round": np.round, "where": np.where, "mask": lambda c, x: np.where(c, x, np.zeros_like(x)),
    "stop_gradient": lambda x: x, "bitwise_left_shift": np.left_shift, "bitwise_right_shift": np.right_shift,
}  # fmt: skip


def ops_of(dtype):
    """The operations that make sense on `dtype`, each with the dtypes of its arguments and its result."""
    for op, count in MACHINE.items():
        if op in ("cast", "bitcast") or (op in FLOATS and dtype[0] != "f") or (op in INTEGERS and dtype[0] not in "iu"):
            continue
        if (op in BITS and dtype[0] == "f") or (dtype == "bool" and op in ROUNDING | {"abs", "negative", "subtract"}):
            continue
        if dtype == "bool" and op in ("floor_divide", "remainder"):
            continue
        arguments = [dtype] * count
        if op in ("where", "mask"):
            arguments[0] = "bool"
        yield op, tuple(arguments), "bool" if op in COMPARISONS | LOGIC else dtype


def samples(dtype, rng, size):
    if dtype == "bool":
        return rng.integers(0, 2, size).astype(bool)
    if dtype[0] == "f":
        special = [
            0.0,
            -0.0,
            1.0,
            -1.0,
            0.5,
            -0.5,
            1.5,
            2.5,
            -2.5,
            np.inf,
            -np.inf,
            np.nan,
            1e-310,
            3e38,
            1e10,
            7.0,
            -7.0,
        ]
        return np.where(rng.random(size) < 0.5, rng.choice(special, size), rng.normal(size=size) * 5).astype(dtype)
    limits = np.iinfo(dtype)
    special = np.array([0, 1, 2, 3, 7, 63, limits.max, limits.min, limits.max - 1], dtype)
    small = rng.integers(max(limits.min, -9), 10, size).astype(dtype)
    return np.where(rng.random(size) < 0.5, rng.choice(special, size), small).astype(dtype)


def build(cases, vector):
    """One kernel that loads, operates and stores for each (op, argument dtypes, result dtype)."""
    buffers, body = {}, []
    for name, dtype in {(f"x_{d}_{k}", d) for _, arguments, _ in cases for k, d in enumerate(arguments)}:
        buffers[name] = Buffer(name, dtype, (n,), "input")
        body.append(Load("v_" + name, dtype, name, HERE))
    for k, (op, arguments, result) in enumerate(cases):
        buffers[f"y{k}"] = Buffer(f"y{k}", result, (n,), "output")
        body.append(Let(f"r{k}", result, op, tuple(f"v_x_{d}_{j}" for j, d in enumerate(arguments))))
        body.append(Store(f"y{k}", HERE, f"r{k}"))
    kernel = Kernel("ops", ("operations",), Axis("i", n), 1, tuple(body), vector=vector)
    return Program((), (), buffers, (kernel,), ("n", "chunks"))


def evaluate(cases, vector, size=203):
    rng = np.random.default_rng(1)
    p = build(cases, vector)
    arrays = {
        name: samples(b.dtype, rng, size) if b.kind == "input" else np.zeros(size, b.dtype)
        for name, b in p.buffers.items()
    }
    assert CpuProgram.build(p).run([arrays[name].ctypes.data for name in p.buffers], (size,)) == -1
    for k, (op, arguments, result) in enumerate(cases):
        yield op, result, [arrays[f"x_{d}_{j}"] for j, d in enumerate(arguments)], arrays[f"y{k}"]


@pytest.mark.parametrize("vector", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
def test_operations_are_numpys(dtype, vector):
    for op, result, arguments, got in evaluate(list(ops_of(dtype)), vector):
        if op == "fma":
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = NUMPY.get(op, getattr(np, op, None))(*arguments)
        np.testing.assert_array_equal(got, np.asarray(expected).astype(result), err_msg=f"{op} on {dtype}")
        if dtype[0] == "f" and result == dtype and op not in ("minimum", "maximum"):
            number = ~np.isnan(got)
            np.testing.assert_array_equal(
                np.signbit(got[number]), np.signbit(expected[number]), err_msg=f"sign of {op}"
            )


@pytest.mark.parametrize("vector", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
def test_casts_are_numpys(dtype, vector):
    """Where NumPy's conversion is defined: a float that fits."""
    for _, result, (x,), got in evaluate([("cast", (dtype,), d) for d in DTYPES], vector):
        keep = np.ones(x.shape, bool)
        if dtype[0] == "f" and result[0] in "iu":
            limits = np.iinfo(result)
            keep = np.isfinite(x) & (x > float(limits.min) - 0.5) & (x < float(limits.max) * 0.99)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            np.testing.assert_array_equal(got[keep], x[keep].astype(result), err_msg=f"{dtype} to {result}")


@pytest.mark.parametrize(
    "pair",
    [("float64", "int64"), ("float32", "int32"), ("uint64", "float64"), ("float32", "uint32"), ("int64", "uint64")],
)
def test_bitcasts_keep_the_bits(pair):
    for vector in (True, False):
        for _, result, (x,), got in evaluate([("bitcast", (pair[0],), pair[1])], vector):
            assert got.tobytes() == x.view(result).tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("op", ["exp", "log", "sin", "tanh", "power", "erf", "gammaln", "cbrt", "sigmoid"])
def test_functions_have_the_same_bits_in_lanes_and_alone(op, dtype):
    """Routines and library calls; sin also beyond the domain of its routine."""
    if routine(op, dtype) is None and op == "sigmoid":
        pytest.skip("no routine")
    case = [(op, (dtype,) * (2 if op == "power" else 1), dtype)]
    ((_, _, arguments, wide),) = evaluate(case, True)
    ((_, _, _, alone),) = evaluate(case, False)
    assert wide[~np.isnan(wide)].tobytes() == alone[~np.isnan(wide)].tobytes()
    assert (np.isnan(wide) == np.isnan(alone)).all()
    if op in ("exp", "log", "sin", "tanh", "cbrt", "power"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = getattr(np, op)(*(a.astype("float64") for a in arguments)).astype(dtype)
        np.testing.assert_allclose(
            wide, expected, rtol=3e-7 if dtype == "float32" else 1e-15, atol=1e-300 if dtype == "float64" else 1e-38
        )


@pytest.mark.parametrize("vector", [True, False])
def test_routines_that_are_called_have_the_bits_of_those_in_place(vector, monkeypatch):
    """A kernel with very many functions calls them instead of containing them."""
    cases = [(op, ("float64",), "float64") for op in ("exp", "sin", "erf")]
    assert "@exp.float64" not in write_llvm(build(cases, vector))
    in_place = [got.tobytes() for *_, got in evaluate(cases, vector)]
    monkeypatch.setattr(llvm_routines, "INLINE", 10)
    assert f"@exp.float64{'.8' if vector else ''}(" in write_llvm(build(cases, vector))
    assert [got.tobytes() for *_, got in evaluate(cases, vector)] == in_place
