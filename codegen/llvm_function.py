"""One LLVM function as text: registers, loops, and values kept as far outside the loops as they can be.

Compilers find loop-invariant code by analysis; here it is placed by construction. Every value knows the depth of the
loop that defines it, and `pure` puts an instruction in front of the outermost loop in which its operands stand still.
That leaves so little to optimise that LLVM runs its code generator almost alone, at a fraction of a millisecond per
statement.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from ..dsl.size import Dim, Size
from .program import Extent, Literal, Operand, bits_of

TYPES = {"bool": "i1", "float32": "float", "float64": "double"}


def scalar_type(dtype: str) -> str:
    """The register type of `dtype`; a bool is one bit."""
    return TYPES.get(dtype) or "i" + dtype.lstrip("uint")


def memory_type(dtype: str) -> str:
    return "i8" if dtype == "bool" else scalar_type(dtype)


def register_type(dtype: str, width: int) -> str:
    """`width` lanes of `dtype`; 0 means a scalar."""
    return f"<{width} x {scalar_type(dtype)}>" if width else scalar_type(dtype)


def literal_text(literal: Literal) -> str:
    if literal.dtype == "bool":
        return "true" if literal.value else "false"
    if literal.dtype.startswith("float"):
        return f"0x{bits_of(float(literal.value), 'float64'):016X}"
    return str(literal.value)


class Value(NamedTuple):
    """A register or constant of `dtype`; `width` lanes (0: scalar), defined in the loop of `depth` (-1: on entry)."""

    text: str
    dtype: str
    width: int = 0
    depth: int = -1
    constant: bool = False


@dataclass
class Scope:
    """The inside of a loop: its text, the text in front of it, and what has been computed in either, with its depth."""

    lines: list = field(default_factory=list)
    before: list = field(default_factory=list)
    known: dict[str, tuple[str, int]] = field(default_factory=dict)


State = tuple[str, str]  # (type, register) carried around a loop


class Function:
    """Builds the body of one function; `scopes[-1]` is the innermost open loop."""

    def __init__(self, sizes: tuple[str, ...]) -> None:
        self.sizes = {name: k for k, name in enumerate(sizes)}
        self.scopes = [Scope()]
        self.label = "entry"
        self._numbers = 0
        self.intrinsics: set[str] = set()

    @property
    def depth(self) -> int:
        return len(self.scopes) - 1

    def fresh(self, hint: str = "t") -> str:
        self._numbers += 1
        return f"{hint}.{self._numbers}"

    def line(self, text: str | list) -> None:
        self.scopes[-1].lines.append(text)

    def emit(self, text: str, hint: str = "t") -> str:
        """Put an instruction here; returns its register."""
        register = "%" + self.fresh(hint)
        self.scopes[-1].lines.append(f"{register} = {text}")
        return register

    def pure(self, text: str, depth: int, hint: str = "t") -> str:
        """Put an instruction without effects as far outside as the `depth` of its operands allows, and only once."""
        for scope in self.scopes:
            register, found = scope.known.get(text, ("", depth + 1))
            if found <= depth:
                return register
        register = "%" + self.fresh(hint)
        if depth >= self.depth:
            scope = self.scopes[-1]
            scope.lines.append(f"{register} = {text}")
        else:
            scope = self.scopes[depth + 1]
            scope.before.append(f"{register} = {text}")
        scope.known[text] = register, min(depth, self.depth)
        return register

    def open_block(self, label: str) -> None:
        self.line(f"{label}:")
        self.label = label

    def call(self, result: str, name: str, arguments: str, types: str) -> str:
        """The text of a call of an intrinsic or library function, which gets declared."""
        self.intrinsics.add(f"declare {result} @{name}({types})")
        return f"call {result} @{name}({arguments})"

    # ---- loops --------------------------------------------------------------------------------------------------
    def loop(
        self, lo: str, hi: str, step: int, states: list[State], body: Callable[[str, list[str]], list[str]]
    ) -> list[str]:
        """for (i = lo; i < hi; i += step) states = body(i, states). Returns the states after the loop."""
        front, head, latch, done = (self.fresh(hint) for hint in ("front", "body", "latch", "done"))
        skipped = self.label
        scope = Scope()
        guard = self.emit(f"icmp slt i64 {lo}, {hi}")
        self.line(f"br i1 {guard}, label %{front}, label %{done}")
        self.open_block(front)
        self.line(scope.before)
        self.line(f"br label %{head}")
        self.scopes.append(scope)
        self.open_block(head)
        index, after = "%" + self.fresh("i"), "%" + self.fresh("next")
        self.line(f"{index} = phi i64 [ {lo}, %{front} ], [ {after}, %{latch} ]")
        inside = ["%" + self.fresh("state") for _ in states]
        phis: list[str] = []
        self.line(phis)
        results = body(index, inside)
        for (kind, init), name, result in zip(states, inside, results, strict=True):
            phis.append(f"{name} = phi {kind} [ {init}, %{front} ], [ {result}, %{latch} ]")
        self.line(f"br label %{latch}")
        self.open_block(latch)
        self.line(f"{after} = add nsw i64 {index}, {step}")
        again = self.emit(f"icmp slt i64 {after}, {hi}")
        self.line(f"br i1 {again}, label %{head}, label %{done}")
        self.scopes.pop()
        self.line(scope.lines)
        self.open_block(done)
        return [
            self.emit(f"phi {kind} [ {init}, %{skipped} ], [ {result}, %{latch} ]")
            for (kind, init), result in zip(states, results, strict=True)
        ]

    # ---- sizes --------------------------------------------------------------------------------------------------
    def size(self, dim: Dim) -> str:
        """A size as an i64 register or constant, computed at the entry of the function."""
        if not isinstance(dim, Size):
            return str(int(dim))
        total = ""
        for monomial, coefficient in dim.terms:
            factors = [self._atom(atom) for atom, power in monomial for _ in range(power)]
            text = factors[0] if factors else str(coefficient)
            for factor in factors[1:]:
                text = self.pure(f"mul i64 {text}, {factor}", -1)
            if factors and coefficient != 1:
                text = self.pure(f"mul i64 {text}, {coefficient}", -1)
            total = self.pure(f"add i64 {total}, {text}", -1) if total else text
        return total

    def _atom(self, atom: str | tuple) -> str:
        if isinstance(atom, str):
            place = self.pure(f"getelementptr i64, ptr %sizes, i64 {self.sizes[atom]}", -1)
            return self.pure(f"load i64, ptr {place}", -1, atom)
        a, b = (self.size(Size(part) if isinstance(part, tuple) else part) for part in atom[1:])
        if atom[0] == "max":
            return self.pure(self.call("i64", "llvm.smax.i64", f"i64 {a}, i64 {b}", "i64, i64"), -1)
        zero = self.pure(f"icmp eq i64 {b}, 0", -1)
        divisor = self.pure(f"select i1 {zero}, i64 1, i64 {b}", -1)
        quotient, rest = self.pure(f"sdiv i64 {a}, {divisor}", -1), self.pure(f"srem i64 {a}, {divisor}", -1)
        signs = self.pure(f"xor i64 {rest}, {divisor}", -1)
        down = self.pure(f"icmp slt i64 {signs}, 0", -1)
        inexact = self.pure(f"icmp ne i64 {rest}, 0", -1)
        both = self.pure(f"and i1 {down}, {inexact}", -1)
        return self.pure(f"add i64 {quotient}, {self.pure(f'sext i1 {both} to i64', -1)}", -1)

    # ---- values -------------------------------------------------------------------------------------------------
    def constant(self, operand: Operand) -> Value:
        if isinstance(operand, Extent):
            return Value(self.size(operand.size), "int64", constant=not isinstance(operand.size, Size))
        assert isinstance(operand, Literal)
        return Value(literal_text(operand), operand.dtype, constant=True)

    def widen(self, value: Value, width: int) -> str:
        """`value` in `width` lanes."""
        if value.width == width:
            return value.text
        assert value.width == 0, (value, width)
        kind = scalar_type(value.dtype)
        if value.constant:
            return f"splat ({kind} {value.text})"
        one = self.pure(f"insertelement <{width} x {kind}> poison, {kind} {value.text}, i64 0", value.depth)
        return self.pure(
            f"shufflevector <{width} x {kind}> {one}, <{width} x {kind}> poison, <{width} x i32> zeroinitializer",
            value.depth,
        )

    def text(self) -> str:
        """The lines of the body, in order."""
        return "\n".join(_flat(self.scopes[0].before + self.scopes[0].lines))


def _flat(lines: list) -> list[str]:
    found: list[str] = []
    stack = [iter(lines)]
    while stack:
        for item in stack[-1]:
            if isinstance(item, list):
                stack.append(iter(item))
                break
            found.append(item if item.endswith(":") else "  " + item)
        else:
            stack.pop()
    return found
