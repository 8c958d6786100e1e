"""`compile`: a program of expressions or a function, called on arrays.

A call is looked up by the kinds of its inputs (dtype, rank, axes of size 1, memory order); a new kind, or sizes under
which an earlier trace took another turn, is traced and compiled. What a call does in the common case is: a key, a
dictionary, one native call.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..dsl import nest, size
from ..dsl.errors import DeviceError, PullbackError
from ..dsl.node import FUNCTIONS, Expr, rebuild, rewrite, toposort, where
from ..dsl.stable import stabilised
from ..dsl.surface import as_expr, size_value
from ..dsl.trace import Kind, Traced, trace, variables_of
from . import reference, sparse
from .binding import Binding, bind_function, bind_variables, fast_key, signature_of
from .donation import Donation, arguments_of
from .execute_cpu import Call, Executable, build
from .inputs import PRECISIONS, Given, in_precision, on_device, ready, stand_in
from .out import written

_lock = threading.RLock()
if hasattr(os, "register_at_fork"):     # no thread of a child would ever release it
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)
_MOST_FAST = 1024
_LEAF = nest.flatten(0.0)[1]


class Compiled:
    """A compiled program; see `compile`. Call it on arrays; its members show what it does."""

    def __init__(self, target: Any, device: str = "auto", args: Sequence[Any] | None = None,
                 donate: Sequence[Any] = (), precision: str | None = None, stable: bool = True) -> None:
        if device not in ("auto", "cpu", "cuda"):
            raise DeviceError(f"device is 'cpu', 'cuda' or 'auto', not {device!r}")
        self.device, self.donate, self.precision, self._args = device, tuple(donate), precision, args
        self.stable = bool(stable)
        self._entries: dict[Any, list[tuple[Traced, Any]]] = {}
        self._fast: dict[Any, tuple[Call, Any]] = {}
        self.log: list[dict[str, Any]] = []
        self.last: tuple[Traced, Any] | None = None
        self.copies: dict[str, str] = {}               # input -> why it was copied before a call
        self._function: Any = target if callable(target) and not isinstance(target, Expr) else None
        self.variables: list[Expr] = []
        if self._function is None:
            self.target = nest.map_leaves(_result, target)     # arrays as they are now
            self.variables = variables_of(target)
            self._positional = self._order(args)
            self.__name__ = "program"
        else:
            self.target = target
            self.signature = self.__signature__ = signature_of(self._function)
            self._positional = list(self.signature.parameters)
            self.__name__ = getattr(target, "__name__", "program")
            self.__doc__ = getattr(target, "__doc__", None)
        if precision not in PRECISIONS:
            raise PullbackError(f"precision is {', '.join(map(repr, PRECISIONS))}, not {precision!r}: matrix products "
                                "are always computed in full, in the dtype of their operands")
        self._donation = Donation(donate, self._positional or [v.attrs[0] for v in self.variables]) if donate else None
        self._is_plain = device != "cuda" and not donate and precision is None

    def _order(self, args: Sequence[Any] | None) -> list[str]:
        names = [v.attrs[0] for v in self.variables]
        wanted: list[Any] = [a.attrs[0] if isinstance(a, Expr) and a.op == "var" else a for a in args or ()]
        if args is not None and sorted(map(str, wanted)) != sorted(names):
            raise TypeError(f"args lists {wanted}, but the program's variables are {names}: name each of them once")
        return wanted

    # calling ---------------------------------------------------------------------------------------------------
    def __call__(self, /, *args: Any, out: Any = None, **kwargs: Any) -> Any:
        if out is None and self._is_plain:
            plain = fast_key(args, kwargs)
            found = self._fast.get(plain[0]) if plain is not None else None
            if plain is not None and found is not None:
                call, structure = found
                results = call.run([v if type(v) is np.ndarray else np.asarray(v) for v in plain[1]])
                return results[0] if structure is None else nest.unflatten(structure, results)
        elif out is not None and "out" in [*self._positional, *(v.attrs[0] for v in self.variables)]:
            kwargs["out"], out = out, None              # the program's own
        return self._call(args, kwargs, out)

    def _call(self, args: tuple, kwargs: dict[str, Any], out: Any) -> Any:
        binding = self.bind(args, kwargs)
        if any(isinstance(v, Expr) for v in binding.values):
            return binding.builder([v if isinstance(v, Expr) else FUNCTIONS["asarray"](v) for v in binding.values])
        if self._on_cuda(binding.values):
            return self._call_cuda(binding, out)
        inputs = [ready(v, name) for name, v in zip(binding.names, binding.values, strict=True)]
        arrays, given = [a for a, _ in inputs], [g for _, g in inputs]
        self.copies.update({n: g.copied for n, g in zip(binding.names, given, strict=True) if g.copied})
        traced, executable = self.entry("cpu", binding, given)
        call = executable.call_for([g.shape for g in given])
        if not any(g.copied or g.kind.order == "F" and call.repeats_inputs for g in given):
            self._remember(args, kwargs, binding, call, traced.structure)
        if out is not None:
            results = written(call, arrays, out, traced)
        else:
            results = call.run(arrays, None if self._donation is None else self._donation.places(call.results, arrays))
        if self._donation is not None:
            signature = None if self._function is None else self.signature
            self._donation.keep(arguments_of(signature, self._positional, args, kwargs))
        return nest.unflatten(traced.structure, results)

    def _remember(self, args: tuple, kwargs: dict[str, Any], binding: Binding, call: Call, structure: Any) -> None:
        """Let the next call with inputs like these skip the binding, where they come in the order of the program's."""
        plain = fast_key(args, kwargs)
        if plain is None or len(plain[1]) != len(binding.values):
            return
        by_name = [*self._positional[: len(args)], *kwargs] == binding.names
        if by_name or self._function is not None and not kwargs:
            if len(self._fast) >= _MOST_FAST:
                self._fast.clear()
            self._fast[plain[0]] = call, None if nest.same_structure(structure, _LEAF) else structure

    def bind(self, args: tuple, kwargs: dict[str, Any]) -> Binding:
        """The inputs of a call; TypeError, with the name, for what is missing, unknown or given twice."""
        if self._function is None:
            found = bind_variables(self.target, self.variables, self._positional, args, kwargs)
        else:
            found = bind_function(self._function, self.__name__, self.signature, args, kwargs)
        return found if self.precision is None else replace(
            found, values=[in_precision(v, PRECISIONS[self.precision]) for v in found.values])

    # compiling -------------------------------------------------------------------------------------------------
    def entry(self, device: str, binding: Binding, given: Sequence[Given]) -> tuple[Traced, Any]:
        """The program for inputs of these kinds and sizes, traced and compiled if it is new."""
        key = (device, tuple(g.kind for g in given), binding.static)
        shapes = [g.shape for g in given]
        found = self._find(key, shapes)
        if found is None:
            with _lock:
                found = self._find(key, shapes) or self._make(key, binding, given)
        self.last = found
        return found

    def _find(self, key: tuple, shapes: Sequence[tuple[int, ...]]) -> tuple[Traced, Any] | None:
        for traced, executable in self._entries.get(key, ()):
            if not traced.guards.facts or traced.guards.hold(traced.sizes_of(shapes)):
                return traced, executable
        return None

    def _make(self, key: tuple, binding: Binding, given: Sequence[Given]) -> tuple[Traced, Any]:
        device, kinds, _ = key
        reason = self._reason(key)
        traced = trace(binding.builder, binding.names, kinds, [g.shape for g in given], self.stable)
        executable = build(traced) if device == "cpu" else _build_cuda(traced)
        self._entries.setdefault(key, []).append((traced, executable))
        inputs = list(zip(binding.names, given, strict=True))
        self.log.append({"device": device, "reason": reason, "inputs": inputs, "timing": executable.timing,
                         "guards": traced.guards.facts})
        return traced, executable

    def _reason(self, key: tuple) -> str:
        """Which part of the key was new."""
        if not self._entries:
            return "first call"
        if key in self._entries:
            return "sizes that answer a comparison differently"
        device, kinds, _ = key
        others = [k for d, k, _ in self._entries if d == device and len(k) == len(kinds)]
        if not others:
            return f"device {device}" if all(d != device for d, _, _ in self._entries) else "number of inputs"
        differences = min((_differences(kinds, other) for other in others), key=len)
        return ", ".join(differences) or "structure of the arguments"

    # devices ---------------------------------------------------------------------------------------------------
    def _on_cuda(self, values: Sequence[Any]) -> bool:
        if self.device == "auto":
            return any(map(on_device, values))
        return self.device == "cuda"

    def _call_cuda(self, binding: Binding, out: Any) -> Any:
        from .cuda import device_arrays, require_device

        require_device()
        if out is not None:
            raise DeviceError("out= is not supported on CUDA: use the returned arrays")
        arrays, given = device_arrays(binding.names, binding.values)
        traced, executable = self.entry("cuda", binding, given)
        results = executable.run(arrays, [g.shape for g in given])
        return nest.unflatten(traced.structure, results)

    # reading ---------------------------------------------------------------------------------------------------
    def lower(self, /, *args: Any, **kwargs: Any) -> Any:
        """The program for these arguments, to be read before it runs; see `Lowered`. `source` and `explain` show it."""
        from .lowered import Lowered

        binding = self.bind(args, kwargs)
        given = [ready(v, n)[1] for n, v in zip(binding.names, binding.values, strict=True)]
        lowered = Lowered(self, binding, given)
        self.last = lowered.traced, None
        return lowered

    def warmup(self, /, *args: Any, **kwargs: Any) -> Compiled:
        """Compile for arguments like these without running; returns the program. An argument may be an array, a Python
        number, or anything with a `shape` and a `dtype`.
        """
        self.lower(*nest.map_leaves(stand_in, args), **nest.map_leaves(stand_in, kwargs)).compile()
        return self

    def source(self, target: str | None = None) -> str:
        """The generated text of the last program: 'cpu' (Python for Numba) or 'cuda' (CUDA C++)."""
        from .lowered import text_of

        return text_of(self._program(), target or ("cpu" if self.device == "auto" else self.device))

    def explain(self) -> str:
        """A table of the kernels of the last program: what each fuses, launches, bytes and flops."""
        from .report import explain

        program, (traced, executable) = self._program(), self._last()
        on_cuda = self.device == "cuda" or executable is not None and not isinstance(executable, Executable)
        return explain(program, traced, self.copies, _about_graphs(traced, program, executable) if on_cuda else [])

    def explain_compile(self) -> str:
        """A table of the compilations so far: which part of the key was new, seconds, disk hit or miss, guards."""
        from .report import explain_compile

        return explain_compile(self.log, self.copies)

    def benchmark(self, /, *args: Any, repeat: int = 7, **kwargs: Any) -> Any:
        """Compile, first and steady times of a call, GB/s and GFLOP/s."""
        from .report import benchmark

        return benchmark(self, args, kwargs, repeat)

    def debug(self, /, *args: Any, nan: bool = True, **kwargs: Any) -> Any:
        """Find the first value that is not finite: the operation, your line, the index, its operands there, whether in
        the forward or the reverse phase, in which turn of a loop; see `NonFinite`, which is false where all is well.

        `f.debug(x, y)` and `f.debug(nan=True)(x, y)` are the same. It runs the program without compiling it, one
        operation after the other, on the CPU.

        >>> import numpy as np, pullback as pb
        >>> f = pb.compile(lambda x: pb.sum(pb.log(x - 1.0)))
        >>> report = f.debug(np.array([3.0, 1.0]))
        >>> report.op, report.index, report.value, [o.value for o in report.operands]
        ('log', (1,), -inf, [0.0])
        """
        if not nan:
            raise PullbackError("debug looks for values that are not finite: write f.debug(*args, nan=True)")
        if not args and not kwargs and (self.variables or self._positional):
            return self.debug
        from .debug import find_non_finite

        binding = self.bind(args, kwargs)
        inputs = [ready(v, name) for name, v in zip(binding.names, binding.values, strict=True)]
        return find_non_finite(binding, [g for _, g in inputs], [a for a, _ in inputs], self.stable)

    def save(self, path: Any, architectures: Sequence[str] = ()) -> None:
        """Write the compiled programs to a file that `pullback.load` makes callable, without what they came from; with
        `architectures` ('sm_90', ...) their CUDA code too, by NVRTC and without a GPU.
        """
        from .artefact import save

        save(self, path, architectures)

    def export(self, path: Any) -> None:
        """Write the last program as a file of its own: 'name.py' runs under Numba, 'name.cu' is for nvcc (its head says
        how: a C function NAME_run, and a program). Raises CompileError for a step that a CUDA file cannot hold.
        """
        from .artefact import export

        export(self, path)

    def _last(self) -> tuple[Traced, Any]:
        """The last program that was called or lowered; that of a program whose shapes are declared needs neither."""
        if self.last is None:
            if self._function is not None or any(v.shadow is None for v in self.variables):
                raise PullbackError("nothing was compiled yet, so ranks and dtypes are not known: "
                                    "call the program once, or use f.lower(*args)")
            from .lowered import Lowered

            names = [v.attrs[0] for v in self.variables]
            binding = bind_variables(self.target, self.variables, names, (None,) * len(names), {})
            self.last = Lowered(self, binding, _declared(self.variables)).traced, None
        return self.last

    def _program(self) -> Any:
        from .lowered import program_of

        traced, executable = self._last()
        return executable.program if isinstance(executable, Executable) else program_of(traced)

    def __reduce__(self) -> tuple:
        """Pickled as what it was made of; it is compiled, or found on disk, where it is loaded."""
        return Compiled, (self.target, self.device, self._args, self.donate, self.precision, self.stable)

    def __repr__(self) -> str:
        return f"<compiled {self.__name__} for {self.device}, {len(self.log)} compilations>"


