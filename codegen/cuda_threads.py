"""What the threads of one block do: the form between a Kernel and its CUDA text, proved by codegen/cuda_verify.py.

    function := head { stmt... }                                             Function
    stmt     := line | block | shared | meet | shuffle | call                Line Block Shared Meet Shuffle Call

Every thread goes through the statements in order. A `Block` is entered, or repeated, by the threads that its head says;
a head that mentions nothing that differs between threads is the same for all of them. `Meet` is a barrier, `Shuffle` an
exchange of values within a warp: all threads must come to them. A `Line` sets names and touches memory, as it says; it
holds no control flow and nothing that threads do together. Blocks of threads are whole warps, at most `BLOCK` threads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from .cuda_sync import Access

WARP = 32


@dataclass(frozen=True, slots=True)
class At:
    """The value of `name >> shift`."""

    name: str
    shift: int = 0


@dataclass(frozen=True, slots=True)
class Touch:
    """One access to the shared array `array`; who else touches the element follows from `index`."""

    array: str
    index: At | int
    writes: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """`text` sets `sets` and touches memory: buffers and shared arrays."""

    text: str
    sets: tuple[str, ...] = ()
    touches: tuple[Access | Touch, ...] = ()


@dataclass(frozen=True, slots=True)
class Block:
    """`head` { `body` }: a loop or a condition. A loop sets `sets`; `bounds`: its index runs from the first to below
    the second by ones. `leaders`: only threads whose number is a multiple of 2**leaders enter; `alone`: only thread 0.
    """

    head: str
    body: tuple[Stmt, ...]
    sets: tuple[str, ...] = ()
    bounds: tuple[At | int, At | int] | None = None
    leaders: int | None = None
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Shared:
    """An array of `count` elements in shared memory."""

    kind: str
    name: str
    count: int


@dataclass(frozen=True, slots=True)
class Meet:
    """All threads of the block wait for each other; what they did to memory before is seen after."""


@dataclass(frozen=True, slots=True)
class Shuffle:
    """`target` = the `value` of the thread `distance` away, by exclusive or of their numbers; all threads take part."""

    kind: str
    target: str
    value: str
    distance: str


@dataclass(frozen=True, slots=True)
class Call:
    """`target` = a call of the function `name` with `arguments`, which every thread makes; `buffers` that it touches.
    What a function of all threads returns is the same in each."""

    name: str
    arguments: tuple[str, ...]
    target: str | None = None
    touches: tuple[Access, ...] = ()


Stmt = Line | Block | Shared | Meet | Shuffle | Call


@dataclass(frozen=True, slots=True)
class Function:
    """A function that a whole block of threads goes through: `launched`, or called by one that is.

    `params`: the first of its parameters, as far as they may differ between threads.
    """

    name: str
    text: str
    body: tuple[Stmt, ...]
    params: tuple[str, ...] = ()
    launched: bool = False


def function(name: str, head: str, body: Iterable[Stmt], params: tuple[str, ...] = ()) -> Function:
    """The function and its text: `head`, which may begin with comments, and the lines of `body`."""
    body = tuple(body)
    return Function(name, f"{head} {{\n" + "\n".join(printed(body, 1)) + "\n}\n", body, params, "__global__" in head)


THREAD = Line("const index_t thread = threadIdx.x;", ("thread",))
THREADS = Line("const index_t threads = blockDim.x;", ("threads",))


def turns(index: str, first: At | int, last: At | int, *body: Stmt, only_while: str = "") -> Block:
    """A loop by ones, ended early where the name `only_while` is false."""
    test = f"{only_while} && " if only_while else ""
    head = f"for (index_t {index} = {_value(first)}; {test}{index} < {_value(last)}; ++{index})"
    return Block(head, body, (index,), (first, last))


def leaders(shift: int, *body: Stmt) -> Block:
    """The first thread of every 2**shift."""
    return Block(f"if ((thread & {2**shift - 1}) == 0)", body, leaders=shift)


def alone(*body: Stmt) -> Block:
    """The first thread of the block."""
    return Block("if (thread == 0)", body, alone=True)


def subscript(array: str, index: At | int) -> str:
    return f"{array}[{_value(index)}]"


def _value(value: At | int) -> str:
    if isinstance(value, int):
        return str(value)
    return f"{value.name} >> {value.shift}" if value.shift else value.name


def printed(stmts: Sequence[Stmt], depth: int) -> Iterator[str]:
    """The lines of `stmts`."""
    indent = "    " * depth
    for stmt in stmts:
        if isinstance(stmt, Block):
            yield f"{indent}{stmt.head} {{"
            yield from printed(stmt.body, depth + 1)
            yield f"{indent}}}"
        else:
            yield indent + _line(stmt)


def _line(stmt: Line | Shared | Meet | Shuffle | Call) -> str:
    if isinstance(stmt, Line):
        return stmt.text
    if isinstance(stmt, Meet):
        return "__syncthreads();"
    if isinstance(stmt, Shared):
        return f"__shared__ {stmt.kind} {stmt.name}[{stmt.count}];"
    if isinstance(stmt, Shuffle):
        return (f"const {stmt.kind} {stmt.target} = "
                f"({stmt.kind})__shfl_xor_sync(0xffffffffu, {stmt.value}, {stmt.distance});")
    call = f"{stmt.name}({', '.join(stmt.arguments)});"
    return f"{stmt.target} = {call}" if stmt.target else call
