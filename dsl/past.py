"""What a turn of a loop that runs backwards has of the turn forwards: states, and results of the loops inside.

States are stored as trajectories; where a row, a few elements or a sum of them is all that is read, that is; or they
are walked back: from the state after the turn each write gets back what it overwrote (see `undo`), and a loop inside,
which a loop in the cotangents runs backwards, is that loop's state at its end. What loops inside, long folds and
library calls give otherwise is stacked where that is little, and computed again where it is not.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from .checkpoints import is_within
from .loop import AGAIN, Loop, at
from .node import Expr, make, rebuild, rewrite, toposort
from .prune import merged
from .size import Dim, product
from .undo import Chain, Undo, before, chain_of, is_small, undo_of

FEW = 16                 # elements of a fold that are folded again at less cost than its result is kept
SEVERAL = ("loop", "branch", "library")          # have no value of their own but several results


@dataclass(frozen=True)
class Step:
    """One step back: the state `before` a link of a chain from the one after it, `link`, by the result of a loop in the
    cotangents that is it, or else by undoing.
    """

    link: Expr
    before: Expr
    way: Expr | Undo


class Past:
    """What `shares`, cotangents in terms of the body of `loop`, need of a turn: `loop` stacks it."""

    def __init__(self, loop: Loop, shares: Sequence[Expr | None], cotangents: Sequence[Expr]) -> None:
        body = loop.body
        roots = merged([*body.roots(), *(s for s in shares if s is not None)], inside=True)
        count = len(body.roots())
        body, found = body.with_roots(roots[:count]), iter(roots[count:])
        self.body = body
        self.shares = [None if s is None else next(found) for s in shares]
        chains = {k: chain for k in range(len(body.carries)) if (chain := chain_of(body, k))}
        self.links = {link for chain in chains.values() for link in chain.links}
        self.results = self._results_inside(loop, cotangents, chains)
        read = self._read({*self.results})
        self.chains = {k: c for k, c in chains.items() if body.carries[k] in read or not read.isdisjoint(c.links)}
        needed = [k for k, c in enumerate(body.carries) if c in read and k not in self.chains]
        parts = self._parts(needed, read, cotangents)
        self.results += dict.fromkeys(part for found in parts.values() for part in found)
        self.stored = [k for k in needed if k not in parts]
        self.steps = self._way_back()
        self.extra = self._stacked()
        more = replace(body, stacked=(*body.stacked, *self.extra))
        self.loop = Loop(make("loop", loop.node.args, (more, loop.node.attrs[1])))

    @property
    def bytes(self) -> Dim:
        """What is kept of a turn."""
        return _bytes([*(self.body.carries[k] for k in self.stored), *self.extra])

    # ---- what is stacked ----------------------------------------------------------------------------------------
    def _results_inside(self, loop: Loop, cotangents: Iterable[Expr], chains: Mapping[int, Chain]) -> list[Expr]:
        """What takes work in a turn and depends on no cotangent, topmost: results of loops inside, and with them folds
        and library calls where all that is little.
        """
        if self.body.checkpoint == AGAIN:
            return []
        backward = self._backward(cotangents)
        own = {self.body.index, *self.body.carries, *self.body.operands}
        stop = {*backward} | own | self.links
        starts = [arg for node in backward for arg in node.args]
        for works in (_takes_work, _is_result_of_loop):
            found = dict.fromkeys(top for start in starts for top in _topmost(start, stop, works))
            if self._is_little(loop, list(found), chains):
                return list(found)
        return []

    def _backward(self, cotangents: Iterable[Expr]) -> dict[Expr, None]:
        """What depends on the cotangents, in order."""
        backward = dict.fromkeys(cotangents)
        for node in toposort([s for s in self.shares if s is not None]):
            if any(a in backward for a in node.args):
                backward[node] = None
        return backward

    def _parts(self, needed: Iterable[int], read: set[Expr], cotangents: Iterable[Expr]) -> dict[int, list[Expr]]:
        """For carries that are read only for a few elements or for less than themselves, such as a column: that."""
        backward, parts = self._backward(cotangents), {}
        shares = [s for s in self.shares if s is not None]
        cut = {*self.links, *self.results}
        order = [n for n in toposort(shares) if n in read and n not in cut]
        for k in needed if self.body.checkpoint != AGAIN else ():
            carry = self.body.carries[k]
            readers = [n for n in order if carry in {*n.args}]
            if any(n in backward or n.op in SEVERAL for n in readers) or carry in {*shares}:
                continue
            if is_small(_bytes(readers), _bytes([carry])):
                parts[k] = readers
        return parts

    def _is_little(self, loop: Loop, results: Sequence[Expr], chains: Mapping[int, Chain]) -> bool:
        """Whether `results` can be stacked beside what is kept of the carries anyway."""
        if loop.turns is None:
            return False
        states: Dim = 64
        for k, carry in enumerate(self.body.carries):
            states = states + (chains[k].written * carry.dtype.itemsize if k in chains else _bytes([carry]))
        return is_within(self.body.checkpoint, loop.turns, _bytes(results), states)

    def _read(self, cut: set[Expr]) -> set[Expr]:
        """What the cotangents read, down to links and what is stacked."""
        return _reached([s for s in self.shares if s is not None], cut | self.links)

    def _stacked(self) -> list[Expr]:
        found = dict.fromkeys(self.results)
        for step in self.steps:
            if isinstance(step.way, Undo):
                found.update(dict.fromkeys(step.way.kept))
        return list(found)

    # ---- the way back -------------------------------------------------------------------------------------------
    def _way_back(self) -> list[Step]:
        """The links of all chains, each after those that its state before is found from."""
        states = {k: [self.body.carries[k], *c.links] for k, c in self.chains.items()}
        ahead = {s for line in states.values() for s in line[:-1]}
        ends = self._ends()
        steps: list[Step] = []
        moving = set(self.body.carries)
        while any(len(line) > 1 for line in states.values()):
            open_ = [line for line in states.values() if len(line) > 1]
            found = [(line, self._end_of(line[-1], ends, ahead)) for line in open_]
            line, by = next((f for f in found if f[1] is not None or f[0][-1].op != "item"), (open_[0], None))
            link = line.pop()
            ahead.discard(line[-1])
            steps.append(Step(link, line[-1], undo_of(link, moving) if by is None else by))
        return steps

    def _ends(self) -> dict[Expr, Expr]:
        """For links that are made by a loop, and from which a loop in the cotangents goes back over its states: the
        state that is left.
        """
        found = {}
        for node in toposort([s for s in self.shares if s is not None]):
            if node.op == "loop":
                view = Loop(node)
                for k, index in view.body.undone:
                    link = view.inits[k]
                    if link in self.links and link.op == "item" and Loop(link.args[0]).body.index is index:
                        found[link] = view.item("carry", k)
        return found

    def _end_of(self, link: Expr, ends: Mapping[Expr, Expr], ahead: set[Expr]) -> Expr | None:
        end = ends.get(link)
        if end is None or not ahead.isdisjoint(_reached([end], {*self.results, *(self.links - ahead)})):
            return None
        return end

    def known(self, given: Mapping[Expr, Expr], after: Sequence[Expr], index: Expr) -> dict[Expr, Expr]:
        """Values for all that the cotangents read, in turn `index`; `given` are those of the body's index, operands and
        cotangents, `after` the states after the turn of the carries that are walked back.
        """
        body, loop, known = self.body, self.loop, dict(given)
        own = len(body.stacked)
        known.update({n: at(loop.item("stacked", own + p), index) for p, n in enumerate(self.extra)})
        known.update({body.carries[k]: at(loop.item("trajectory", k), index) for k in self.stored})
        known.update({c.links[-1]: state for c, state in zip(self.chains.values(), after, strict=True)})
        for step in self.steps:
            if isinstance(step.way, Undo):
                known[step.before] = before(step.way, known[step.link], known)
            else:
                known[step.before], = rewrite([step.way], rebuild, known)
        return known


def _is_result_of_loop(node: Expr) -> bool:
    return node.op == "item" and node.args[0].op == "loop" and bool(node.attrs)


def _takes_work(node: Expr) -> bool:
    """Whether `node` is the result of a loop, of a library or of a fold that is more than a few operations."""
    if node.op == "item":
        return node.args[0].op in ("loop", "library") and bool(node.attrs)
    if node.op == "reduce":
        folded = product(tuple(node.args[0].shape[a] for a in node.attrs[1]))
    elif node.op == "contract":
        a, b, out = node.attrs
        extents = dict(zip(a + b, (*node.args[0].shape, *node.args[1].shape), strict=True))
        folded = product(tuple(extents[label] for label in extents if label not in out))
    else:
        return False
    return not isinstance(folded, int) or folded > FEW


def _topmost(root: Expr, stop: Collection[Expr], works: Callable[[Expr], bool]) -> list[Expr]:
    """What `works` among that from which `root` is computed, without what is inside of others; it depends on a
    variable of the body.
    """
    found, seen, stack = [], {root}, [root]
    while stack:
        node = stack.pop()
        if node in stop:
            continue
        if works(node):
            found.append(node)
            continue
        fresh = [a for a in node.args if a not in seen]
        seen.update(fresh)
        stack += fresh
    return found


def _reached(roots: Sequence[Expr], cut: set[Expr]) -> set[Expr]:
    """What `roots` are computed from, not beyond `cut`."""
    seen, stack = set(roots), list(roots)
    while stack:
        node = stack.pop()
        if node in cut:
            continue
        fresh = [a for a in node.args if a not in seen]
        seen.update(fresh)
        stack += fresh
    return seen


def _bytes(values: Iterable[Expr]) -> Dim:
    total: Dim = 0
    for x in values:
        total = total + product(x.shape) * x.dtype.itemsize
    return total

