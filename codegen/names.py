"""Names in generated code: valid in C and Python, never a keyword, a builtin or a name of the runtime; user text
never passes unchecked.
"""

from __future__ import annotations

import builtins
import inspect
import keyword
import math
import re
from functools import lru_cache

from . import library_meaning

_TAKEN = """
alignas alignof and and_eq asm auto bitand bitor bool break case catch char class compl const consteval constexpr
constinit continue decltype default delete do double dynamic_cast else enum explicit export extern false float for
friend goto if inline int int8 int16 int32 int64 long main mutable namespace new noexcept not not_eq nullptr
operator or or_eq private protected public register requires return short signed sizeof static struct switch
template this throw true try typedef typeid typename uint8 uint16 uint32 uint64 union unsigned using virtual void
volatile wchar_t while xor xor_eq chunk chunks lo hi program entry blockIdx blockDim gridDim threadIdx warpSize
index_t INFINITY NAN NULL float32 float64 np scipy numba njit intrinsic fold fma shared lane lanes tid sizes team
workspace i j k l m n p q r
"""
_SIZE = re.compile(r"n\d+")      # sizes of inputs are called n0, n1, ...
_ROUTINES = [name for name, value in vars(library_meaning).items() if inspect.isfunction(value)]
RESERVED = {*_TAKEN.split(), *keyword.kwlist, *keyword.softkwlist, *dir(builtins), *dir(math), *_ROUTINES}


@lru_cache(4096)
def _stem(wish: str) -> str:
    stem = re.sub(r"\W", lambda m: f"u{ord(m.group()):x}_", wish, flags=re.ASCII) or "v"
    return f"v{stem}" if stem[0].isdigit() or stem.startswith("__") else stem


class Names:
    """Hands out names; one that is taken or reserved gets a suffix."""

    def __init__(self) -> None:
        self.taken: set[str] = set()
        self._tried: dict[str, int] = {}

    def new(self, wish: str) -> str:
        """A free name like `wish` (ASCII letters, digits and underscores only)."""
        stem = _stem(wish)
        name, count = stem, self._tried.get(stem, 1)
        while name in self.taken or name in RESERVED or _SIZE.fullmatch(name):
            name = f"{stem}_{count}"
            count += 1
        self._tried[stem] = count
        self.taken.add(name)
        return name

    def index(self, wish: str) -> str:
        """A free loop index: a single letter stays as it is."""
        name, count = wish, 1
        while name in self.taken:
            name = f"{wish}{count}"
            count += 1
        self.taken.add(name)
        return name
