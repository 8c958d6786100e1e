"""One tile of a scan as what the threads of a block do: shuffles within warps, shared memory between them."""

from __future__ import annotations

from .cuda_ops import C_TYPE
from .cuda_scan import Scan
from .cuda_scope import Scope
from .cuda_threads import WARP, At, Block, Line, Meet, Shared, Shuffle, Touch, leaders, subscript, turns
from .cuda_threads import Stmt as ThreadStmt


def scanned(found: Scan, dtype: str, state: str, scope: Scope) -> list[ThreadStmt]:
    """`up_to` of each thread becomes the fold over the tile up to it, `up_to_end` that over all of it; with 'affine'
    the maps pb_weight * s + up_to are composed likewise, into pb_weight and pb_weights. Shared memory is declared
    outside, as `shared` does.
    """
    values = [("up_to", "up_to_end", f"pb_warps_{state}")]
    if found.op == "affine":
        values.append(("pb_weight", "pb_weights", f"pb_weights_{state}"))
    kind, warp = C_TYPE[dtype], At("thread", 5)
    names = [(own, total) for own, total, _ in values]
    alls = [f"{total}_other" for _, total in names]
    steps: list[ThreadStmt] = [Shuffle(kind, other, total, "distance")
                               for other, (_, total) in zip(alls, names, strict=True)]
    steps.append(Line("const bool later = thread & distance;", ("later",)))
    steps += _chosen(found.op, dtype, scope, "later", alls, [own for own, _ in names], [own for own, _ in names])
    totals = [total for _, total in names]
    steps += _chosen(found.op, dtype, scope, "!later", totals, alls, totals, otherwise=(alls, totals))
    array = [name for *_, name in values]
    stores = [Line(f"{subscript(name, warp)} = {total};", (), (Touch(name, warp, writes=True),))
              for (_, total), name in zip(names, array, strict=True)]
    loads = [Line(f"{total} = {subscript(name, 0)};", (total,), (Touch(name, 0),))
             for (_, total), name in zip(names, array, strict=True)]
    nexts = [f"{total}_next" for total in totals]
    reads = [Line(f"const {kind} {following} = {name}[w];", (following,), (Touch(name, At("w")),))
             for following, name in zip(nexts, array, strict=True)]
    owns = [own for own, _ in names]
    across = [*reads, *_chosen(found.op, dtype, scope, "w == thread >> 5", totals, owns, owns),
              *_chosen(found.op, dtype, scope, "", totals, nexts, totals)]
    return [Block("for (int distance = 1; distance < 32; distance *= 2)", tuple(steps), ("distance",)),
            leaders(5, *stores), Meet(), *loads, turns("w", 1, At("threads", 5), *across), Meet()]


def shared(found: Scan, dtype: str, state: str) -> list[ThreadStmt]:
    """The shared memory that `scanned` uses."""
    names = [f"pb_warps_{state}", f"pb_weights_{state}"] if found.op == "affine" else [f"pb_warps_{state}"]
    return [Shared(C_TYPE[dtype], name, WARP) for name in names]


def _chosen(op: str, dtype: str, scope: Scope, condition: str, first: list[str], second: list[str],
            targets: list[str], otherwise: tuple[list[str], list[str]] | None = None) -> list[ThreadStmt]:
    """`targets` = `first` followed by `second` where `condition` holds, else those of `otherwise`, or what they are."""
    def text(value: str, other: str) -> str:
        return f"{condition} ? {value} : {other}" if condition else value

    composed = _composed(op, dtype, scope, first, second)
    others = targets if otherwise is None else _composed(op, dtype, scope, *otherwise)
    return [Line(f"{target} = {text(value, other)};", (target,))
            for target, value, other in zip(targets, composed, others, strict=True)]


def _composed(op: str, dtype: str, scope: Scope, first: list[str], second: list[str]) -> list[str]:
    """The texts of `first` followed by `second`; of maps, values and weights, the value before the weight it needs."""
    if op != "affine":
        return [scope.apply(op, dtype, [first[0], second[0]], [dtype, dtype])]
    return [f"{second[1]} * {first[0]} + {second[0]}", f"{first[1]} * {second[1]}"]
