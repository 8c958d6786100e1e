"""Library steps as LLVM IR: a function for each routine, which calls LAPACK for every element of the batch, and the
call of the host for routines without a Fortran pointer.
"""

from __future__ import annotations

import json
from typing import Any

from ..dsl.size import Dim, Size, product
from .abi import HOST, ROUTINES
from .lapack import NATIVE, calls_of, native_row
from .program import Library, Program

# The letter of the routines and the type of numbers, of complex ones that of their parts.
TYPES = {"float64": ("d", "double"), "float32": ("s", "float"),
         "complex128": ("z", "double"), "complex64": ("c", "float")}
SMALL = 128 * 128        # elements of a matrix up to which BLAS leaves it to one thread

DECLARATION = "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)\n"

SUPPORT = """
define internal void @fill_nan_TYPE(ptr %x, i64 %count) #0 {
entry:
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %turn ]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %turn, label %done
turn:
  %place = getelementptr TYPE, ptr %x, i64 %i
  store TYPE 0x7FF8000000000000, ptr %place
  %next = add i64 %i, 1
  br label %head
done:
  ret void
}

define internal i1 @zero_on_diagonal_TYPE(ptr %x, i64 %n, i64 %parts) #0 {
entry:
  %after = add i64 %n, 1
  %stride = mul i64 %after, %parts
  %last = sub i64 %parts, 1
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %turn ]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %turn, label %none
turn:
  %step = mul i64 %i, %stride
  %place = getelementptr TYPE, ptr %x, i64 %step
  %other = getelementptr TYPE, ptr %place, i64 %last
  %value = load TYPE, ptr %place
  %value.other = load TYPE, ptr %other
  %zero.one = fcmp oeq TYPE %value, 0.0
  %zero.other = fcmp oeq TYPE %value.other, 0.0
  %zero = and i1 %zero.one, %zero.other
  %next = add i64 %i, 1
  br i1 %zero, label %found, label %head
found:
  ret i1 true
none:
  ret i1 false
}
"""


def step_type(step: Library) -> str:
    """The dtype that a routine computes in: that of its first operand."""
    return str(step.attr("dtype"))


def core_counts(program: Program, step: Library) -> list[Dim]:
    """Numbers in one element of the batch, of each result, then of each operand; complex ones are two."""
    cut, shapes = len(step.attr("batch")), (*step.attr("results"), *step.attr("shapes"))  # type: ignore[arg-type,misc]
    names = [*step.targets[: len(step.attr("results"))], *step.operands]  # type: ignore[arg-type]
    return [product(shape[cut:]) * (1 + program.buffers[name].pairs)
            for (name, _), shape in zip(names, shapes, strict=True)]


def function_name(step: Library) -> str:
    static = "".join(f"_{key}_{value}" for key, value in dict(step.attr("static")).items())  # type: ignore[call-overload]
    calls, dims = calls_of(step)
    ones = "".join(f"_{name}_1" for name, dim in dims.items() if isinstance(dim, int) and dim == 1)
    wanted = "".join(f"_{k}" for k in step.attr("wanted"))  # type: ignore[attr-defined]
    return f"run_{step.routine}{wanted}{static}{ones}_{TYPES[step_type(step)][0]}"


def runs_natively(step: Library) -> bool:
    return step.routine in NATIVE and step_type(step) in TYPES


def is_shared(step: Library) -> bool:
    """Whether several threads may compute matrices of the batch at once: no scratch memory, one for all, is needed."""
    batch = product(step.attr("batch")) if runs_natively(step) else 1  # type: ignore[arg-type]
    return not native_row(step).scratch if isinstance(batch, Size) or batch > 1 else False


