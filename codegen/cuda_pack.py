"""Which pointwise kernels move several neighbouring rows by one load or store, and what must be aligned for it."""

from __future__ import annotations

from dataclasses import dataclass

from ..dsl.size import Dim, Size
from .cuda_ops import C_TYPE
from .cuda_plan import Aligned, itemsize
from .cuda_scope import Scope, safe
from .program import Check, Kernel, Let, Load, Offset, Program, Store, Update

LONGEST = 160  # statements: a longer body is bound by arithmetic, and several copies of it by registers


@dataclass(frozen=True, slots=True)
class PackAccess:
    """Neighbouring rows of `buffer` from `const` on; loaded, stored or both."""

    buffer: str
    const: Dim
    loaded: bool
    stored: bool

    @property
    def key(self) -> tuple[str, str]:
        return self.buffer, repr(self.const)


@dataclass(frozen=True, slots=True)
class Packs:
    """`width` rows at a time for `accesses`, once every address in `aligned` allows it."""

    row: str
    width: int
    accesses: tuple[PackAccess, ...]
    aligned: tuple[Aligned, ...]

    def takes(self, stmt: Load | Store | Update) -> bool:
        """Whether `stmt` is served by a pack; every other access of a row goes to memory on its own."""
        return not isinstance(stmt, Update) and stmt.mask is None and _neighbours(stmt.offset, self.row)


def find_packs(kernel: Kernel, program: Program, alias: dict[str, str]) -> Packs | None:
    """The packs of a kernel whose rows are spread over threads, or None where its rows go one by one."""
    if not kernel.vector or kernel.serial or len(kernel.body) > LONGEST:
        return None
    if any(not isinstance(s, (Let, Load, Store, Check)) for s in kernel.body):
        return None
    row = kernel.rows.name
    touched = [s for s in kernel.body if isinstance(s, (Load, Store))]
    packed = [s for s in touched if s.mask is None and _neighbours(s.offset, row)]
    if not packed or _written_elsewhere(touched, alias):
        return None
    width = 16 // min([itemsize(d) for d in _dtypes(packed, program) if itemsize(d) >= 4], default=2)
    accesses = []
    for key in dict.fromkeys((s.buffer, repr(s.offset.const)) for s in packed):
        same = [s for s in packed if (s.buffer, repr(s.offset.const)) == key]
        loaded, stored = (any(isinstance(s, kind) for s in same) for kind in (Load, Store))
        accesses.append(PackAccess(key[0], same[0].offset.const, loaded, stored))
    aligned = tuple(
        Aligned(a.buffer, a.const, min(16, width * itemsize(program.buffers[a.buffer].dtype))) for a in accesses
    )
    return Packs(row, width, tuple(accesses), aligned)


def pack_lines(
    packs: Packs, program: Program, scope: Scope
) -> tuple[dict[tuple[str, str], str], list[tuple[str, str]], list[str]]:
    """For the packs from row `start` on: their names, (name, line) that declare and load each, lines that store."""
    names: dict[tuple[str, str], str] = {}
    loads, stores = [], []
    for access in packs.accesses:
        again = access.buffer in {buffer for buffer, _ in names}
        name = names[access.key] = f"{safe(access.buffer)}_pack{len(names) if again else ''}"
        kind = f"pb_pack<{C_TYPE[program.buffers[access.buffer].dtype]}, {packs.width}>"
        shift = f" + {scope.size(access.const)}" if isinstance(access.const, Size) or access.const else ""
        place = f"({safe(access.buffer)} + start{shift})"
        loads.append((name, f"{kind} {name} = *(const {kind}*){place};" if access.loaded else f"{kind} {name};"))
        if access.stored:
            stores.append(f"*({kind}*){place} = {name};")
    return names, loads, stores


def _neighbours(offset: Offset, row: str) -> bool:
    return (
        len(offset.terms) == 1
        and offset.terms[0][0] == row
        and not isinstance(offset.terms[0][1], Size)
        and offset.terms[0][1] == 1
    )


def _dtypes(stmts: list[Load | Store], program: Program) -> set[str]:
    return {program.buffers[s.buffer].dtype for s in stmts}


def _written_elsewhere(touched: list[Load | Store], alias: dict[str, str]) -> bool:
    """Whether a written buffer is also touched elsewhere: a pack would be read too early or written too late."""

    def root(buffer: str) -> str:
        return alias.get(buffer, buffer)

    for store in (s for s in touched if isinstance(s, Store)):
        others = [s for s in touched if s is not store and root(s.buffer) == root(store.buffer)]
        if any(repr(s.offset) != repr(store.offset) or s.mask or store.mask for s in others):
            return True
    return False
