"""A program that is not run yet, to be read: its graph, its steps, its text for every target, its cost and memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..codegen.chunks import chunking
from ..codegen.cost import Cost, cost_of
from ..codegen.describe import describe
from ..codegen.plan import plan
from ..codegen.program import Program
from ..dsl import nest, size
from ..dsl.errors import PullbackError
from ..dsl.trace import Traced, trace
from .inputs import Given
from .memory_report import Memory, memory_of

if TYPE_CHECKING:
    from .binding import Binding
    from .compiled import Compiled

TEXTS = ("graph", "program", "cpu", "cuda")


class Lowered:
    """What `f.lower(*args)` gives; nothing has been compiled.

    `as_text('graph' | 'program' | 'cpu' | 'cuda')`, `cost()` (bytes and flops), `memory()` (bytes), `compile()`.
    """

    def __init__(self, compiled: Compiled, binding: Binding, given: Sequence[Given]) -> None:
        self._compiled, self._binding = compiled, binding
        self.traced = trace(binding.builder, binding.names, [g.kind for g in given], [g.shape for g in given],
                            compiled.stable)
        self.values = self.traced.sizes_of([g.shape for g in given])
        self.given = list(given)
        self._program: Program | None = None

    @property
    def program(self) -> Program:
        if self._program is None:
            self._program = program_of(self.traced)
        return self._program

    def as_text(self, kind: str = "program") -> str:
        """The graph, the Program, or the generated text of a target."""
        if kind not in TEXTS:
            raise PullbackError(f"as_text takes {', '.join(map(repr, TEXTS))}, not {kind!r}")
        if kind == "graph":
            from ..dsl.listing import listing

            return listing(nest.unflatten(self.traced.structure, self.traced.outputs))
        return describe(self.program) if kind == "program" else text_of(self.program, kind)

    def compile(self) -> Compiled:
        """Compile for these arguments now; returns the compiled program."""
        device = "cpu" if self._compiled.device == "auto" else self._compiled.device
        self._compiled.entry(device, self._binding, self.given)
        return self._compiled

    def cost(self) -> dict[str, int]:
        """Bytes read and written and floating operations of one call."""
        total = sum((cost_of(self.program, s) for s in self.program.steps), Cost())
        values = self._all_sizes()
        return {"bytes": size.evaluate(total.bytes, values), "flops": size.evaluate(total.flops, values)}

    def memory(self) -> Memory:
        """Bytes of arguments, outputs, temporaries and residuals of one call, and their sum `peak`.

        Residuals are what loops keep of every turn for their reverse. Where a number of turns is known only when the
        loop runs they are the most there can be (`max_steps`, or the bound of its length), and `formulas` says how they
        grow. Inputs that have to be copied first (strides, byte order) count once more among the temporaries.

        >>> import numpy as np, pullback as pb
        >>> f = pb.compile(pb.grad(lambda x: pb.scan(lambda c, _: (pb.sin(c), None), x, None, length=1000)[0]))
        >>> f.lower(0.5).memory()["residuals"]
        8000
        """
        values = self._all_sizes()
        sizes = [math.prod(g.shape) * np.dtype(g.kind.dtype).itemsize for g in self.given]
        outputs = sum(size.evaluate(size.product(x.shape), values) * x.dtype.itemsize for x in self.traced.outputs)
        copies = sum(n for n, g in zip(sizes, self.given, strict=True) if g.copied)
        return memory_of(self.program, values, sum(sizes), outputs, copies)

    def _all_sizes(self) -> dict[str, int]:
        return {**self.values, **chunking(self.program, self.values)}


def program_of(traced: Traced) -> Program:
    return plan(traced.outputs, traced.inputs, traced.names)


def text_of(program: Program, target: str) -> str:
    """The generated source for a target. Raises PullbackError for a target that does not exist."""
    if target == "cpu":
        from ..codegen.numba_text import write_numba

        return write_numba(program)
    if target == "cuda":
        from ..codegen.cuda import write_cuda

        return write_cuda(program).text
    raise PullbackError(f"source takes 'cpu' or 'cuda', not {target!r}")
