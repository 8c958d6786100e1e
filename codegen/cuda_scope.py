"""Names, sizes and values as CUDA C++ text: what the writer of one kernel knows while it prints."""

from __future__ import annotations

import re

from ..dsl.errors import CompileError
from ..dsl.size import Dim, Size, render
from . import machine, mathematics
from .cuda_ops import C_TYPE, FLOAT, HELPERS, is_library_call, literal, spell
from .cuda_plan import is_symbol
from .machine import Routine
from .program import Extent, Literal, Offset, Operand

# Words that a name in the text must not take: C++ and CUDA's own, and those that the writer uses itself.
_WORDS = """
    alignas alignof and and_eq asm auto bitand bitor bool break case catch char char16_t char32_t class compl
    concept const consteval constexpr const_cast continue decltype default delete do double dynamic_cast else enum
    explicit export extern false float for friend goto if inline int long mutable namespace new noexcept not not_eq
    nullptr operator or or_eq private protected public register reinterpret_cast requires return short signed sizeof
    static static_assert static_cast struct switch template this thread_local throw true try typedef typeid typename
    union unsigned using virtual void volatile wchar_t while xor xor_eq threadIdx blockIdx blockDim gridDim warpSize
    dim3 index_t thread threads lo hi first last rows_per_chunk aligned error places updates tile head start lane
    in_tile up_to up_to_end up_to_end_other up_to_end_next later
    linux unix i386 assert errno stdin stdout stderr isnan isinf isfinite signbit
"""
RESERVED = frozenset(_WORDS.split()) | {
    name
    for text in (*FLOAT.values(), *HELPERS.values())
    for suffix in ("", "f")
    for name in re.findall(r"\b[a-z_0-9]+(?=\()", text.replace("{f}", suffix))
}

# Names of helpers, of size arguments and of values beside a name; macros, which are in capitals.
_TAKEN = r"pb_\w+|size_\d+|\w+_pack\d*|\w+_next|_*[A-Z][A-Z0-9_]+|__\w+"