_PARTS = {"dtype": "dtype", "ones": "rank or axes of size 1", "order": "memory order", "weak": "Python number or array"}


def _differences(kinds: Sequence[Kind], other: Sequence[Kind]) -> list[str]:
    return [f"input {at}: {words} {getattr(old, part)} became {getattr(new, part)}"
            for at, (new, old) in enumerate(zip(kinds, other, strict=True))
            for part, words in _PARTS.items() if getattr(new, part) != getattr(old, part)]


def _declared(variables: Sequence[Expr]) -> list[Given]:
    """What is known of variables with declared shapes; each named size gets a value of its own."""
    chosen: dict[str, int] = {}
    given = []
    for variable in variables:
        shadow: Any = variable.shadow
        shape = tuple(d if isinstance(d, int) else chosen.setdefault(str(d), 12 + 6 * len(chosen))
                      for d in shadow.shape)
        given.append(Given(Kind(shadow.dtype.str, tuple(n == 1 for n in shape)), shape))
    return given


def _result(leaf: Any) -> Expr:
    if isinstance(leaf, (str, bytes)):
        raise TypeError(f"compile takes an expression, a nest of expressions or a function, not {leaf!r}")
    return as_expr(leaf)


def _build_cuda(traced: Traced) -> Any:
    from .cuda import build as build_cuda

    return build_cuda(traced)


