"""Carrying out the plan of a CUDA text on a device: sizes, memory, launches, library steps, loops and branches.

A `Device` is an array module with launches. CuPy's is in `cuda.py`; the tests drive the same code with NumPy and an
emulator.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from ..codegen import library_meaning
from ..codegen.cuda import CudaText
from ..codegen.cuda_plan import (
    Action,
    Aligned,
    Choose,
    Grid,
    Launch,
    Repeat,
    chunk_counts,
    combine_grid,
    grid_of,
    itemsize,
)
from ..codegen.cuda_segments import Segment, blocks_of_turns, launches_of_turn, segments
from ..codegen.program import Library, Loop, Program, shown_loops
from ..dsl.errors import DeviceError
from ..dsl.size import Size, evaluate, product
from .progress import shown


class Device(Protocol):
    """Where a plan runs: `arrays` is NumPy or a module with its interface, `scipy` SciPy or one with its."""

    arrays: Any

    @property
    def scipy(self) -> Any: ...

    def empty(self, name: str, dtype: str, count: int) -> Any:
        """A flat array of `count` elements for the buffer `name`, not initialised."""
        ...

    def address(self, array: Any) -> int:
        """Where the first element of `array` lies."""
        ...

    def launch(self, launch: Launch, grid: Grid, arguments: Sequence[tuple[str, Any]]) -> None:
        """Start `launch`; arguments are ('pointer', array), ('index', int) and ('flag', int)."""
        ...

    def play(self, key: Hashable, work: Callable[[], Any]) -> Any:
        """The result of `work`, which only launches; the same launches whenever `key` is the same, so that they may
        be captured and played again."""
        ...


class Execution:
    """One call of a program: its sizes and buffers.

    `inputs` are contiguous arrays of the device in the order of `program.inputs`; `sizes` gives the sizes of the
    inputs (chunk counts are chosen here); `consts` holds the captured arrays on the device. `run` returns arrays in
    the order of `program.outputs`, each its own memory. `error` is an int32 array of one element, 0, where checks
    leave 1 + their code.
    """

    def __init__(self, program: Program, text: CudaText, device: Device, sizes: Mapping[str, int], error: Any) -> None:
        self.program, self.text, self.device, self.error = program, text, device, error
        self.sizes = input_and_chunk_sizes(program, sizes)
        self.buffers: dict[str, Any] = {}
        self.counters: dict[str, np.ndarray] = {}
        self.playing = False    # within a graph, where none begins

    def run(self, inputs: Sequence[Any], consts: Mapping[str, Any], arena: bool = True) -> list[Any]:
        """The outputs for `inputs`. With `arena` the temporaries lie in one workspace at their planned places."""
        for name, array in (*zip(self.program.inputs, inputs, strict=True), *consts.items()):
            flat, buffer = array.reshape(-1), self.program.buffers[name]
            self.buffers[name] = flat.view(buffer.dtype) if buffer.pairs else flat
        self._allocate(arena)
        loops = shown_loops(self.program)
        if not loops:
            self._carry_out(self.text.launches)
            return self._outputs()
        with shown([loop.title[0].partition(":")[0] for loop in loops]) as counters:
            self.counters = {loop.name: row for loop, row in zip(loops, counters, strict=True)}
            self._carry_out(self.text.launches)
        return self._outputs()

    def _allocate(self, arena: bool) -> None:
        """Results before the workspace: it is given back first, so a pool hands out the same addresses each time."""
        placed = []
        for buffer in self.program.buffers.values():
            if arena and buffer.kind == "temp" and buffer.place is not None:
                placed.append(buffer)
            elif buffer.name not in self.buffers:
                count = evaluate(product(buffer.shape), self.sizes)
                self.buffers[buffer.name] = self.device.empty(buffer.name, buffer.dtype, count)
        if arena:
            workspace = self.device.empty("workspace", "uint8", evaluate(self.program.workspace, self.sizes))
            for buffer in placed:
                start, count = evaluate(buffer.place, self.sizes), evaluate(product(buffer.shape), self.sizes)
                self.buffers[buffer.name] = workspace[start : start + count * itemsize(buffer.dtype)].view(buffer.dtype)

    def _outputs(self) -> list[Any]:
        outputs, seen = [], set()
        for name in self.program.outputs:
            buffer = self.program.buffers[name]
            array = self._elements(name).reshape([evaluate(d, self.sizes) for d in buffer.dims])
            outputs.append(array.copy() if name in seen or buffer.kind != "output" else array)
            seen.add(name)
        return outputs

    # ---- actions ------------------------------------------------------------------------------------------------
    def _carry_out(self, actions: tuple[Action, ...]) -> None:
        for segment in [Segment(actions, False)] if self.playing else segments(actions, self.sizes):
            if segment.graph:
                self._play(tuple(map(id, segment.actions)), lambda now=segment.actions: self._one_by_one(now))
            else:
                self._one_by_one(segment.actions)

    def _play(self, what: tuple[int, ...], work: Callable[[], None]) -> None:
        """Carry out `work`, which only launches, on the buffers as they lie now."""
        address = self.device.address
        places = tuple(map(address, self.buffers.values()))
        error = None if self.error is None else address(self.error)
        traded = self.device.play((what, tuple(self.sizes.items()), places, error), lambda: self._traded(work))
        self.buffers |= {name: self.buffers[other] for name, other in traded.items()}

    def _traded(self, work: Callable[[], None]) -> dict[str, str]:
        """The buffers that have another's memory after `work`, with the name of that other; they are put back."""
        before, self.playing = dict(self.buffers), True
        try:
            work()
            names = {id(array): name for name, array in before.items()}
            return {n: names[id(array)] for n, array in self.buffers.items() if array is not before[n]}
        finally:
            self.buffers, self.playing = before, False

    def _one_by_one(self, actions: Sequence[Action]) -> None:
        for action in actions:
            if isinstance(action, Launch):
                self._launch(action)
            elif isinstance(action, Library):
                self._library(action)
            elif isinstance(action, Repeat):
                self._repeat(action)
            else:
                assert isinstance(action, Choose)
                self._carry_out(action.choices[int(self.buffers[action.branch.predicate][0])])

    def _launch(self, launch: Launch) -> None:
        rows = launch.role == "rows"
        grid = grid_of(launch.kernel, self.sizes) if rows else combine_grid(launch.kernel, self.sizes)
        arguments: list[tuple[str, Any]] = [("pointer", self.buffers[name]) for name in launch.buffers]
        arguments += [("index", evaluate(size, self.sizes)) for size in launch.sizes]
        if rows:
            arguments.append(("index", grid.rows))
        if launch.aligned:
            arguments.append(("flag", int(all(map(self._is_aligned, launch.aligned)))))
        if launch.checks:
            arguments.append(("pointer", self.error))
        self.device.launch(launch, grid, arguments)

    def _is_aligned(self, position: Aligned) -> bool:
        array = self.buffers[position.buffer]
        return (
            self.device.address(array) + evaluate(position.offset, self.sizes) * array.dtype.itemsize
        ) % position.bytes == 0

    def _repeat(self, action: Repeat) -> None:
        loop, count = action.loop, self._count(action.loop)
        self._start_index(loop)
        if count is not None and (turn := launches_of_turn(action, self.sizes)) is not None:
            blocks = [] if self.playing else blocks_of_turns(loop, turn, count)
            for block in blocks:
                self._play((id(action), block), lambda turns=block: self._turns(action, turns))
            self._turns(action, count - sum(blocks))
            return
        turn, counters = 0, self.counters.get(loop.name)
        if counters is not None:
            counters[:] = 0, -1 if count is None else count, counters[2] + 1
        while count is None or turn < count:
            if count is None:
                self._carry_out(action.test)
                if not bool(self.buffers[loop.condition or ""][0]):
                    return
            self._turns(action, 1)
            turn += 1
            if counters is not None:
                counters[0] = turn

    def _turns(self, action: Repeat, count: int) -> None:
        loop = action.loop
        for _ in range(count):
            self._carry_out(action.actions)
            for a, b in loop.swaps:
                self.buffers[a], self.buffers[b] = self.buffers[b], self.buffers[a]
            if loop.index is not None:      # on the device, so that a captured turn is any turn
                self.device.arrays.add(self.buffers[loop.index], 1, out=self.buffers[loop.index])

    def _start_index(self, loop: Loop) -> None:
        if loop.index is not None:
            self.buffers[loop.index][...] = 0

    def _count(self, loop: Loop) -> int | None:
        if loop.count is None:
            return None
        return int(self.buffers[loop.count][0]) if isinstance(loop.count, str) else evaluate(loop.count, self.sizes)

    # ---- library steps ------------------------------------------------------------------------------------------
    def _library(self, step: Library) -> None:
        if step.routine == "gemm":
            self._gemm(step)
        elif step.routine == "copy":
            (source, start), (target, first), count = step.operands[0], step.target, self._attr(step, "count")
            start, first = evaluate(start, self.sizes), evaluate(first, self.sizes)
            self.buffers[target][first : first + count] = self.buffers[source][start : start + count]
        else:
            self._routine(step)

    def _routine(self, step: Library) -> None:
        """A function of `library_meaning` on the device's arrays."""
        np, shapes, results = self.device.arrays, step.attr("shapes"), step.attr("results")
        operands = [self._elements(name).reshape(self._value(shape))
                    for (name, _), shape in zip(step.operands, shapes, strict=True)]  # type: ignore[call-overload]
        static: dict[str, Any] = {k: self._value(v) for k, v in dict(step.attr("static")).items()}  # type: ignore[call-overload]
        try:
            found = getattr(library_meaning, step.routine)(np, self.device.scipy, *operands, **static)
        except NotImplementedError as error:
            raise DeviceError(str(error)) from None
        library_meaning.put(np, found, *(self._elements(name) for name, _ in step.targets[: len(results)]))  # type: ignore[arg-type]

    def _elements(self, name: str) -> Any:
        """The flat buffer as the caller sees it."""
        buffer = self.program.buffers[name]
        return self.buffers[name].view(buffer.element) if buffer.pairs else self.buffers[name]

    def _value(self, value: Any) -> Any:
        """A static value with sizes as numbers."""
        if isinstance(value, tuple):
            return [self._value(v) for v in value]
        return evaluate(value, self.sizes) if isinstance(value, Size) else value

    def _gemm(self, step: Library) -> None:
        m, n, k, batch = (self._attr(step, name) for name in ("m", "n", "k", "batch"))
        a = self._matrices(step.operands[0], (batch, m, k), self._attr(step, "stride_a"), bool(step.attr("trans_a")))
        b = self._matrices(step.operands[1], (batch, k, n), self._attr(step, "stride_b"), bool(step.attr("trans_b")))
        c = self._matrices(step.target, (batch, m, n), self._attr(step, "stride_c"), False)
        if c.size == 0:
            return
        if batch == 1:
            a, b, c = a[0], b[0], c[0]
        if k == 0:
            c[...] = 0
        else:
            self.device.arrays.matmul(a, b, out=c)

    def _matrices(self, place: tuple[str, Any], shape: tuple[int, int, int], stride: int, transposed: bool) -> Any:
        """A view of `shape` on row-major matrices `stride` elements apart, each stored transposed where it says so."""
        name, start = place
        flat = self.buffers[name][evaluate(start, self.sizes) :]
        _, rows, columns = shape
        inner = (1, rows) if transposed else (columns, 1)
        strides = tuple(s * flat.dtype.itemsize for s in (stride, *inner))
        return self.device.arrays.lib.stride_tricks.as_strided(flat, shape=shape, strides=strides)

    def _attr(self, step: Library, key: str) -> int:
        return evaluate(step.attr(key), self.sizes)  # type: ignore[arg-type]


def input_and_chunk_sizes(program: Program, sizes: Mapping[str, int]) -> dict[str, int]:
    """The sizes of the inputs with this target's own numbers of chunks, whatever numbers `sizes` holds for those."""
    chunks = {kernel.chunks for kernel in program.kernels()}
    return chunk_counts(program, {name: value for name, value in sizes.items() if name not in chunks})


def error_text(program: Program, code: int) -> str | None:
    """What the value of the error word says, or None for 0."""
    return program.errors[code - 1] if code else None


def contiguous(arrays: Any, value: Any, dtype: str) -> Any:
    """`value` as a contiguous array of `dtype` in the machine's byte order."""
    return arrays.asarray(value, dtype=np.dtype(dtype), order="C")