def safe(name: str) -> str:
    """`name` as an identifier of the text, never a word of C++, of CUDA or of the writer."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise CompileError(
            f"the name {name!r} is no C++ identifier; programs hold only names that are valid in C and Python"
        )
    bare = name.rstrip("_")
    return f"{name}_" if bare in RESERVED or re.fullmatch(_TAKEN, bare) else name


class Scope:
    """What names mean inside one kernel; collects the size arguments, routines and folds that its text needs."""

    def __init__(self) -> None:
        self.dtypes: dict[str, str] = {}
        self.axes: set[str] = set()
        self.sizes: dict[str, tuple[str, Dim]] = {}  # text of a size -> (argument, size)
        self.routines: dict[tuple[str, str], Routine] = {}
        self.folds: set[tuple[str, str]] = set()
        self.combines: set[tuple[str, str]] = set()
        self.writes: set[tuple[str, str]] = set()
        self.many_calls = False                              # library functions are called, not copied in
        self.calls: set[tuple[str, str]] = set()

    def size(self, dim: Dim) -> str:
        """A size in the text: a number, or an argument that the host computes."""
        if not isinstance(dim, Size):
            return str(dim) if dim >= 0 else f"({dim})"
        key = render(dim)
        if key not in self.sizes:
            symbol = is_symbol(dim)
            self.sizes[key] = (safe(symbol) if symbol else f"size_{len(self.sizes)}", dim)
        return self.sizes[key][0]

    def offset(self, offset: Offset) -> str:
        """The subscript of a flat offset."""
        parts = []
        for name, coefficient in offset.terms:
            index = safe(name) if name in self.axes else f"(index_t){safe(name)}"
            parts.append(
                index
                if not isinstance(coefficient, Size) and coefficient == 1
                else f"{index} * {self.size(coefficient)}"
            )
        if isinstance(offset.const, Size) or offset.const or not parts:
            parts.append(self.size(offset.const))
        return " + ".join(parts)

    def dtype(self, operand: Operand) -> str:
        if isinstance(operand, Literal):
            return operand.dtype
        return "int64" if isinstance(operand, Extent) else self.dtypes[operand]

    def operand(self, operand: Operand) -> str:
        if isinstance(operand, Literal):
            return literal(operand)
        if isinstance(operand, Extent):
            return f"((long long){self.size(operand.size)})"
        return f"((long long){safe(operand)})" if operand in self.axes else safe(operand)

    def index(self, operand: Operand) -> str:
        """An axis, a size or a number in the type of an index."""
        if isinstance(operand, Literal):
            return f"(index_t){int(operand.value)}"
        return self.size(operand.size) if isinstance(operand, Extent) else safe(operand)

    def expression(self, op: str, dtype: str, args: tuple[Operand, ...]) -> str:
        """`op` on `args`: from the table of spellings, else a call of its routine."""
        texts, dtypes = [self.operand(a) for a in args], [self.dtype(a) for a in args]
        return self.apply(op, dtype, texts, dtypes)

    def apply(self, op: str, dtype: str, texts: list[str], dtypes: list[str]) -> str:
        if self.many_calls and is_library_call(op, dtype):
            self.calls.add((op, dtype))
            return f"{call_name(op, dtype)}({', '.join(texts)})"
        found = spell(op, dtype, texts, dtypes)
        if found is not None:
            return found
        routine = mathematics.routine(op, dtype)
        if routine is None:
            raise CompileError(
                f"CUDA has no spelling for {op} on {dtype}; add one to codegen/cuda_ops.py or a routine for it"
            )
        self.routines[op, dtype] = routine
        return f"{routine_name(routine)}({', '.join(texts)})"

    def fold(self, op: str, dtype: str) -> str:
        """The device function that folds a value of every thread over the block, known to all of them."""
        self.folds.add((op, dtype))
        return fold_name(op, dtype)

    def ordered(self, op: str, dtype: str) -> str:
        """The device function that writes the places of a tile in order; `op` is 'set' or folds."""
        self.writes.add((op, dtype))
        return ordered_name(op, dtype)

    def combine(self, op: str, dtype: str) -> str:
        """The device function that folds partial results over chunks."""
        self.folds.add((op, dtype))
        self.combines.add((op, dtype))
        return combine_name(op, dtype)


def routine_name(routine: Routine) -> str:
    return f"pb_{routine.name}_{routine.dtype}"


def call_name(op: str, dtype: str) -> str:
    return f"pb_call_{op}_{dtype}"


def call_text(op: str, dtype: str) -> str:
    """A library function as a device function that is called: the compiler would copy it into every place that uses it,
    which takes it minutes for a body with hundreds of them."""
    kind, names = C_TYPE[dtype], ["a", "b"][: FLOAT[op].count("{0}") + FLOAT[op].count("{1}")]
    call = spell(op, dtype, names, [dtype] * len(names))
    params = ", ".join(f"{kind} {name}" for name in names)
    return f"__device__ __noinline__ {kind} {call_name(op, dtype)}({params}) {{ return {call}; }}\n"


def fold_name(op: str, dtype: str) -> str:
    return f"pb_fold_{op}_{dtype}"


def ordered_name(op: str, dtype: str) -> str:
    return f"pb_ordered_{op}_{dtype}"


def combine_name(op: str, dtype: str) -> str:
    return f"pb_combine_{op}_{dtype}"


def routine_text(op: str, routine: Routine, scope: Scope) -> str:
    """A routine as a device function."""
    inner = Scope()
    inner.dtypes = dict.fromkeys(routine.params, routine.dtype)
    inner.routines = scope.routines
    lines = []
    for let in routine.body:
        lines.append(
            f"    const {C_TYPE[let.dtype]} {safe(let.name)} = {inner.expression(let.op, let.dtype, let.args)};"
        )
        inner.dtypes[let.name] = let.dtype
    kind = C_TYPE[routine.dtype]
    params = ", ".join(f"{kind} {safe(p)}" for p in routine.params)
    result = safe(routine.result)
    if routine.domain is not None:  # elsewhere the library's function gives the value
        library = machine.LIBM[op] + ("f" if routine.dtype == "float32" else "")
        result = f"{safe(routine.domain)} ? {result} : {library}({', '.join(map(safe, routine.params))})"
    return "\n".join(
        [f"__device__ {kind} {routine_name(routine)}({params}) {{", *lines, f"    return {result};", "}", ""]
    )
