"""`compile`: a program of expressions or a function, called on arrays.

A call is looked up by the kinds of its inputs (dtype, rank, axes of size 1, memory order); a new kind, or sizes under which an earlier
trace took another turn, is traced and compiled. What a call does in the common case is: a key, a dictionary, one native call.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..dsl import nest, size
from ..dsl.errors import DeviceError, DTypeError, PullbackError, ShapeError
from ..dsl.node import FUNCTIONS, Expr, rebuild, rewrite, toposort
from ..dsl.surface import size_value
from ..dsl.trace import Traced, expression_builder, trace, variables_of
from . import reference
from .execute_cpu import Call, Executable, build
from .inputs import Given, ready

_lock = threading.RLock()
_FAST = (np.ndarray, float, int, bool)


class Compiled:
    """A compiled program; see `compile`. Call it on arrays; its members show what it does."""

    def __init__(self, target: Any, device: str = "auto", args: Sequence[Any] | None = None, donate: Sequence[Any] = (), precision: str | None = None) -> None:
        if device not in ("auto", "cpu", "cuda"):
            raise DeviceError(f"device is 'cpu', 'cuda' or 'auto', not {device!r}")
        self.device, self.target, self.donate, self.precision = device, target, tuple(donate), precision
        self._entries: dict[Any, list[tuple[Traced, Any]]] = {}
        self._fast: dict[Any, tuple[Call, Any]] = {}
        self.log: list[dict[str, Any]] = []
        self.last: tuple[Traced, Any] | None = None
        self._function = target if callable(target) and not isinstance(target, Expr) else None
        if self._function is None:
            self.variables = variables_of(target)
            self._positional = self._order(args)
            self.__name__ = "program"
        else:
            self.signature = inspect.signature(target)
            self.__name__ = getattr(target, "__name__", "program")
            self.__doc__ = getattr(target, "__doc__", None)

    def _order(self, args: Sequence[Any] | None) -> list[str]:
        names = [v.attrs[0] for v in self.variables]
        wanted = [a if isinstance(a, str) else a.attrs[0] for a in args or ()]
        if args is not None and set(wanted) != set(names):
            raise TypeError(f"args lists {wanted}, but the program's variables are {names}")
        return wanted

    # calling ---------------------------------------------------------------------------------------------------
    def __call__(self, *args: Any, out: Any = None, **kwargs: Any) -> Any:
        if out is None and self.device != "cuda":
            key = _fast_key(args, kwargs)
            found = self._fast.get(key) if key is not None else None
            if found is not None:
                call, structure = found
                values = args if not kwargs else (*args, *kwargs.values())
                results = call.run([v if type(v) is np.ndarray else np.asarray(v) for v in values])
                return results[0] if structure is None else nest.unflatten(structure, results)
        return self._call(args, kwargs, out)

    def _call(self, args: tuple, kwargs: dict[str, Any], out: Any) -> Any:
        names, values, builder, static = self._bind(args, kwargs)
        if any(isinstance(v, Expr) for v in values):
            return builder([v if isinstance(v, Expr) else FUNCTIONS["asarray"](v) for v in values])
        if self._on_cuda(values):
            return self._call_cuda(names, values, builder, static, out)
        arrays, given = [], []
        for name, value in zip(names, values, strict=True):
            array, facts = ready(value, name)
            arrays.append(array)
            given.append(facts)
        traced, executable = self.entry("cpu", names, given, builder, static)
        call = executable.call_for([g.shape for g in given])
        structure = None if nest.same_structure(traced.structure, _LEAF) else traced.structure
        key = _fast_key(args, kwargs) if self._in_call_order(names, args, kwargs) and not any(g.copied or g.kind.order == "F" for g in given) else None
        if key is not None:
            self._fast[key] = (call, structure)
        results = call.run(arrays) if out is None else _written(call, arrays, out, traced)
        return nest.unflatten(traced.structure, results)

    def _in_call_order(self, names: list[str], args: tuple, kwargs: dict[str, Any]) -> bool:
        """Whether the inputs are the arguments as they come, so that a fast call needs no binding."""
        given = [*self._parameters()[: len(args)], *kwargs]
        return given == names

    def _parameters(self) -> list[str]:
        return list(self.signature.parameters) if self._function is not None else self._positional

    def _bind(self, args: tuple, kwargs: dict[str, Any]) -> tuple[list[str], list[Any], Callable[[list[Expr]], Any], Any]:
        """Names and values of the inputs, the function that builds the graph from expressions, and the static part of the key."""
        if self._function is None:
            return self._bind_variables(args, kwargs)
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self.__name__}{self.signature}: {error}") from None
        leaves, structure = nest.flatten((bound.args, bound.kwargs))
        names = _leaf_names(self.signature, bound)
        dynamic = [i for i, x in enumerate(leaves) if not _is_static(x)]
        fixed = {i: x for i, x in enumerate(leaves) if _is_static(x)}
        function = self._function

        def builder(typed: list[Expr]) -> Any:
            values: dict[int, Any] = {**fixed, **dict(zip(dynamic, typed, strict=True))}
            positional, named = nest.unflatten(structure, [values[i] for i in range(len(leaves))])
            return function(*positional, **named)

        return [names[i] for i in dynamic], [leaves[i] for i in dynamic], builder, (structure, tuple(fixed.items()))

    def _bind_variables(self, args: tuple, kwargs: dict[str, Any]) -> tuple[list[str], list[Any], Callable[[list[Expr]], Any], Any]:
        names = [v.attrs[0] for v in self.variables]
        if len(args) > len(self._positional):
            hint = f"; give compile(..., args={names}) an order to call by position" if not self._positional else ""
            raise TypeError(f"the program takes {len(self._positional)} arguments by position, got {len(args)}{hint}")
        values = dict(zip(self._positional, args, strict=False))
        for name, value in kwargs.items():
            if name not in names:
                raise TypeError(f"the program has no variable {name!r}: its variables are {', '.join(names) or 'none'}")
            if name in values:
                raise TypeError(f"the variable {name!r} is given twice")
            values[name] = value
        missing = [n for n in names if n not in values]
        if missing:
            raise TypeError(f"the program needs {', '.join(missing)}: call it as f({', '.join(f'{n}=...' for n in names)})")
        return names, [values[n] for n in names], expression_builder(self.target, self.variables), None

    # compiling -------------------------------------------------------------------------------------------------
    def entry(self, device: str, names: Sequence[str], given: Sequence[Given], builder: Callable[[list[Expr]], Any], static: Any) -> tuple[Traced, Any]:
        """The program for inputs of these kinds and sizes, traced and compiled if it is new."""
        kinds = tuple(g.kind for g in given)
        key = (device, kinds, static)
        shapes = [g.shape for g in given]
        for traced, executable in self._entries.get(key, ()):
            if _holds(traced, shapes):
                self.last = traced, executable
                return traced, executable
        with _lock:
            reason = self._new(key, given)
            traced = trace(builder, names, kinds, shapes)
            executable = build(traced) if device == "cpu" else _build_cuda(traced)
            self._entries.setdefault(key, []).append((traced, executable))
            self.log.append({"device": device, "reason": reason, "inputs": list(zip(names, given, strict=True)), "timing": executable.timing, "guards": traced.guards.facts})
            self.last = traced, executable
        return traced, executable

    def _new(self, key: tuple, given: Sequence[Given]) -> str:
        """Which part of the key was new."""
        if not self._entries:
            return "first call"
        if key in self._entries:
            return "sizes that answer a comparison differently"
        device, kinds, _ = key
        for other_device, other, _ in self._entries:
            if len(other) == len(kinds):
                for at, (a, b) in enumerate(zip(kinds, other, strict=True)):
                    for part in ("dtype", "ones", "order", "weak"):
                        if getattr(a, part) != getattr(b, part):
                            what = {"ones": "rank or axes of size 1", "order": "memory order", "weak": "Python number or array"}.get(part, part)
                            return f"input {at}: {what} {getattr(b, part)} became {getattr(a, part)}"
                if other_device != device:
                    return f"device {device}"
        return "structure of the arguments"

    # devices ---------------------------------------------------------------------------------------------------
    def _on_cuda(self, values: Sequence[Any]) -> bool:
        return self.device == "cuda" or self.device == "auto" and any(hasattr(v, "__cuda_array_interface__") for v in values)

    def _call_cuda(self, names: list[str], values: list[Any], builder: Callable[[list[Expr]], Any], static: Any, out: Any) -> Any:
        from .cuda import device_arrays, require_device

        require_device()
        arrays, given = device_arrays(names, values)
        traced, executable = self.entry("cuda", names, given, builder, static)
        results = executable.run(arrays, [g.shape for g in given])
        if out is not None:
            raise DeviceError("out= is not supported on CUDA: use the returned arrays")
        return nest.unflatten(traced.structure, results)

    # reading ---------------------------------------------------------------------------------------------------
    def lower(self, *args: Any, **kwargs: Any) -> Any:
        """The program for these arguments, to be read before it runs; see `Lowered`."""
        from .lowered import Lowered

        names, values, builder, static = self._bind(args, kwargs)
        given = [ready(v, n)[1] for n, v in zip(names, values, strict=True)]
        return Lowered(self, names, given, builder, static)

    def source(self, target: str | None = None) -> str:
        """The generated text of the last program called: 'cpu' (Python for Numba) or 'cuda' (CUDA C++)."""
        from .lowered import program_text

        return program_text(self._last_traced(), target or ("cpu" if self.device == "auto" else self.device))

    def explain(self) -> str:
        """A table of the kernels of the last program called: what each fuses, launches, bytes and flops."""
        from .report import explain

        traced, _ = self._last_entry()
        return explain(self._program(), traced)

    def explain_compile(self) -> str:
        """A table of the compilations so far: which part of the key was new, seconds, disk hit or miss, guards."""
        from .report import explain_compile

        return explain_compile(self.log)

    def benchmark(self, *args: Any, repeat: int = 7, **kwargs: Any) -> Any:
        """Compile, first and steady times of a call, GB/s and GFLOP/s."""
        from .report import benchmark

        return benchmark(self, args, kwargs, repeat)

    def _last_entry(self) -> tuple[Traced, Any]:
        if self.last is None:
            if self._function is None and all(v.shadow is not None for v in self.variables):
                self.lower_declared()
            else:
                raise PullbackError("nothing was compiled yet, so ranks and dtypes are not known: call the program once, or use f.lower(*args)")
        assert self.last is not None
        return self.last

    def lower_declared(self) -> None:
        """Trace a program whose variables all have declared shapes, on sizes that are read from the declarations."""
        shapes = [tuple(d if isinstance(d, int) else 2 + sum(map(ord, str(d))) % 5 for d in v.shadow.shape) for v in self.variables]  # type: ignore[union-attr]
        values = {v.attrs[0]: np.zeros(s, v.shadow.dtype) for v, s in zip(self.variables, shapes, strict=True)}  # type: ignore[union-attr]
        lowered = self.lower(**values)
        self.last = lowered.traced, None

    def _last_traced(self) -> Traced:
        return self._last_entry()[0]

    def _program(self) -> Any:
        from .lowered import program_of

        traced, executable = self._last_entry()
        return executable.program if isinstance(executable, Executable) else program_of(traced)

    def __repr__(self) -> str:
        return f"<compiled {self.__name__} for {self.device}, {len(self.log)} compilations>"


_LEAF = nest.flatten(0.0)[1]


def _fast_key(args: tuple, kwargs: dict[str, Any]) -> Any:
    """A key for plain arguments; None where there are nests."""
    key: list[Any] = list(kwargs)
    for value in (*args, *kwargs.values()) if kwargs else args:
        kind = type(value)
        if kind is np.ndarray:
            key.append((value.dtype, value.shape, value.strides))
        elif kind is float or kind is int or kind is bool:
            key.append(kind)
        else:
            return None
    return tuple(key)


def _holds(traced: Traced, shapes: Sequence[tuple[int, ...]]) -> bool:
    return not traced.guards.facts or traced.guards.hold(traced.sizes_of(shapes))


def _is_static(value: Any) -> bool:
    return isinstance(value, (str, bytes)) or callable(value) and not isinstance(value, Expr) and not hasattr(value, "__array__")


def _leaf_names(signature: inspect.Signature, bound: inspect.BoundArguments) -> list[str]:
    """How the user reaches each leaf, as a name: parameter, then keys."""
    names: list[str] = []
    positional = list(bound.args)
    parameters = list(bound.signature.parameters.values())
    for k, value in enumerate(positional):
        parameter = parameters[min(k, len(parameters) - 1)]
        root = parameter.name if parameter.kind is not parameter.VAR_POSITIONAL else f"{parameter.name}_{k}"
        names += nest.leaf_names(value, root)
    for name in sorted(bound.kwargs):
        names += nest.leaf_names(bound.kwargs[name], name)
    return [_readable(n) for n in names]


def _readable(path: str) -> str:
    """params['w'][0] as params_w_0."""
    text = "".join(c if c.isalnum() or c == "_" else "_" for c in path.replace("']", "").replace("['", "_").replace("]", "").replace("[", "_"))
    return text.strip("_") or "x"


def _written(call: Call, arrays: Sequence[np.ndarray], out: Any, traced: Traced) -> list[np.ndarray]:
    """Write the results into `out`: directly where that is safe, else by a copy."""
    targets, structure = nest.flatten(out)
    if not nest.same_structure(structure, traced.structure):
        raise ShapeError(f"out has the structure {structure}, the result is {traced.structure}")
    direct: list[np.ndarray | None] = []
    for target, (shape, dtype) in zip(targets, call.results, strict=True):
        if not isinstance(target, np.ndarray) or not target.flags.writeable:
            raise DTypeError("out holds writable NumPy arrays")
        if target.shape != shape or target.dtype != dtype:
            raise ShapeError(f"out has shape {target.shape} and dtype {target.dtype}, the result is {shape} of {dtype}")
        usable = target.flags.c_contiguous and target.flags.aligned and not any(np.may_share_memory(target, a) for a in arrays)
        direct.append(target if usable and not any(t is not target and np.may_share_memory(t, target) for t in targets) else None)
    results = call.run(arrays, direct)
    for target, result in zip(targets, results, strict=True):
        if result is not target:
            target[...] = result
    return targets


def _build_cuda(traced: Traced) -> Any:
    from .cuda import build as build_cuda

    return build_cuda(traced)


def compile(target: Any, device: str = "auto", args: Sequence[Any] | None = None, donate: Sequence[Any] = (), precision: str | None = None) -> Compiled:
    """Compile an expression, a nest of expressions or a Python function into fused kernels.

    `device`: 'cpu', 'cuda', or 'auto' (where the inputs live). Expressions are called by variable name, `f(w=W, x=X)`; `args` fixes
    a positional order. Functions keep their signature. Inputs are arrays, Python numbers or nests of them; results are new
    NumPy arrays (CuPy on CUDA) in the same nest. Raises TypeError for a wrong argument name, DTypeError, ShapeError, DeviceError.

    >>> import numpy as np, pullback as pb
    >>> f = pb.compile(pb.Var('w') @ pb.Var('x') + pb.Var('b'))
    >>> f(w=np.eye(2), x=np.array([1.0, 2.0]), b=0.5)
    array([1.5, 2.5])
    """
    if isinstance(target, Compiled):
        return target
    return Compiled(target, device, args, donate, precision)


def evaluate(expression: Expr, device: str = "cpu") -> Any:
    """The value of an expression without free variables; sizes in it are taken as they are now, behind guards."""
    if expression.dtype is None:
        names = [v.attrs[0] for v in variables_of(expression)]
        if names:
            raise PullbackError(f"the expression {expression} has free variables ({', '.join(names)}): compile it and call it, for example pb.compile(expr)({names[0]}=...)")
    known = rewrite([expression], lambda node, args: size_value(size.fix(node.attrs[0]), node.dtype) if node.op == "size" else rebuild(node, args))[0]
    if device == "cpu" and all(not node.shape for node in toposort([known])):
        result = reference.evaluate([known], {}, {})[0]                 # a handful of scalars is not worth a compilation
    else:
        result = Compiled(lambda: known, device)()
    return result if result.ndim else result[()]


FUNCTIONS["_evaluate"] = evaluate
FUNCTIONS["_compile"] = compile
