"""A Program as CUDA C++: one translation unit without includes, and the plan of its launches.

    helpers and routines      what the kernels call, each once global functions          one for each kernel, headed
    by the mathematics, and one more where chunks leave partial results

The text is compiled by NVRTC as it stands. `index` is the type of every index in it: 'int' unless a buffer or loop is
larger.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..dsl.size import Dim, evaluate, symbol
from .chunks import stride_of
from .cuda_kernel import BOUNDS, KernelWriter, comment
from .cuda_ops import C_TYPE, HELPERS, helpers_of, literal
from .cuda_plan import INT_SPAN, Action, Choose, Launch, Repeat, index_type
from .cuda_scope import Scope, call_text, routine_text, safe
from .cuda_templates import combine, fold, ordered
from .cuda_threads import Call, Function, function
from .cuda_verify import verify
from .program import Branch, Kernel, Library, Loop, Program, Step
from .serial import serialised


@dataclass(frozen=True, slots=True)
class CudaText:
    """`text` is the translation unit; `launches` is what the host does with it, in order; `reaches` are sizes that an
    index holds, beside those of the buffers and loops (see `index_of`); `functions` of the text are what threads do
    together, and the kernels."""

    text: str
    launches: tuple[Action, ...]
    index: str
    reaches: tuple[Dim, ...] = ()
    functions: tuple[Function, ...] = ()


def write_cuda(program: Program, index: str = "int") -> CudaText:
    """The CUDA C++ text of `program` and its launches.

    `index` is 'int' or 'long long', see `index_of`. Raises CompileError for an operation
    that has neither a spelling nor a routine.

        text = write_cuda(program)
        print(text.text)
    """
    program = serialised(program, lanes=True)
    writer = _UnitWriter(program)
    launches = writer.plan(program.steps)
    functions = writer.functions()
    verify(functions)
    return CudaText(writer.text(index, functions), launches, index, tuple(writer.reaches.values()), functions)


def index_of(program: Program, text: CudaText, sizes: Mapping[str, int]) -> str:
    """The type of index that the text of `program` needs at these (complete) sizes: 'int' or 'long long'."""
    beyond = any(evaluate(reach, sizes) >= INT_SPAN for reach in text.reaches)
    return "long long" if beyond else index_type(program, sizes)


class _UnitWriter:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.kernels: dict[str, tuple[tuple[Function, ...], tuple[Launch, ...]]] = {}
        self.common = Scope()
        self.reaches: dict[str, Dim] = {}

    def plan(self, steps: tuple[Step, ...]) -> tuple[Action, ...]:
        actions: list[Action] = []
        for step in steps:
            if isinstance(step, Kernel):
                actions += self.kernel(step)
            elif isinstance(step, Library):
                actions.append(step)
            elif isinstance(step, Loop):
                actions.append(Repeat(step, self.plan(step.test), self.plan(step.steps)))
            else:
                assert isinstance(step, Branch)
                actions.append(Choose(step, tuple(self.plan(branch) for branch in step.branches)))
        return tuple(actions)

    def kernel(self, kernel: Kernel) -> tuple[Launch, ...]:
        if kernel.name not in self.kernels:
            writer = KernelWriter(kernel, self.program)
            written, launch = writer.write()
            functions, launches = (written,), (launch,)
            self._collect(writer.scope)
            self.reaches |= writer.indices.reaches
            if kernel.combine:
                combining, scope = _combine(kernel, self.program)
                self._collect(scope)
                functions, launches = (written, combining[0]), (launch, combining[1])
            self.kernels[kernel.name] = functions, launches
        return self.kernels[kernel.name][1]

    def _collect(self, scope: Scope) -> None:
        self.common.routines |= scope.routines
        self.common.folds |= scope.folds
        self.common.combines |= scope.combines
        self.common.writes |= scope.writes
        self.common.calls |= scope.calls

    def functions(self) -> tuple[Function, ...]:
        """What threads do together, callees first, then the kernels."""
        common = self.common
        folds = [fold(op, dtype, common) for op, dtype in sorted(common.folds)]
        writes = [ordered(op, dtype, common) for op, dtype in sorted(common.writes)]
        combines = [combine(op, dtype, common) for op, dtype in sorted(common.combines)]
        kernels = [f for functions, _ in self.kernels.values() for f in functions]
        return (*folds, *writes, *combines, *kernels)

    def text(self, index: str, functions: tuple[Function, ...]) -> str:
        routines = _routines(self.common)
        calls = [call_text(op, dtype) for op, dtype in sorted(self.common.calls)]
        body = "\n".join([*calls, *routines, *(f.text for f in functions)])
        helpers = [HELPERS[name] for name in HELPERS if name in helpers_of(body)]
        return "\n".join([f"typedef {index} index_t;\n", *helpers, body])


def _routines(scope: Scope) -> list[str]:
    """Texts of the routines, callees first; a routine may call for more while it is printed."""
    texts: dict[tuple[str, str], str] = {}
    while missing := [key for key in scope.routines if key not in texts]:
        for key in missing:
            before = set(scope.routines)
            texts[key] = routine_text(key[0], scope.routines[key], scope)
            for callee in set(scope.routines) - before:
                texts = {callee: routine_text(callee[0], scope.routines[callee], scope), **texts}
    return list(texts.values())


def _combine(kernel: Kernel, program: Program) -> tuple[tuple[Function, Launch], Scope]:
    """The global function that folds the chunks' partial results of `kernel`."""
    scope = Scope()
    params, calls, chunks = [], [], scope.size(symbol(kernel.chunks))
    for c in kernel.combine:
        dtype = program.buffers[c.target].dtype
        partial, target, kind = safe(c.partial), safe(c.target), C_TYPE[dtype]
        params += [f"const {kind}* __restrict__ {partial}", f"{kind}* __restrict__ {target}"]
        count, stride = scope.size(c.count), scope.size(stride_of(c, program))
        arguments = (partial, target, count, stride, chunks, literal(c.identity))
        calls.append(Call(scope.combine(c.op, dtype), arguments))
    sizes = [f"index_t {name}" for name, _ in scope.sizes.values()]
    name = f"{safe(kernel.name)}_combine"
    head = "".join(
        f"// {comment(c.target)} = {c.op} of {comment(c.partial)} over the chunks of {comment(kernel.name)}\n"
        for c in kernel.combine
    )
    notes = "".join(f"// {n} = {d!r}\n" for n, d in scope.sizes.values() if n.startswith("size_"))
    written = function(
        name, f'{head}{notes}extern "C" __global__ void {BOUNDS} {name}({", ".join(params + sizes)})', calls
    )
    buffers = tuple(b for c in kernel.combine for b in (c.partial, c.target))
    return (
        written,
        Launch(name, kernel, "combine", buffers, tuple(d for _, d in scope.sizes.values()), meets=True),
    ), scope