class RoutineWriter:
    """Prints the function that runs one routine: results, operands, scratch memory, integers, elements of the batch,
    then what every step is given.
    """

    def __init__(self, program: Program, step: Library) -> None:
        self.step, self.native = step, native_row(step)
        self.letter, self.type = TYPES[step_type(step)]
        self.parts = 1 + step_type(step).startswith("complex")
        self.calls, self.dims = calls_of(step)
        count = len(step.attr("results"))  # type: ignore[arg-type]
        kinds = [self.memory(program, name) for name, _ in step.targets]
        self.memories = {f"t{k}": kind for k, kind in enumerate(kinds[:count])}
        self.memories |= {f"o{k}": self.memory(program, name) for k, (name, _) in enumerate(step.operands)}
        self.scratch = [f"s{k}" for k in range(len(kinds) - count)]
        self.name = function_name(step)

    def memory(self, program: Program, name: str) -> str:
        dtype = program.buffers[name].dtype
        return TYPES[dtype][1] if dtype in TYPES else "i" + dtype.lstrip("uint")

    def write(self) -> str:
        pointers = [f"ptr %{name}.all, i64 %{name}.count" for name in self.memories]
        pointers += [f"ptr %{name}" for name in self.scratch]
        integers = [f"i64 %{name}" for name in self.dims]
        head = ", ".join([*pointers, *integers, "i64 %batch", "ptr %blas, ptr %args, ptr %pending, i64 %thread"])
        entry, words = self.entry(), self.words()
        body = [*self.copies(), *self.guard(), *self.called(), "br label %next"]
        failed = [f"call void @fill_nan_{self.type}(ptr %{t}, i64 %{t}.count)"
                  for t, kind in self.memories.items() if t.startswith("t") and kind == self.type]
        lines = [f"define internal void @{self.name}({head}) noinline #0 {{", "entry:", *entry, *words,
                 "br label %head", "head:", "%own = phi i64 [ 0, %prepare ], [ %own.next, %next ]",
                 "br i1 %shared, label %take, label %pick",
                 "take:", "%taken = atomicrmw add ptr %team, i64 1 monotonic", "br label %pick",
                 "pick:", "%i = phi i64 [ %own, %head ], [ %taken, %take ]", "%more = icmp slt i64 %i, %batch",
                 "br i1 %more, label %turn, label %finish", "turn:", *self.places(), *body,
                 "failed:", *failed, "br label %next",
                 "next:", "%own.next = add i64 %own, 1", "br label %head",
                 "finish:", "br i1 %shared, label %gather, label %done",
                 "gather:", "call void @meet_all(ptr %args, i64 %thread)", "br label %done",
                 "done:", "ret void", "}", ""]
        return "\n".join(lines)

    def entry(self) -> list[str]:
        """All threads take matrices of a batch, unless they are so large that BLAS has threads of its own for each;
        else thread 0 runs the routine. Where a size is 0 results are empty, or sums over nothing.
        """
        lines = ["%info = alloca i32",
                 f"%one = alloca [2 x {self.type}]", f"%zero = alloca [2 x {self.type}]",
                 f"%ints = alloca [{max(1, len(self.integers()))} x i32]",
                 f"%chars = alloca [{max(1, len(self.characters()))} x i8]", "%go.0 = icmp sge i64 %batch, 0"]
        for k, name in enumerate(self.dims):
            lines += [f"%some.{k} = icmp sgt i64 %{name}, 0", f"%go.{k + 1} = and i1 %go.{k}, %some.{k}"]
        go = f"%go.{len(self.dims)}"
        lines += [*self.sharing(go),
                  "br i1 %shared, label %together, label %single",
                  "together:", "call void @meet(ptr %args, ptr %pending, i64 %thread)", "br label %prepare",
                  "single:", "store i64 1, ptr %pending", "%first = icmp eq i64 %thread, 0",
                  "br i1 %first, label %start, label %done", "start:", f"br i1 {go}, label %prepare, label %empty",
                  "empty:"]
        for name, kind in self.memories.items():
            if name.startswith("t"):
                size = {"double": 8, "float": 4}.get(kind, 4)
                lines += [f"%{name}.elements = mul i64 %batch, %{name}.count",
                          f"%{name}.bytes = mul i64 %{name}.elements, {size}",
                          f"call void @llvm.memset.p0.i64(ptr %{name}.all, i8 0, i64 %{name}.bytes, i1 false)"]
        return [*lines, "br label %done", "prepare:"]

    def sharing(self, go: str) -> list[str]:
        """Whether other threads take matrices too."""
        return ["%threads.place = getelementptr i64, ptr %args, i64 5", "%threads = load i64, ptr %threads.place",
                "%team.place = getelementptr i64, ptr %args, i64 4", "%team = load ptr, ptr %team.place",
                "%others = icmp sgt i64 %threads, 1", "%several = icmp sgt i64 %batch, 1",
                f"%small = icmp sle i64 %o0.count, {SMALL if is_shared(self.step) else 0}",
                f"%shared.0 = and i1 %others, {go}", "%shared.1 = and i1 %shared.0, %several",
                "%shared = and i1 %shared.1, %small"]

    def tokens(self) -> list[str]:
        return [token for call in self.calls for token in call.split()[1:]]

    def integers(self) -> list[str]:
        return list(dict.fromkeys(t for t in self.tokens() if t in self.dims or t.lstrip("-").isdigit()))

    def characters(self) -> list[str]:
        return list(dict.fromkeys(t for t in self.tokens() if t.startswith("'")))

    def words(self) -> list[str]:
        """What the calls point to: integers, characters, the number one."""
        number = f"[2 x {self.type}]"
        lines = [f"store {number} [{self.type} 1.0, {self.type} 0.0], ptr %one",
                 f"store {number} zeroinitializer, ptr %zero", "store i32 0, ptr %info"]
        for k, token in enumerate(self.integers()):
            value = token if token not in self.dims else f"%{token}.narrow"
            if token in self.dims:
                lines.append(f"{value} = trunc i64 %{token} to i32")
            lines += [f"%int.{k} = getelementptr i32, ptr %ints, i64 {k}", f"store i32 {value}, ptr %int.{k}"]
        for k, token in enumerate(self.characters()):
            lines += [f"%char.{k} = getelementptr i8, ptr %chars, i64 {k}", f"store i8 {ord(token[1])}, ptr %char.{k}"]
        for name in dict.fromkeys(call.split()[0] for call in self.calls if not call.startswith("copy")):
            lines += [f"%{name}.slot = getelementptr ptr, ptr %blas, i64 {ROUTINES.index(self.letter + name)}",
                      f"%{name} = load ptr, ptr %{name}.slot"]
        return lines

    def places(self) -> list[str]:
        """Where the memory of element i of the batch lies."""
        lines = []
        for name, kind in self.memories.items():
            lines += [f"%{name}.step = mul i64 %i, %{name}.count",
                      f"%{name} = getelementptr {kind}, ptr %{name}.all, i64 %{name}.step"]
        return lines

    def copies(self) -> list[str]:
        lines = []
        for k, start in enumerate(self.native.starts):
            if start is not None:
                lines += self.copy(f"bytes.{k}", f"t{k}", f"o{start}")
        return lines

    def copy(self, size: str, target: str, source: str) -> list[str]:
        return [f"%{size} = mul i64 %{source}.count, {8 if self.type == 'double' else 4}",
                f"call void @llvm.memmove.p0.p0.i64(ptr %{target}, ptr %{source}, i64 %{size}, i1 false)"]

    def guard(self) -> list[str]:
        if not self.native.diagonal(**dict(self.step.attr("static"))):  # type: ignore[call-overload]
            return []
        return [f"%singular = call i1 @zero_on_diagonal_{self.type}(ptr %o0, i64 %n, i64 {self.parts})",
                "br i1 %singular, label %failed, label %regular", "regular:"]

    def called(self) -> list[str]:
        lines = []
        for k, call in enumerate(self.calls):
            name, *tokens = call.split()
            if name == "copy":
                lines += self.copy(f"bytes.call.{k}", *tokens)
                continue
            lines.append(f"call void %{name}({', '.join('ptr ' + self.argument(t) for t in tokens)})")
            if self.native.fails:
                lines += [f"%info.{k} = load i32, ptr %info", f"%bad.{k} = icmp ne i32 %info.{k}, 0",
                          f"br i1 %bad.{k}, label %failed, label %good.{k}", f"good.{k}:"]
        return lines

    def argument(self, token: str) -> str:
        if token in self.integers():
            return f"%int.{self.integers().index(token)}"
        return f"%char.{self.characters().index(token)}" if token.startswith("'") else f"%{token}"