def _about_graphs(traced: Traced, program: Any, executable: Any) -> list[str]:
    from .cuda import about_graphs

    return about_graphs(traced, program, executable)


def compile(target: Any, device: str = "auto", args: Sequence[Any] | None = None, donate: Sequence[Any] = (),
            precision: str | None = None, stable: bool = True) -> Compiled:
    """Compile an expression, a nest of expressions or a Python function into fused kernels.

    `device`: 'cpu', 'cuda', or 'auto' (where the inputs live). Expressions are called by variable name, `f(w=W, x=X)`;
    `args` fixes a positional order. Functions keep their signature. Inputs are arrays, Python numbers or nests of them;
    results are new NumPy arrays (CuPy on CUDA) in the same nest. `stable`: naive formulas such as log(1 + exp(x))
    are computed by operations that neither overflow nor cancel; `explain` lists them, False leaves them as written.

    `donate`: arguments, by position or name, that are given away: a later call may write results into their memory, so
    their contents are undefined from the call on (arrays that cannot be written are left alone; CUDA has a pool of its
    own). `precision`: 'float32' or 'float64' converts float and complex inputs to it first; None computes in the
    dtypes that come.

    Raises TypeError for a wrong argument name, DTypeError, ShapeError, DeviceError.

    >>> import numpy as np, pullback as pb
    >>> f = pb.compile(pb.Var('w') @ pb.Var('x') + pb.Var('b'))
    >>> f(w=np.eye(2), x=np.array([1.0, 2.0]), b=0.5)
    array([1.5, 2.5])
    """
    if isinstance(target, Compiled):
        return target
    return Compiled(target, device, args, donate, precision, stable)


