"""The one node of a program: immutable, interned, typed when it can be.

`make` is the only constructor; equal nodes are the same object, so identity is equality. Nodes are walked without
recursion, so depth is no limit. An untyped node (`dtype is None`) keeps what the user wrote until `specialize` gives it
the arrays of a call.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import PullbackError
from .lines import note_line, speaking
from .size import Dim, Size

Shape = tuple  # of Dim
_table: weakref.WeakValueDictionary[tuple, Expr] = weakref.WeakValueDictionary()
_lock = threading.RLock()
if hasattr(os, "register_at_fork"):     # no thread of a child would ever release it
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)

# name -> function over expressions; filled by the modules that define the public functions.
FUNCTIONS: dict[str, Callable[..., Any]] = {}


class Expr:
    """A value in a program: `op` applied to `args` with static `attrs`; `dtype` and `shape` are None while unknown."""

    __slots__ = ("__weakref__", "args", "attrs", "dtype", "lines", "op", "shadow", "shape")
    op: str
    args: tuple[Expr, ...]
    attrs: tuple
    dtype: Any
    shape: Any
    lines: tuple[str, ...]
    shadow: Expr | None
    __array_priority__ = 1000
    __hash__ = object.__hash__

    if TYPE_CHECKING:      # dsl/operators.py gives these to the class
        T: Expr
        mT: Expr
        real: Expr
        imag: Expr
        at: Any

        def __add__(self, other: Any) -> Expr: ...
        def __radd__(self, other: Any) -> Expr: ...
        def __sub__(self, other: Any) -> Expr: ...
        def __rsub__(self, other: Any) -> Expr: ...
        def __mul__(self, other: Any) -> Expr: ...
        def __rmul__(self, other: Any) -> Expr: ...
        def __truediv__(self, other: Any) -> Expr: ...
        def __rtruediv__(self, other: Any) -> Expr: ...
        def __floordiv__(self, other: Any) -> Expr: ...
        def __rfloordiv__(self, other: Any) -> Expr: ...
        def __mod__(self, other: Any) -> Expr: ...
        def __rmod__(self, other: Any) -> Expr: ...
        def __divmod__(self, other: Any) -> tuple[Expr, Expr]: ...
        def __pow__(self, other: Any) -> Expr: ...
        def __rpow__(self, other: Any) -> Expr: ...
        def __matmul__(self, other: Any) -> Expr: ...
        def __rmatmul__(self, other: Any) -> Expr: ...
        def __and__(self, other: Any) -> Expr: ...
        def __rand__(self, other: Any) -> Expr: ...
        def __or__(self, other: Any) -> Expr: ...
        def __ror__(self, other: Any) -> Expr: ...
        def __xor__(self, other: Any) -> Expr: ...
        def __rxor__(self, other: Any) -> Expr: ...
        def __lshift__(self, other: Any) -> Expr: ...
        def __rshift__(self, other: Any) -> Expr: ...
        def __eq__(self, other: Any) -> Expr: ...  # type: ignore[override]
        def __ne__(self, other: Any) -> Expr: ...  # type: ignore[override]
        def __lt__(self, other: Any) -> Expr: ...
        def __le__(self, other: Any) -> Expr: ...
        def __gt__(self, other: Any) -> Expr: ...
        def __ge__(self, other: Any) -> Expr: ...
        def __neg__(self) -> Expr: ...
        def __pos__(self) -> Expr: ...
        def __abs__(self) -> Expr: ...
        def __invert__(self) -> Expr: ...
        def __getitem__(self, index: Any) -> Expr: ...
        sum: Callable[..., Expr]
        prod: Callable[..., Expr]
        mean: Callable[..., Expr]
        var: Callable[..., Expr]
        std: Callable[..., Expr]
        min: Callable[..., Expr]
        max: Callable[..., Expr]
        ptp: Callable[..., Expr]
        any: Callable[..., Expr]
        all: Callable[..., Expr]
        argmin: Callable[..., Expr]
        argmax: Callable[..., Expr]
        cumsum: Callable[..., Expr]
        cumprod: Callable[..., Expr]
        dot: Callable[..., Expr]
        astype: Callable[..., Expr]
        ravel: Callable[..., Expr]
        flatten: Callable[..., Expr]
        reshape: Callable[..., Expr]
        transpose: Callable[..., Expr]
        squeeze: Callable[..., Expr]
        swapaxes: Callable[..., Expr]
        repeat: Callable[..., Expr]
        take: Callable[..., Expr]
        clip: Callable[..., Expr]
        round: Callable[..., Expr]
        conj: Callable[..., Expr]
        copy: Callable[..., Expr]
        trace: Callable[..., Expr]
        diagonal: Callable[..., Expr]
        item: Callable[..., Any]
        tolist: Callable[..., Any]
        eval: Callable[..., Any]

    @property
    def typed(self) -> bool:
        return self.dtype is not None

    @property
    def ndim(self) -> int:
        return len(self._known("ndim"))

    @property
    def size(self) -> Dim:
        total: Dim = 1
        for dim in self._known("size"):
            total = total * dim
        return total

    def _known(self, what: str) -> tuple:
        if self.shape is None:
            raise _untyped(self, f".{what}")
        return self.shape

    def __repr__(self) -> str:
        return FUNCTIONS["_text"](self)

    def _repr_latex_(self) -> str:
        return FUNCTIONS["_latex"](self)

    def __bool__(self) -> bool:
        if not any(n.op in ("var", "bound") for n in toposort([self])):
            return bool(FUNCTIONS["_evaluate"](self))      # of numbers and sizes only
        raise PullbackError(f"the truth of the expression {self} is not known before it is computed{where(self)}: "
                            "write pb.where(condition, a, b) to choose elementwise or pb.cond for a branch, "
                            "`&`, `|`, `~` instead of and, or, not")

    def __float__(self) -> float:
        return float(FUNCTIONS["_evaluate"](self))

    def __int__(self) -> int:
        return int(FUNCTIONS["_evaluate"](self))

    def __complex__(self) -> complex:
        return complex(FUNCTIONS["_evaluate"](self))

    def __index__(self) -> int:
        if self.op == "const" and self.dtype.kind in "iu":
            return int(self.attrs[0].array)
        raise PullbackError(f"the expression {self} is no Python integer{where(self)}: "
                            "a size comes from x.shape, a traced index from x[i] itself, of a NumPy array from "
                            "pb.asarray(x)[i]")

    def __iter__(self) -> Any:
        if self.shape is None or not self.shape:
            raise PullbackError(f"the length of the expression {self} is not known{where(self)}: "
                                "write x[i], or declare its shape with pb.Var(name, shape)")
        return (self[i] for i in range(self.shape[0]))

    def __len__(self) -> int:
        shape = self._known("__len__")
        if not shape:
            raise TypeError("len() of a 0-d expression")
        return int(shape[0])

    def __setitem__(self, index: Any, value: Any) -> None:
        raise PullbackError(f"expressions are immutable{where(self)}: "
                            "write x = x.at[index].set(value) instead of x[index] = value")

    def __copy__(self) -> Expr:
        return self

    def __deepcopy__(self, memo: Any) -> Expr:
        return self

    def __reduce__(self) -> tuple:
        """Pickled as a list of nodes, so that depth is no limit; equal nodes are one again where it is loaded."""
        nodes = toposort([self])
        nodes = toposort([*(n.shadow for n in nodes if n.shadow is not None), self])
        number = {n: i for i, n in enumerate(nodes)}
        return _restored, ([(n.op, [number[a] for a in n.args], n.attrs, None if n.dtype is None else n.dtype.str,
                             None if n.dtype is None else n.shape, None if n.shadow is None else number[n.shadow])
                            for n in nodes],)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.asarray(FUNCTIONS["_evaluate"](self), dtype=dtype)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return FUNCTIONS["_array_ufunc"](ufunc, method, inputs, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return FUNCTIONS["_array_function"](function, args, kwargs)


class Constant:
    """A captured array: an own read-only copy, equal to another when dtype, shape and bits are."""

    __slots__ = ("_hash", "array", "key")

    def __init__(self, array: np.ndarray) -> None:
        array = np.array(array, order="C", copy=True)
        array.flags.writeable = False
        self.array = array
        self.key = (array.dtype.str, array.shape, array.tobytes())
        self._hash = hash(self.key)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Constant) and self.key == other.key

    def __reduce__(self) -> tuple:      # hashes of strings differ between processes
        return Constant, (self.array,)

    def __repr__(self) -> str:
        return f"array{self.array.shape}" if self.array.ndim else repr(self.array.item())


def make(op: str, args: Iterable[Expr] = (), attrs: tuple = (), dtype: Any = None, shape: Shape | None = None,
         shadow: Expr | None = None) -> Expr:
    """The node `op(args; attrs)`: a new one, or the one that exists."""
    args = tuple(args)
    dtype = None if dtype is None else np.dtype(dtype)
    key = (op, tuple(map(id, args)), frozen(attrs), None if dtype is None else dtype.str, frozen(shape), id(shadow))
    with _lock:
        found = _table.get(key)
        if found is None:
            found = object.__new__(Expr)
            found.op, found.args, found.attrs, found.dtype, found.shadow = op, args, attrs, dtype, shadow
            found.shape = shape if shape is not None else getattr(shadow, "shape", None)    # known where declared
            found.lines = ()
            _table[key] = found
    note_line(found)
    return found


def _restored(nodes: list[tuple]) -> Expr:
    done: list[Expr] = []
    for op, args, attrs, dtype, shape, shadow in nodes:
        done.append(make(op, [done[i] for i in args], attrs, dtype, shape, None if shadow is None else done[shadow]))
    return done[-1]


def frozen(value: Any) -> Any:
    """A key that tells 1, 1.0 and True, 0.0 and -0.0 apart, equates NaN with itself and compares sizes by form."""
    if isinstance(value, Size):
        return ("size", value.terms)
    if isinstance(value, tuple):
        return tuple(map(frozen, value))
    if isinstance(value, float):
        return ("float", value.hex() if value == value else "nan")
    if isinstance(value, (bool, int)):
        return (type(value).__name__, value)
    if isinstance(value, slice):
        return ("slice", frozen(value.start), frozen(value.stop), frozen(value.step))
    return value


def toposort(roots: Iterable[Expr]) -> list[Expr]:
    """Every node under `roots`, arguments before users, each once."""
    order: list[Expr] = []
    seen: set[Expr] = set()
    stack: list[tuple[Expr, bool]] = [(r, False) for r in reversed(list(roots))]
    while stack:
        node, ready = stack.pop()
        if ready:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((a, False) for a in reversed(node.args) if a not in seen)
    return order


def rewrite(roots: Iterable[Expr], rule: Callable[[Expr, tuple[Expr, ...]], Expr],
            known: Mapping[Expr, Expr] | None = None) -> list[Expr]:
    """`roots` rebuilt from the leaves up: `rule(node, new_args)` gives the replacement of each node not in `known`."""
    roots = list(roots)
    done: dict[Expr, Expr] = dict(known or {})
    stack = list(reversed(roots))
    while stack:
        node = stack[-1]
        if node in done:
            stack.pop()
            continue
        missing = [a for a in node.args if a not in done]
        if missing:
            stack.extend(reversed(missing))
            continue
        stack.pop()
        with speaking(node):
            done[node] = rule(node, tuple(done[a] for a in node.args))
    return [done[r] for r in roots]


def rebuild(node: Expr, args: tuple[Expr, ...]) -> Expr:
    """`node` with other arguments of the same types."""
    if all(a is b for a, b in zip(args, node.args, strict=True)):
        return node
    return make(node.op, args, node.attrs, node.dtype, node.shape, node.shadow)


def where(node: Expr) -> str:
    """' (file:line)' of what the user wrote, for error texts."""
    return f" ({node.lines[0]})" if node.lines else ""


def _untyped(node: Expr, what: str) -> PullbackError:
    names = sorted({n.attrs[0] for n in toposort([node]) if n.op == "var"})
    return PullbackError(f"{what} of the expression {node} is not known before the call{where(node)}: "
                         f"declare it, for example pb.Var({names[0] if names else 'x'!r}, shape=('n', 3)), "
                         "or write a function")