HOST_CALL = f"""
define internal void @run_host(ptr %text, ptr %words, ptr %blas, ptr %pending, i64 %thread) noinline #0 {{
entry:
  store i64 1, ptr %pending
  %first = icmp eq i64 %thread, 0
  br i1 %first, label %run, label %done
run:
  %slot = getelementptr ptr, ptr %blas, i64 {ROUTINES.index(HOST)}
  %host = load ptr, ptr %slot
  call void %host(ptr %text, ptr %words)
  br label %done
done:
  ret void
}}
"""


def host_description(program: Program, step: Library) -> tuple[str, list[Dim]]:
    """What the host is told of a step: a text, and the sizes that go with it. Shapes and static sizes are places among
    the sizes, `{"size": k}`.
    """
    sizes: list[Dim] = []

    def place(dim: Dim) -> dict[str, int]:
        sizes.append(dim)
        return {"size": len(sizes) - 1}

    def value(v: Any) -> Any:
        return place(v) if isinstance(v, Size) else [value(e) for e in v] if isinstance(v, tuple) else v

    names = [*step.operands, *step.targets]
    shapes = [*step.attr("shapes"), *step.attr("results")]  # type: ignore[misc]
    facts = {
        "routine": step.routine,
        "operands": len(step.operands),
        "arrays": [[program.buffers[name].element, [place(d) for d in shape]]
                   for (name, _), shape in zip(names, shapes, strict=True)],
        "static": {key: value(v) for key, v in dict(step.attr("static")).items()},  # type: ignore[call-overload]
    }
    return json.dumps(facts), sizes


def library_functions(program: Program, steps: list[Library]) -> list[str]:
    """The functions that the library steps of a program call."""
    own = [s for s in steps if s.routine not in ("gemm", "copy")]
    native = {function_name(s): s for s in own if runs_natively(s)}
    kinds = {TYPES[step_type(s)][1] for s in native.values()}
    texts = [DECLARATION] * bool(native) + [SUPPORT.replace("TYPE", kind) for kind in sorted(kinds)]
    texts += [RoutineWriter(program, step).write() for step in native.values()]
    return texts + [HOST_CALL] * (len([s for s in own if not runs_natively(s)]) > 0)
