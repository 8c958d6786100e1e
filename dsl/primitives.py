"""Typed constructors of the structural operations, with the simplifications that are always exact.

    const size iota var            leaves
    <row of ops.py> cast           elementwise; arguments have the result's shape (`scalar` broadcasts and casts)
    broadcast  (dims, shape)       input axis i is output axis dims[i]; other output axes repeat
    reshape transpose              row-major renumbering; axis permutation
    slice      ((start, step),..)  out[i] = x[start + step*i]
    place      ((start, step),..)  out[start + step*i] = x[i], elsewhere the second argument; the transpose of slice
    update     op, ((start, step),..)  x with v folded in at start + step*i by op (see scatter); steps are positive
    concat     axis
    gather     axes                out[s, r] = x[idx_0[s], ..; r]: index arrays of one shape s for `axes`, then axes r
    scatter    op, axes            x with updates[s, r] folded in at [idx[s]; r]; op in set add multiply minimum maximum
    reduce     op, axes            op in add multiply minimum maximum logical_and logical_or
    contract   a, b -> out labels  sum over the labels that are not in out
    recurrence axis, reverse       s[k] = a[k]*s[k-1] + b[k], s[-1] = 0
    real imag conj complex         parts of a complex array, and a complex array of two parts
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import ops, size
from .errors import DTypeError, ShapeError
from .node import Expr, Shape, make
from .size import Dim, Size, same, same_shape
from .surface import as_expr, constant, is_weak, mark_weak, size_value

PyScalar = (bool, int, float, complex)
# Rows on complex numbers that are written in others: name -> function of the arguments (dsl/complex_numbers.py).
COMPOSITES: dict[str, Callable[..., Expr]] = {}


# ---- elementwise ------------------------------------------------------------------------------------------------
def scalar(name: str, *args: Any) -> Expr:
    """Row `name` of typed expressions, sizes and Python scalars: promoted (NEP 50), cast and broadcast to one shape."""
    shape = broadcast_shapes(*[a.shape for a in args if isinstance(a, Expr)])
    result = elementwise(name, *[broadcast_to(a, shape) for a in promoted(name, args)])
    if not shape and all(is_weak(a) for a in args):
        mark_weak(result)
    return result


def elementwise(name: str, *args: Expr) -> Expr:
    """Row `name` of arguments that have its dtypes and one shape already."""
    if name in COMPOSITES and args[-1].dtype.kind == "c":
        return COMPOSITES[name](*args)
    dtype = ops.result_dtype(name, *[a.dtype for a in args])
    return make(name, args, (), dtype, args[0].shape)


def promoted(name: str, args: tuple[Any, ...]) -> list[Expr]:
    """`args` cast to the dtypes that row `name` computes in; Python numbers and sizes never widen an array."""
    operands = [a if isinstance(a, (Expr, Size, *PyScalar)) else as_expr(a) for a in args]
    if not any(isinstance(a, Expr) for a in operands):
        operands = [as_expr(a) for a in operands]
    if ops.ROWS[name].kind == "compare":
        operands = [as_expr(a) if isinstance(a, int) and not _fits(a, operands) else a for a in operands]
    weak = [is_weak(a) for a in operands]
    kinds = [_stand_in(a) if w and not all(weak) else _dtype_or_number(a) for a, w in zip(operands, weak, strict=True)]
    dtypes = ops.operand_dtypes(name, *kinds)
    return [cast(a, d) if isinstance(a, Expr) else _weak(a, d) for a, d in zip(operands, dtypes, strict=True)]


def _dtype_or_number(operand: Any) -> Any:
    return operand.dtype if isinstance(operand, Expr) else 1 if isinstance(operand, Size) else operand


def _stand_in(operand: Any) -> Any:
    """A Python number of the kind of a weak operand."""
    if not isinstance(operand, Expr):
        return _dtype_or_number(operand)
    return {"b": True, "f": 1.0, "c": 1j}.get(operand.dtype.kind, 1)


def _fits(value: int, operands: list[Any]) -> bool:
    """Whether the Python integer fits the integer arrays that it is compared with."""
    kinds = [a.dtype for a in operands if isinstance(a, Expr) and a.dtype.kind in "iu"]
    return all(np.iinfo(d).min <= value <= np.iinfo(d).max for d in kinds)


def _weak(value: Any, dtype: np.dtype) -> Expr:
    if isinstance(value, Size):
        return size_value(value, dtype)
    if dtype.kind in "iu" and not np.iinfo(dtype).min <= value <= np.iinfo(dtype).max:
        raise DTypeError(f"the Python integer {value} does not fit {dtype}: "
                         "convert the array first with .astype('int64')")
    with np.errstate(over="ignore"):
        return constant(np.asarray(value).astype(dtype))


def cast(x: Expr, dtype: Any) -> Expr:
    """`x` as `dtype` (NumPy's astype); complex numbers to complex and bool (not zero) only."""
    dtype = np.dtype(dtype)
    if x.dtype == dtype:
        return x
    if x.dtype.kind == "c" and dtype.kind == "b":
        return scalar("not_equal", x, 0)
    if x.dtype.kind == "c" and dtype.kind != "c":
        raise DTypeError(f"{x.dtype} converted to {dtype} would lose the imaginary part: "
                         "take pb.real(z), pb.imag(z) or abs(z)")
    if x.op == "const" and not x.shape:
        with np.errstate(all="ignore"):
            return constant(x.attrs[0].array.astype(dtype))
    if x.op == "broadcast":
        return broadcast(cast(x.args[0], dtype), *x.attrs)
    return make("cast", (x,), (dtype.str,), dtype, x.shape)


# ---- complex numbers --------------------------------------------------------------------------------------------
def part_dtype(dtype: np.dtype) -> np.dtype:
    """The dtype of the parts of complex numbers of `dtype`."""
    return np.dtype(f"f{dtype.itemsize // 2}") if dtype.kind == "c" else dtype


def real(x: Expr) -> Expr:
    """The real part."""
    return _part(x, "real") if x.dtype.kind == "c" else x


def imag(x: Expr) -> Expr:
    """The imaginary part; of a real array zeros."""
    return _part(x, "imag") if x.dtype.kind == "c" else zeros_like(x)


def _part(x: Expr, name: str) -> Expr:
    dtype = part_dtype(x.dtype)
    if x.op == "complex":
        return x.args[name == "imag"]
    if x.op == "const" and not x.shape:
        return constant(getattr(x.attrs[0].array, name))
    if x.op == "broadcast":
        return broadcast(_part(x.args[0], name), *x.attrs)
    if x.op == "cast" and x.args[0].dtype.kind != "c":
        return cast(x.args[0], dtype) if name == "real" else full(x.shape, 0, dtype)
    return make(name, (x,), (), dtype, x.shape)


def conj(x: Expr) -> Expr:
    """The complex conjugate; of a real array itself."""
    if x.dtype.kind != "c":
        return x
    if x.op == "conj":
        return x.args[0]
    if x.op == "const" and not x.shape:
        return constant(np.conj(x.attrs[0].array))
    if x.op == "broadcast":
        return broadcast(conj(x.args[0]), *x.attrs)
    return make("conj", (x,), (), x.dtype, x.shape)


def complex_(re: Expr, im: Expr) -> Expr:
    """The complex array of two real ones of one dtype and shape."""
    if re.op == "real" and im.op == "imag" and re.args[0] is im.args[0]:
        return re.args[0]
    return make("complex", (re, im), (), np.result_type(re.dtype, np.complex64), re.shape)


# ---- broadcasting -----------------------------------------------------------------------------------------------
def broadcast_shapes(*shapes: Shape) -> Shape:
    """NumPy's broadcast of `shapes`; sizes that must be equal are guarded."""
    rank = max(map(len, shapes), default=0)
    result: list[Dim] = []
    for axis in range(rank):
        dims = [s[axis - rank + len(s)] for s in shapes if axis - rank + len(s) >= 0]
        kept: Dim = 1
        for dim in dims:
            if _is_one(dim):
                continue
            if _is_one(kept) or same(kept, dim):
                kept = dim
            elif size.equal(kept, dim):
                kept = kept if isinstance(kept, int) else dim
            elif isinstance(dim, Size) and size.equal(dim, 1):
                continue
            elif isinstance(kept, Size) and size.equal(kept, 1):
                kept = dim
            else:
                raise ShapeError(f"shapes {' and '.join(map(show_shape, shapes))} do not broadcast: "
                                 f"axis {axis - rank} has {size.show(kept)} and {size.show(dim)}; "
                                 "insert axes with x[:, None] where a size should repeat")
        result.append(kept)
    return tuple(result)


def broadcast_to(x: Expr, shape: Shape) -> Expr:
    """`x` repeated to `shape` by NumPy's rule."""
    if same_shape(x.shape, shape):
        return x
    offset = len(shape) - len(x.shape)
    kept = [i for i, dim in enumerate(x.shape) if not repeats(dim, shape[offset + i])]
    squeezed = reshape(x, tuple(x.shape[i] for i in kept)) if len(kept) < len(x.shape) else x
    return broadcast(squeezed, tuple(offset + i for i in kept), shape)


def repeats(dim: Dim, target: Dim) -> bool:
    """Whether an axis of size `dim` repeats to become one of size `target`."""
    if same(dim, target):
        return False
    if isinstance(dim, int):
        return dim == 1
    return not size.equal(dim, target) and size.equal(dim, 1)


def broadcast(x: Expr, dims: tuple[int, ...], shape: Shape) -> Expr:
    if len(dims) == len(shape):
        return x
    if x.op == "broadcast":
        inner, _ = x.attrs
        return broadcast(x.args[0], tuple(dims[i] for i in inner), shape)
    return make("broadcast", (x,), (tuple(dims), tuple(shape)), x.dtype, tuple(shape))


def full(shape: Shape, value: Any, dtype: Any) -> Expr:
    return broadcast(constant(np.asarray(value, np.dtype(dtype))), (), tuple(shape))


def zeros_like(x: Expr) -> Expr:
    return full(x.shape, 0, x.dtype)


# ---- renumbering ------------------------------------------------------------------------------------------------
def reshape(x: Expr, shape: Shape) -> Expr:
    """Row-major renumbering; the number of elements must agree."""
    shape = tuple(shape)
    if same_shape(x.shape, shape):
        return x
    if not size.equal(size.product(x.shape), size.product(shape)):
        raise ShapeError(f"cannot reshape {show_shape(x.shape)} into {show_shape(shape)}: "
                         f"{size.show(size.product(x.shape))} elements against {size.show(size.product(shape))}")
    if x.op == "reshape":
        return reshape(x.args[0], shape)
    if x.op == "broadcast" and not x.args[0].shape:
        return broadcast(x.args[0], (), shape)
    return make("reshape", (x,), (shape,), x.dtype, shape)


def transpose(x: Expr, perm: tuple[int, ...]) -> Expr:
    """Output axis i is input axis perm[i]."""
    if perm == tuple(range(len(perm))):
        return x
    if x.op == "transpose":
        return transpose(x.args[0], tuple(x.attrs[0][p] for p in perm))
    shape = tuple(x.shape[p] for p in perm)
    if x.op == "broadcast":
        places = [perm.index(d) for d in x.attrs[0]]
        if places == sorted(places):
            return broadcast(x.args[0], tuple(places), shape)
    return make("transpose", (x,), (perm,), x.dtype, shape)


def slice_(x: Expr, ranges: tuple[tuple[Dim, int], ...], shape: Shape) -> Expr:
    """out[i] = x[start + step*i] on every axis, with `ranges` = ((start, step), ...) and the result's `shape`."""
    if all(same(s, 0) and k == 1 for s, k in ranges) and same_shape(x.shape, shape):
        return x
    if x.op == "slice":
        inner = x.attrs[0]
        merged = tuple((s1 + k1 * s2, k1 * k2) for (s1, k1), (s2, k2) in zip(inner, ranges, strict=True))
        return slice_(x.args[0], merged, shape)
    if x.op == "broadcast":
        dims = x.attrs[0]
        part = slice_(x.args[0], tuple(ranges[d] for d in dims), tuple(shape[d] for d in dims))
        return broadcast(part, dims, shape)
    return make("slice", (x,), (tuple(ranges), tuple(shape)), x.dtype, tuple(shape))


def place(x: Expr, ranges: tuple[tuple[Dim, int], ...], shape: Shape, fill: Any = 0) -> Expr:
    """out[start + step*i] = x[i] on every axis, elsewhere `fill` (0-d)."""
    if all(same(s, 0) and k == 1 for s, k in ranges) and same_shape(x.shape, shape):
        return x
    fill = fill if isinstance(fill, Expr) else constant(np.asarray(fill, x.dtype))
    return make("place", (x, fill), (tuple(ranges), tuple(shape)), x.dtype, tuple(shape))


def update(x: Expr, v: Expr, ranges: tuple[tuple[Dim, int], ...], op: str) -> Expr:
    """`x` with `v`, of its dtype and the region's shape, folded in at start + step*i on axes; steps are positive."""
    check_fold(op, x.dtype)
    return make("update", (x, v), (op, tuple(ranges)), x.dtype, x.shape)


def concat(parts: list[Expr], axis: int) -> Expr:
    """`parts` of one dtype, one after another along `axis`; the other axes agree."""
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    for part in parts[1:]:
        others = (i for i in range(len(first.shape)) if i != axis)
        if len(part.shape) != len(first.shape) or not all(size.equal(part.shape[i], first.shape[i]) for i in others):
            raise ShapeError(f"cannot concatenate {show_shape(first.shape)} and {show_shape(part.shape)} "
                             f"along axis {axis}: the other axes must agree")
    total: Dim = 0
    for part in parts:
        total = total + part.shape[axis]
    shape = tuple(total if i == axis else d for i, d in enumerate(first.shape))
    return make("concat", parts, (axis,), first.dtype, shape)


def iota(shape: Shape, axis: int, dtype: Any = np.int64) -> Expr:
    """The index along `axis`."""
    one = make("iota", (), (shape[axis],), np.dtype(dtype), (shape[axis],))
    return broadcast(one, (axis,), tuple(shape))


# ---- indexing by arrays -----------------------------------------------------------------------------------------
def gather(x: Expr, indices: list[Expr], axes: tuple[int, ...]) -> Expr:
    """out[s, r] = x[idx[s]; r]; indices are int64 arrays of one shape, in range (checked when run)."""
    rest = tuple(d for i, d in enumerate(x.shape) if i not in axes)
    return make("gather", (x, *indices), (tuple(axes),), x.dtype, (*indices[0].shape, *rest))


def scatter(x: Expr, indices: list[Expr], updates: Expr, axes: tuple[int, ...], op: str) -> Expr:
    """`x` with `updates` of shape s + r folded in at [idx[s]; r] in order; duplicates of `set`: the last wins."""
    check_fold(op, x.dtype)
    if op == "multiply" and x.dtype.kind == "c":
        raise DTypeError("complex elements at index arrays can be set and added, not multiplied: "
                         "write x.at[index].set(x[index] * v) where no index occurs twice")
    return make("scatter", (x, *indices, updates), (op, tuple(axes)), x.dtype, x.shape)


# ---- folding ----------------------------------------------------------------------------------------------------
def reduce(x: Expr, op: str, axes: tuple[int, ...]) -> Expr:
    """Fold `axes` away by the binary row `op`."""
    axes = tuple(sorted(axes))
    if not axes:
        return x
    check_fold(op, x.dtype)
    shape = tuple(d for i, d in enumerate(x.shape) if i not in axes)
    if op in ("minimum", "maximum") and any(isinstance(x.shape[a], int) and x.shape[a] == 0 for a in axes):
        raise ShapeError(f"{op} over zero elements has no value (shape {show_shape(x.shape)}, axes {axes}): "
                         "give a nonempty array")
    ones = [a for a in axes if _is_one(x.shape[a])]
    if ones:
        kept = tuple(d for i, d in enumerate(x.shape) if i not in ones)
        moved = tuple(a - sum(o < a for o in ones) for a in axes if a not in ones)
        return reduce(reshape(x, kept), op, moved)
    if x.op == "reduce" and x.attrs[0] == op:
        outer = [i for i in range(len(x.args[0].shape)) if i not in x.attrs[1]]
        return reduce(x.args[0], op, (*x.attrs[1], *[outer[a] for a in axes]))
    return make("reduce", (x,), (op, axes), x.dtype, shape)


def check_fold(op: str, dtype: np.dtype) -> None:
    """DTypeError where row `op` does not take complex numbers."""
    if dtype.kind == "c" and op != "set":
        ops.operand_dtypes(op, dtype, dtype)


def contract(a: Expr, b: Expr, labels_a: str, labels_b: str, labels_out: str) -> Expr:
    """sum over labels not in `labels_out` of a[labels_a] * b[labels_b]; each label occurs once per operand."""
    dims: dict[str, Dim] = {}
    for operand, labels in ((a, labels_a), (b, labels_b)):
        for label, dim in zip(labels, operand.shape, strict=True):
            if label in dims and not size.equal(dims[label], dim):
                raise ShapeError(f"cannot contract {show_shape(a.shape)} with {show_shape(b.shape)}: "
                                 f"{size.show(dims[label])} against {size.show(dim)} elements")
            known = dims.get(label, dim)
            dims[label] = known if isinstance(known, int) else dim
    shape = tuple(dims[label] for label in labels_out)
    return make("contract", (a, b), (labels_a, labels_b, labels_out), a.dtype, shape)


def untransposed(x: Expr, labels: str) -> tuple[Expr, str]:
    """What is transposed, with the labels of its axes: in a contraction a transpose is only an order of labels."""
    while x.op == "transpose":
        perm = x.attrs[0]
        labels = "".join(labels[perm.index(i)] for i in range(len(perm)))
        x = x.args[0]
    return x, labels


def recurrence(a: Expr, b: Expr, axis: int, reverse: bool = False) -> Expr:
    """s[k] = a[k]*s[k-1] + b[k] along `axis` with s[-1] = 0; `reverse` runs from the end."""
    return make("recurrence", (a, b), (axis, reverse), b.dtype, b.shape)


def identity_of(op: str, dtype: np.dtype) -> Any:
    """The value that leaves a fold by `op` unchanged (for minimum and maximum: that never wins)."""
    if op in ("minimum", "maximum"):
        if dtype.kind == "b":
            return op == "minimum"
        top = np.inf if dtype.kind == "f" else np.iinfo(dtype).max
        bottom = -np.inf if dtype.kind == "f" else np.iinfo(dtype).min
        return top if op == "minimum" else bottom
    return {"add": 0, "multiply": 1, "logical_and": True, "logical_or": False}[op]


def show_shape(shape: Shape) -> str:
    """`shape` for an error text: with its values where a call gives them."""
    return "(" + ", ".join(map(size.show, shape)) + ("," if len(shape) == 1 else "") + ")"


def _is_one(dim: Dim) -> bool:
    return isinstance(dim, int) and dim == 1
