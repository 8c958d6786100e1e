"""Loads, stores and updates of a kernel: how the lanes of one statement lie in memory decides the instruction.

Lanes side by side are one vector access, lanes on one element a scalar access, lanes running backwards a reversed
vector, and all others a gather or scatter. A masked access touches no element whose mask is false, not even
speculatively.
"""

from __future__ import annotations

from typing import NamedTuple

from ..dsl.size import Dim, Size
from .llvm_function import Function, Value, memory_type, register_type, scalar_type
from .program import Buffer, Kernel, Let, Literal, Load, Offset, Operand, Store, Update

ALL = "splat (i1 true)"
ALIGN = {"i1": 1, "i8": 1, "i16": 2, "i32": 4, "i64": 8, "float": 4, "double": 8}


class Place(NamedTuple):
    """`pointer` of lane 0; `lanes`: 'one', 'forward', 'backward', 'strided', or 'apart' (a pointer for each)."""

    pointer: str
    depth: int
    lanes: str
    stride: Dim = 0


class Memory:
    """The part of a kernel's writer that touches buffers."""

    f: Function
    kernel: Kernel
    lanes: int
    values: dict[str, Value]
    lane_axis: str | None
    mask: str | None
    mask_depth: int
    near_row: bool
    lets: dict[str, Let]
    buffers: dict[str, Buffer]
    numbers: dict[str, int]
    written: set[str]

    def operand(self, operand: Operand) -> Value:
        raise NotImplementedError

    def combine(self, op: str, dtype: str, a: str, b: str, width: int) -> str:
        raise NotImplementedError

    # ---- where --------------------------------------------------------------------------------------------------
    def place(self, buffer: str, offset: Offset) -> Place:
        f, kind = self.f, memory_type(self.buffers[buffer].dtype)
        slot = f.pure(f"getelementptr ptr, ptr %bufs, i64 {self.numbers[buffer]}", -1)
        pointer, reached = f.pure(f"load ptr, ptr {slot}", -1, buffer), -1
        parts: dict[int, list[str]] = {}
        spread: list[tuple[str, int]] = []
        stride: Dim = 0
        if isinstance(offset.const, Size) or offset.const:
            parts[-1] = [f.size(offset.const)]
        for name, coefficient in offset.terms:
            value = self.values[name]
            if value.width:
                spread.append((self._times(value, coefficient), value.depth))
                continue
            if name == self.lane_axis:
                stride = coefficient
            parts.setdefault(value.depth, []).append(self._times(value, coefficient))
        for depth in sorted(parts):
            reached = max(reached, depth)
            total = parts[depth][0]
            for part in parts[depth][1:]:
                total = f.pure(f"add i64 {total}, {part}", depth)
            pointer = f.pure(f"getelementptr {kind}, ptr {pointer}, i64 {total}", reached)
        return self._with_lanes(pointer, reached, stride, spread, kind)

    def _times(self, value: Value, coefficient: Dim) -> str:
        if not isinstance(coefficient, Size) and coefficient == 1:
            return value.text
        factor = Value(self.f.size(coefficient), "int64", constant=not isinstance(coefficient, Size))
        kind = register_type("int64", value.width)
        return self.f.pure(f"mul {kind} {value.text}, {self.f.widen(factor, value.width)}", value.depth)

    def _with_lanes(self, pointer: str, depth: int, stride: Dim, spread: list[tuple[str, int]], kind: str) -> Place:
        f, wide = self.f, f"<{self.lanes} x i64>"
        if not spread and not isinstance(stride, Size):
            if stride == 0:
                return Place(pointer, depth, "one")
            if stride == 1:
                return Place(pointer, depth, "forward")
            if stride == -1:
                return Place(
                    f.pure(f"getelementptr {kind}, ptr {pointer}, i64 {1 - self.lanes}", depth), depth, "backward"
                )
        if not spread:
            return Place(pointer, depth, "strided", stride)
        texts = list(spread)
        if isinstance(stride, Size) or stride:
            texts.append((self._steps(stride), -1))
        total, deep = texts[0]
        for text, at in texts[1:]:
            deep = max(deep, at)
            total = f.pure(f"add {wide} {total}, {text}", deep)
        deep = max(deep, depth)
        return Place(f.pure(f"getelementptr {kind}, ptr {pointer}, {wide} {total}", deep), deep, "apart")

    def _steps(self, stride: Dim) -> str:
        """The offsets 0, stride, 2*stride, ... of the lanes."""
        step = self.f.widen(Value(self.f.size(stride), "int64", constant=not isinstance(stride, Size)), self.lanes)
        counting = ", ".join(f"i64 {k}" for k in range(self.lanes))
        return self.f.pure(f"mul <{self.lanes} x i64> <{counting}>, {step}", -1)

    def _pointers(self, place: Place, element: str) -> str:
        """A pointer for each lane."""
        if place.lanes == "apart":
            return place.pointer
        wide = f"<{self.lanes} x i64> {self._steps(place.stride)}"
        return self.f.pure(f"getelementptr {element}, ptr {place.pointer}, {wide}", place.depth)

    def both_masks(self, mask: str | None) -> tuple[str | None, int]:
        """The tail's mask and the statement's, in lanes, and their depth."""
        if mask is None:
            return self.mask, self.mask_depth
        value = self.operand(mask)
        wide = self.f.widen(value, self.lanes)
        if self.mask is None:
            return wide, value.depth
        depth = max(value.depth, self.mask_depth)
        return self.f.pure(f"and <{self.lanes} x i1> {self.mask}, {wide}", depth), depth

    # ---- scalar accesses ----------------------------------------------------------------------------------------
    def _guarded(self, pointer: str, mask: str | None, depth: int) -> str:
        return self.f.pure(f"select i1 {mask}, ptr {pointer}, ptr %spare", depth) if mask else pointer

    def _any(self, stmt: Load, mask: Value) -> tuple[str, int]:
        """Whether a masked load reads anything in this block of lanes."""
        if not mask.width:
            return mask.text, mask.depth
        lanes, depth = self.both_masks(stmt.mask)
        kind = f"<{self.lanes} x i1>"
        call = self.f.call("i1", f"llvm.vector.reduce.or.v{self.lanes}i1", f"{kind} {lanes}", kind)
        return self.f.pure(call, depth), max(depth, mask.depth)

    def _within_memory(self, stmt: Load, place: Place, depth: int) -> tuple[str, int]:
        """The address of a masked load, elsewhere where it reads nothing and may lie far beyond the array.

        Such a load is correct, but where no memory is it takes a hundred times as long.
        """
        mask = self.operand(stmt.mask) if stmt.mask else None
        near = place.lanes == "forward" and (self.near_row or not isinstance(stmt.offset.const, Size))
        if mask is None or mask.width and near:
            return place.pointer, depth
        guard, at = self._of_row(stmt.mask or "") if place.lanes == "forward" else (None, -1)
        guard, at = (guard, at) if guard else self._any(stmt, mask)
        depth = max(depth, at)
        return self._guarded(place.pointer, guard, depth), depth

    def _of_row(self, mask: str) -> tuple[str | None, int]:
        """What the conditions of `mask` that are the same in all lanes say; None where it has none.

        They tell rows that have a neighbour from those that have none. Where they hold, a neighbour is near: the test
        of all lanes, which every load would have to wait for, is not needed.
        """
        let = self.lets.get(mask)
        if mask in self.values and not self.values[mask].width:
            return self.values[mask].text, self.values[mask].depth
        if let is None or let.op != "logical_and":
            return None, -1
        (a, at), (b, there) = (self._of_row(arg) if isinstance(arg, str) else (None, -1) for arg in let.args)
        depth = max(at, there)
        return self.f.pure(f"and i1 {a}, {b}", depth) if a and b else a or b, depth

    def _read(self, text: str, depth: int, buffer: str, hint: str) -> tuple[str, int]:
        """Print a load; from a buffer never written here, in front of the loop in which its address stands still.

        One loop at most: the one around might turn without this one turning, where the address means nothing.
        """
        if buffer in self.written:
            return self.f.emit(text, hint), self.f.depth
        depth = min(max(depth, self.f.depth - 1), self.f.depth)
        return self.f.pure(text, depth, hint), depth

    def _to_register(self, text: str, dtype: str, width: int, depth: int) -> str:
        if dtype != "bool":
            return text
        return self.f.pure(
            f"icmp ne {'i8' if not width else f'<{width} x i8>'} {text}, {'zeroinitializer' if width else '0'}", depth
        )

    def _to_memory(self, text: str, dtype: str, width: int) -> str:
        if dtype != "bool":
            return text
        return self.f.emit(f"zext {register_type(dtype, width)} {text} to {f'<{width} x i8>' if width else 'i8'}")

    # ---- statements ---------------------------------------------------------------------------------------------
    def load(self, stmt: Load) -> None:
        place = self.place(stmt.buffer, stmt.offset)
        mask = self.operand(stmt.mask) if stmt.mask else None
        one = place.lanes == "one"
        self.values[stmt.name] = self._load_one(stmt, place, mask) if one else self._load_lanes(stmt, place)

    def _load_one(self, stmt: Load, place: Place, mask: Value | None) -> Value:
        dtype = stmt.dtype
        guard, depth = None, place.depth
        if mask:
            guard, at = self._any(stmt, mask)
            depth = max(depth, at)
        pointer = self._guarded(place.pointer, guard, depth)
        text, depth = self._read(
            f"load {memory_type(dtype)}, ptr {pointer}, align {ALIGN[memory_type(dtype)]}",
            depth,
            stmt.buffer,
            stmt.name,
        )
        value = Value(self._to_register(text, dtype, 0, depth), dtype, 0, depth)
        return self._choose(mask, value, stmt.other) if mask else value

    def _choose(self, mask: Value, value: Value, other: Operand | None) -> Value:
        """`value` where `mask` holds, else `other`."""
        assert other is not None, "a masked load names its other value"
        no = self.operand(other)
        width = max(mask.width, value.width, no.width)
        kind, depth = register_type(value.dtype, width), max(mask.depth, value.depth, no.depth)
        condition, yes, rest = ((self.f.widen(v, width) if width else v.text) for v in (mask, value, no))
        text = self.f.pure(f"select {register_type('bool', width)} {condition}, {kind} {yes}, {kind} {rest}", depth)
        return Value(text, value.dtype, width, depth)

    def _load_lanes(self, stmt: Load, place: Place) -> Value:
        f, dtype, element = self.f, stmt.dtype, memory_type(stmt.dtype)
        kind, mask, depth = f"<{self.lanes} x {element}>", *self.both_masks(stmt.mask)
        depth = max(depth, place.depth)
        mask = self._reverse(mask, "i1", depth) if mask and place.lanes == "backward" else mask
        suffix = f"v{self.lanes}{_suffix(element)}"
        if place.lanes == "strided" and not mask:
            return self._load_strided(stmt, place)
        if place.lanes in ("strided", "apart"):
            text = f.call(
                kind,
                f"llvm.masked.gather.{suffix}.v{self.lanes}p0",
                f"<{self.lanes} x ptr> {self._pointers(place, element)}, i32 {ALIGN[element]}, "
                f"<{self.lanes} x i1> {mask or ALL}, {kind} zeroinitializer",
                f"<{self.lanes} x ptr>, i32, <{self.lanes} x i1>, {kind}",
            )
        elif mask:
            pointer, depth = self._within_memory(stmt, place, depth)
            text = f.call(
                kind,
                f"llvm.masked.load.{suffix}.p0",
                f"ptr {pointer}, i32 {ALIGN[element]}, <{self.lanes} x i1> {mask}, {kind} zeroinitializer",
                f"ptr, i32, <{self.lanes} x i1>, {kind}",
            )
        else:
            text = f"load {kind}, ptr {place.pointer}, align {ALIGN[element]}"
        register, depth = self._read(text, depth, stmt.buffer, stmt.name)
        if place.lanes == "backward":
            register = self._reverse(register, element, depth)
        value = Value(self._to_register(register, dtype, self.lanes, depth), dtype, self.lanes, depth)
        zero = isinstance(stmt.other, Literal) and not any(stmt.other.bits)      # what a masked load leaves out
        return self._choose(self.operand(stmt.mask), value, stmt.other) if stmt.mask and not zero else value

    def _load_strided(self, stmt: Load, place: Place) -> Value:
        """One scalar load for each lane: 1.6 times as fast as a gather instruction."""
        f, element = self.f, memory_type(stmt.dtype)
        kind, register, depth = f"<{self.lanes} x {element}>", "poison", place.depth
        for lane in range(self.lanes):
            far = f.size(place.stride * lane)
            pointer = f.pure(f"getelementptr {element}, ptr {place.pointer}, i64 {far}", place.depth)
            text = f"load {element}, ptr {pointer}, align {ALIGN[element]}"
            one, depth = self._read(text, place.depth, stmt.buffer, stmt.name)
            register = f.pure(f"insertelement {kind} {register}, {element} {one}, i64 {lane}", depth)
        return Value(self._to_register(register, stmt.dtype, self.lanes, depth), stmt.dtype, self.lanes, depth)

    def _reverse(self, text: str, element: str, depth: int) -> str:
        order = ", ".join(f"i32 {self.lanes - 1 - k}" for k in range(self.lanes))
        kind = f"<{self.lanes} x {element}>"
        return self.f.pure(f"shufflevector {kind} {text}, {kind} poison, <{self.lanes} x i32> <{order}>", depth)

    def store(self, stmt: Store) -> None:
        place, value = self.place(stmt.buffer, stmt.offset), self.operand(stmt.value)
        mask = self.operand(stmt.mask) if stmt.mask else None
        if place.lanes == "one" and not value.width and not (mask and mask.width):
            self._store_one(value, self._guarded(place.pointer, mask and mask.text, self.f.depth))
        else:
            self._store_lanes(self.f.widen(value, self.lanes), value.dtype, place, self.both_masks(stmt.mask)[0])

    def _store_one(self, value: Value, pointer: str) -> None:
        element = memory_type(value.dtype)
        self.f.line(
            f"store {element} {self._to_memory(value.text, value.dtype, 0)}, ptr {pointer}, align {ALIGN[element]}"
        )

    def _store_lanes(self, text: str, dtype: str, place: Place, mask: str | None) -> None:
        f, element = self.f, memory_type(dtype)
        kind, align = f"<{self.lanes} x {element}>", ALIGN[element]
        text = self._to_memory(text, dtype, self.lanes)
        if place.lanes == "backward":
            text, mask = self._reverse(text, element, f.depth), mask and self._reverse(mask, "i1", f.depth)
        suffix = f"v{self.lanes}{_suffix(element)}"
        if place.lanes in ("forward", "backward"):
            if mask:
                f.line(
                    f.call(
                        "void",
                        f"llvm.masked.store.{suffix}.p0",
                        f"{kind} {text}, ptr {place.pointer}, i32 {align}, <{self.lanes} x i1> {mask}",
                        f"{kind}, ptr, i32, <{self.lanes} x i1>",
                    )
                )
            else:
                f.line(f"store {kind} {text}, ptr {place.pointer}, align {align}")
            return
        pointers = self._same_pointer(place) if place.lanes == "one" else self._pointers(place, element)
        f.line(
            f.call(
                "void",
                f"llvm.masked.scatter.{suffix}.v{self.lanes}p0",
                f"{kind} {text}, <{self.lanes} x ptr> {pointers}, i32 {align}, <{self.lanes} x i1> {mask or ALL}",
                f"{kind}, <{self.lanes} x ptr>, i32, <{self.lanes} x i1>",
            )
        )

    def _same_pointer(self, place: Place) -> str:
        """One address in all lanes: a scatter to it keeps the last lane."""
        return self.f.emit(f"getelementptr i8, ptr {place.pointer}, <{self.lanes} x i64> zeroinitializer")

    def update(self, stmt: Update) -> None:
        f, dtype = self.f, self.buffers[stmt.buffer].dtype
        place, value = self.place(stmt.buffer, stmt.offset), self.operand(stmt.value)
        indirect = any(self.values[name].width for name, _ in stmt.offset.terms)
        if self.lane_axis is None:
            mask = self.operand(stmt.mask).text if stmt.mask else None
            self._update_one(stmt.op, dtype, self._guarded(place.pointer, mask, f.depth), value.text)
        elif place.lanes == "one" or (indirect and self.kernel.serial):
            self._update_in_turn(stmt, place, f.widen(value, self.lanes))
        else:
            old = self._load_lanes(Load("old", dtype, stmt.buffer, stmt.offset), place)
            new = self.combine(stmt.op, dtype, old.text, f.widen(value, self.lanes), self.lanes)
            self._store_lanes(new, dtype, place, self.both_masks(stmt.mask)[0])

    def _update_one(self, op: str, dtype: str, pointer: str, value: str) -> None:
        element = memory_type(dtype)
        loaded = self.f.emit(f"load {element}, ptr {pointer}, align {ALIGN[element]}")
        old = self.f.emit(f"icmp ne i8 {loaded}, 0") if dtype == "bool" else loaded
        self._store_one(Value(self.combine(op, dtype, old, value, 0), dtype), pointer)

    def _update_in_turn(self, stmt: Update, place: Place, value: str) -> None:
        """Lanes that may meet on one element: one after the other."""
        f, dtype = self.f, self.buffers[stmt.buffer].dtype
        mask = self.both_masks(stmt.mask)[0]
        same = place.lanes == "one"
        pointers = self._same_pointer(place) if same else self._pointers(place, memory_type(dtype))
        for lane in range(self.lanes):
            pointer = f.emit(f"extractelement <{self.lanes} x ptr> {pointers}, i64 {lane}")
            item = f.emit(f"extractelement {register_type(dtype, self.lanes)} {value}, i64 {lane}")
            if mask:
                pointer = self._guarded(
                    pointer, f.emit(f"extractelement <{self.lanes} x i1> {mask}, i64 {lane}"), f.depth
                )
            self._update_one(stmt.op, dtype, pointer, item)


def _suffix(element: str) -> str:
    return {"double": "f64", "float": "f32"}.get(element, element)


__all__ = ["ALIGN", "Memory", "Place", "scalar_type"]