def evaluate(expression: Expr, device: str = "cpu") -> Any:
    """The value of an expression without free variables; sizes in it are taken as they are now, behind guards."""
    nodes = toposort([expression])
    names = [n.attrs[0] for n in nodes if n.op == "var"]
    if names and expression.dtype is not None:
        raise PullbackError(f"the value of the expression {expression} is not known while the program is built"
                            f"{where(expression)}: use the expression itself, with pb.sin and the like for math.sin, "
                            "x.astype('float64') for float(x); a number that chooses the program is no argument, "
                            "but a default or a closure")
    if names:
        raise PullbackError(f"the expression {expression} has free variables ({', '.join(names)}): "
                            f"compile it and call it, for example pb.compile(expr)({names[0]}=...)")

    def rule(node: Expr, args: tuple[Expr, ...]) -> Expr:
        return size_value(size.fix(node.attrs[0]), node.dtype) if node.op == "size" else rebuild(node, args)

    known = stabilised(rewrite([expression], rule))[0]
    if device == "cpu" and all(not node.shape for node in toposort([known])):
        result = reference.evaluate([known], {}, {})[0]          # a handful of scalars is not worth a compilation
    else:
        result = Compiled(lambda: known, device)()
    return result if result.ndim else result[()]


FUNCTIONS["_evaluate"], FUNCTIONS["_reference"] = evaluate, reference.evaluate
FUNCTIONS["_csr"], FUNCTIONS["_spy"] = sparse.csr, sparse.spy
FUNCTIONS["_compile"] = compile
