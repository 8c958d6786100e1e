"""Every row of the table: its value, its dtypes, its expansion into simpler rows, and its special points."""

import contextlib

import numpy as np
import pytest
from table_of_rows import ArrayOps, exact, points

from pullback.dsl import ops
from pullback.dsl.errors import DTypeError

ROWS = list(ops.ROWS.values())
FLOATS = [row for row in ROWS if row.kind not in ("integer", "cast")]
MEANT = [row for row in FLOATS if row.meaning]
by_name = pytest.mark.parametrize("row", FLOATS, ids=lambda row: row.name)


def test_the_table_is_broad_and_its_names_are_unique():
    assert len(ROWS) >= 60
    names = [name for row in ROWS for name in {row.name, *row.aliases}]
    assert len(names) == len(set(names))
    assert all(row.kinks for row in ROWS if row.jumps and row.kind != "cast")
    assert {"arcsin", "absolute", "mod", "invert", "expit"} <= ops.by_alias.keys()


@pytest.mark.parametrize("row", MEANT, ids=lambda row: row.name)
def test_value_is_the_meaning(row):
    arrays = points(row)
    assert row.close(row.numpy(*arrays), exact(row, arrays)).all()


@pytest.mark.parametrize("row", MEANT, ids=lambda row: row.name)
def test_value_in_single_precision(row):
    inside = [a[: len(a) - len(row.edges)].astype(np.float32) for a in points(row)]
    value = row.numpy(*inside)
    assert value.dtype in (np.float32, np.bool_)
    assert row.close(value, exact(row, inside)).all()


@by_name
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_value_at_special_points(row):
    for dtype in (np.float64, np.float32):
        for point, value, _ in row.special:
            found = row.numpy(*(np.asarray(v, dtype) for v in point))
            assert row.close(found, np.asarray(value, np.float64)), (point, found)
            assert found.dtype == bool or np.isnan(value) or np.signbit(found) == np.signbit(value), (point, found)


def expanded(dtypes):
    """The rows that have an expansion on operands of each of `dtypes`."""
    for row in ROWS:
        for dtype in dtypes:
            with contextlib.suppress(DTypeError):
                kinds = ops.operand_dtypes(row.name, *(dtype,) * len(row.args))
                if ops.expansion(row.name, kinds[-1]):
                    yield pytest.param(row, dtype, kinds, id=f"{row.name}-{dtype}")


EXPANDED = list(expanded(["float64", "float32", "int64", "int16", "uint8", "bool"]))


@pytest.mark.parametrize(("row", "dtype", "kinds"), EXPANDED)
@pytest.mark.filterwarnings("ignore:.* encountered in cast")
def test_expansion_agrees_with_numpy(row, dtype, kinds):
    arrays = [a.astype(dtype).astype(k) for a, k in zip(points(row, 60), kinds, strict=True)]
    if kinds[-1].kind == "f":
        extra = np.array([p for p, _, _ in row.special] + [(np.nan,) * len(kinds), (np.inf,) * len(kinds)]).T
        arrays = [np.concatenate([a, e.astype(k)]) for a, e, k in zip(arrays, extra, kinds, strict=True)]
    if dtype != "bool" and row.name in ("power", "fmod"):
        arrays[1] = np.abs(arrays[1]) + (row.name == "fmod")
    found = ArrayOps(kinds[-1], expand=True).apply(row.name, *arrays)
    wanted = row.numpy(*arrays)
    assert found.dtype == wanted.dtype
    assert row.close(found, wanted).all()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "int8", "uint32", "bool"])
def test_result_has_the_announced_dtype(row, dtype):
    arrays = [np.ones(3, dtype)] * len(row.args)
    width = np.dtype(dtype).itemsize
    options = {} if row.kind != "cast" else {"dtype": f"int{8 * width}" if row.name == "bitcast" else "int16"}
    try:
        announced = ops.result_dtype(row.name, *(a.dtype for a in arrays), **options)
    except DTypeError as error:
        assert dtype in str(error)
        return
    assert row.numpy(*arrays, **options).dtype == announced


def test_dtype_rules_follow_numpy():
    assert ops.result_dtype("add", "float32", 1.0) == np.float32
    assert ops.result_dtype("add", "int8", 1) == np.int8
    assert ops.result_dtype("multiply", "int32", 0.5) == np.float64
    assert ops.result_dtype("add", "int32", "float32") == np.float64
    assert ops.result_dtype("divide", "int8", "int8") == np.float64
    assert ops.result_dtype("sin", "int8") == np.float64
    assert ops.result_dtype("where", "bool", "float32", 0.0) == np.float32
    assert ops.result_dtype("less", "float32", "int64") == np.bool_
    assert ops.operand_dtypes("less", "float32", "int64") == (np.float64, np.float64)
    assert ops.result_dtype("cast", "float64", dtype="int32") == np.int32


@pytest.mark.parametrize("bad", ["clongdouble", "O", "U3", "longdouble", "M8[s]"])
def test_unsupported_dtypes_are_refused(bad):
    with pytest.raises(DTypeError, match="floats, integers and bools"):
        ops.result_dtype("exp", bad)


def test_refusals_say_what_came():
    with pytest.raises(DTypeError, match="integers or bools, got float64, int64"):
        ops.result_dtype("bitwise_and", "float64", "int64")
    with pytest.raises(DTypeError, match="logical_not"):
        ops.result_dtype("negative", "bool")
    with pytest.raises(TypeError, match=r"atan2\(y, x\) takes 2 operands, got 1"):
        ops.result_dtype("atan2", "float64")


def test_latex_names_every_argument():
    for row in ROWS:
        text = row.tex(*(f"<{i}>" for i in range(len(row.args)))) if not row.infix or row.latex else ""
        assert all(f"<{i}>" in text for i in range(len(row.args))) or not text, row.name
    assert ops.ROWS["divide"].tex("a", "b") == r"\frac{a}{b}"
    assert ops.ROWS["log_sigmoid"].tex("a") == r"\operatorname{log\_sigmoid}\left(a\right)"
