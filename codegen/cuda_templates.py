"""What the threads of a block, or of a grid, do together, as functions that kernels call."""

from __future__ import annotations

from .cuda_ops import C_TYPE
from .cuda_plan import PARTIALS
from .cuda_scope import Scope, combine_name, fold_name, ordered_name
from .cuda_sync import UNIFORM, Access
from .cuda_threads import (
    THREAD,
    THREADS,
    WARP,
    At,
    Block,
    Call,
    Function,
    Line,
    Meet,
    Shared,
    Shuffle,
    Stmt,
    Touch,
    function,
    leaders,
    subscript,
    turns,
)

_SHUFFLED = ("int32", "int64", "uint32", "uint64", "float32", "float64")
_FUNCTION = "__device__ __forceinline__"


def fold(op: str, dtype: str, scope: Scope) -> Function:
    """A function that folds one value of each thread over the block and gives the result to all of them."""
    kind, name, warp = C_TYPE[dtype], fold_name(op, dtype), At("thread", 5)
    step = Line(f"v = {scope.apply(op, dtype, ['v', 'other'], [dtype, dtype])};", ("v",))
    value = "v" if dtype in _SHUFFLED else "(int)v"
    body: tuple[Stmt, ...] = (
        THREAD,
        THREADS,
        Shared(kind, "warps", WARP),
        Block(
            "for (int distance = 16; distance > 0; distance >>= 1)",
            (Shuffle(kind, "other", value, "distance"), step),
            ("distance",),
        ),
        Block(f"if (threads > {WARP})", (
            leaders(5, Line(f"{subscript('warps', warp)} = v;", (), (Touch("warps", warp, writes=True),))),
            Meet(),
            Line(f"v = {subscript('warps', 0)};", ("v",), (Touch("warps", 0),)),
            turns("w", 1, At("threads", 5),
                  Line(f"const {kind} other = warps[w];", ("other",), (Touch("warps", At("w")),)), step),
            Meet(),
        )),
        Line("return v;"),
    )
    head = f"// {op} over the threads of a block; every thread gets the result\n{_FUNCTION} {kind} {name}({kind} v)"
    return function(name, head, body, ("v",))


def ordered(op: str, dtype: str, scope: Scope) -> Function:
    """A function of a block: every place in `places` gets its updates, in the order of the threads."""
    kind, name, own = C_TYPE[dtype], ordered_name(op, dtype), At("thread")
    step = "updates[s]" if op == "set" else scope.apply(op, dtype, ["v", "updates[s]"], [dtype, dtype])
    at_s = Touch("places", At("s"))
    body: tuple[Stmt, ...] = (
        THREAD,
        THREADS,
        Line(f"const index_t place = {subscript('places', own)};", ("place",), (Touch("places", own),)),
        Line("bool first = place >= 0;", ("first",)),
        turns("s", 0, own, Line("first = places[s] != place;", ("first",), (at_s,)), only_while="first"),
        Block("if (first)", (
            Line(f"{kind} v = target[place];", ("v",)),
            turns("s", own, At("threads"),
                  Line(f"if (places[s] == place) v = {step};", ("v",), (at_s, Touch("updates", At("s"))))),
            Line("target[place] = v;"),
        )),
    )
    head = (f"// {op} updates at places in order: the first thread of each place does it for all\n"
            f"{_FUNCTION} void {name}({kind}* target, const index_t* places, const {kind}* updates)")
    return function(name, head, body)


def combine(op: str, dtype: str, scope: Scope) -> Function:
    """A function of a whole grid: target[j] = fold of partial[c * stride + j] over the chunks c, for `combine_grid`."""
    kind, name = C_TYPE[dtype], combine_name(op, dtype)
    step = Line(f"v = {scope.apply(op, dtype, ['v', 'partial[c * stride + j]'], [dtype, dtype])};", ("v",))
    body: tuple[Stmt, ...] = (
        THREAD,
        THREADS,
        Line("const index_t block = blockIdx.x, blocks = gridDim.x;", ("block", "blocks")),
        Block(f"if (count > {PARTIALS})", (
            Block("for (index_t j = block * threads + thread; j < count; j += blocks * threads)", (
                Line(f"{kind} v = partial[j];", ("v",)),
                Block("for (index_t c = 1; c < chunks; ++c)", (step,), ("c",)),
                Line("target[j] = v;"),
            ), ("j",)),
        )),
        Block(f"if (count <= {PARTIALS})", (
            Block("for (index_t j = block; j < count; j += blocks)", (
                Line(f"{kind} v = identity;", ("v",)),
                Block("for (index_t c = thread; c < chunks; c += threads)", (step,), ("c",)),
                Call(fold_name(op, dtype), ("v",), "v"),
                Line("if (thread == 0) target[j] = v;", (), (Access("target", False, True, UNIFORM, True),)),
            ), ("j",)),
        )),
    )
    sizes = "index_t count, index_t stride, index_t chunks"
    parameters = f"const {kind}* partial, {kind}* target, {sizes}, {kind} identity"
    head = (f"// {op} over chunks: a thread for each element of a long target, a block for each element of a short one"
            f"\n{_FUNCTION} void {name}(\n    {parameters}\n)")
    return function(name, head, body)
