"""The proof that threads work together: it holds for what is written, and fails for every defect planted in it."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "emulator"))

from emulator import EmulatedBatch, EmulationError  # noqa: E402
from programs import cumulative, examples, full_sum, plane_sum, pointwise, scatter, softmax, uniform_store  # noqa: E402

from pullback.codegen.cuda import write_cuda  # noqa: E402
from pullback.codegen.cuda_kernel import KernelWriter  # noqa: E402
from pullback.codegen.cuda_sync import ALL, UNIFORM, Access  # noqa: E402
from pullback.codegen.cuda_threads import (  # noqa: E402
    THREAD,
    THREADS,
    At,
    Block,
    Call,
    Line,
    Meet,
    Shared,
    Shuffle,
    Touch,
    alone,
    function,
    leaders,
    printed,
    turns,
)
from pullback.codegen.cuda_verify import verify  # noqa: E402
from pullback.dsl.errors import CompileError  # noqa: E402


def changed(functions, change):
    """Functions with `change(stmt)`, some statements, for every statement."""
    def walk(stmts):
        inside = [replace(s, body=walk(s.body)) if isinstance(s, Block) else s for s in stmts]
        return tuple(found for s in inside for found in change(s))

    return [replace(f, body=walk(f.body)) for f in functions]


def planted(program, kind, number, change):
    """`program`'s functions, with the statement of `kind` of this number changed."""
    seen = iter(range(1000))
    return changed(write_cuda(program).functions,
                   lambda s: change(s) if isinstance(s, kind) and next(seen) == number else (s,))


def count(program, kind):
    found = []
    changed(write_cuda(program).functions, lambda s: found.append(s) or (s,) if isinstance(s, kind) else (s,))
    return len(found)


def kernel(*stmts):
    return [function("k", "__global__ void k(double* x, index_t n)", [THREAD, THREADS, *stmts])]


@pytest.mark.parametrize("name", examples())
def test_every_example_is_proved(name):
    verify(write_cuda(examples()[name][0]).functions)


@pytest.mark.parametrize("name", examples())
def test_nothing_that_threads_do_together_is_printed_beside_the_form(name):
    text, program = write_cuda(examples()[name][0]).text, examples()[name][0]
    for kind, word in ((Meet, "__syncthreads("), (Shuffle, "__shfl"), (Shared, "__shared__")):
        assert text.count(word) == count(program, kind)


def without_barrier(text, number):
    """A text and its functions without the barrier of this number."""
    seen = iter(range(1000))
    functions = changed(text.functions, lambda s: () if isinstance(s, Meet) and next(seen) == number else (s,))
    whole = text.text
    for old, new in zip(text.functions, functions, strict=True):
        body, changed_body = ("\n".join(printed(f.body, 1)) for f in (old, new))
        assert body in old.text
        whole = whole.replace(old.text, old.text.replace(body, changed_body))
    return replace(text, text=whole, functions=tuple(functions))


def is_proved(functions):
    try:
        verify(functions)
    except CompileError:
        return False
    return True


@pytest.mark.skipif(shutil.which("g++") is None, reason="the emulator is compiled by g++")
def test_what_is_proved_runs_without_a_race():
    """Every barrier of every example left out: where the proof still holds, a run finds nothing, but many elsewhere."""
    batch, runs = EmulatedBatch(), []
    for name, (program, inputs, _, *sizes) in examples().items():
        text = write_cuda(program)
        for number in range(text.text.count("__syncthreads();")):
            less = without_barrier(text, number)
            assert less.text.count("__syncthreads();") == text.text.count("__syncthreads();") - 1
            runs.append((name, number, is_proved(less.functions), batch.add(program, less), inputs, sizes))
    races = 0
    for name, number, proved, handle, inputs, sizes in runs:
        try:
            batch.run(handle, inputs, *sizes)
        except EmulationError as error:
            assert not proved, (name, number, str(error)[:300])
            races += 1
    assert races > 10 and any(proved for _, _, proved, *_ in runs)


# Barriers of each program, by number, without which nothing orders two touches.
NEEDED = {"softmax": (softmax, {0, 1, 2, 3}), "plane_sum": (plane_sum, {0, 1}), "full_sum": (full_sum, {0, 1}),
          "uniform_store": (uniform_store, {0, 2, 3}), "scatter": (scatter, {0, 1})}


@pytest.mark.parametrize(("name", "number"), [(n, b) for n, (_, barriers) in NEEDED.items() for b in barriers])
def test_a_missing_barrier(name, number):
    program = NEEDED[name][0]()
    assert number < count(program, Meet)
    with pytest.raises(CompileError, match="with no barrier between"):
        verify(planted(program, Meet, number, lambda s: ()))


APART = {
    "the first thread": lambda s: (alone(s),),
    "a thread of each warp": lambda s: (leaders(5, s),),
    "some threads": lambda s: (Block("if (thread < 7)", (s,)),),
    "turns of each thread": lambda s: (Block("for (index_t t = thread; t < n; t += threads)", (s,), ("t",)),),
    "turns that a value of each thread counts": lambda s: (
        Line("const index_t mine = thread / 2;", ("mine",)), turns("t", 0, 3, Block("if (t < mine)", (s,))),),
    "turns that end for each thread at another time": lambda s: (
        Line("index_t mine = 0;", ("mine",)),
        Block("for (index_t t = 0; t < n && mine < 9; ++t)", (s, Line("mine += thread;", ("mine",))), ("t",)),),
}


@pytest.mark.parametrize("where", APART)
@pytest.mark.parametrize(("kind", "said"), [(Meet, "barrier"), (Shuffle, "shuffle"), (Call, "call of pb_fold")])
def test_threads_that_do_not_all_come(where, kind, said):
    with pytest.raises(CompileError, match=f"not all threads come to the {said}|with no barrier between"):
        verify(planted(softmax(), kind, 0, APART[where]))


@pytest.mark.parametrize("head", ["if (n > 7)", "if (blockIdx.x == 3)", "for (index_t t = 0; t < n; ++t)"])
def test_threads_that_all_come(head):
    verify(kernel(Block(head, (Meet(),), ("t",) if head.startswith("for") else ())))


def test_what_a_function_of_all_threads_returns_is_alike():
    """So a loop may run until it says to stop."""
    found = write_cuda(full_sum()).functions
    fold = next(f for f in found if f.name == "pb_fold_add_float64")
    value, call = Line("double v = x[thread];", ("v",)), Call(fold.name, ("v",), "v")
    until = Block("if (v > 0)", (Meet(),))
    verify([fold, *kernel(value, call, until)])
    with pytest.raises(CompileError, match="not all threads come to the barrier"):
        verify([fold, *kernel(value, until)])


INDEX = {
    "behind": (128, At("thread"), (), r"a has 128 elements, and \[0..255\] is touched"),
    "behind, shifted": (7, At("thread", 5), (), r"a has 7 elements, and \[0..7\]"),
    "before": (9, -1, (), r"a has 9 elements, and \[-1..-1\]"),
    "of a loop": (255, At("s"), ("s", 0, At("threads")), r"a has 255 elements, and \[0..255\]"),
    "of a loop that begins late": (255, At("s"), ("s", At("thread"), At("threads")), r"and \[0..255\]"),
    "of nobody knows what": (999, At("n"), (), "nothing is known of the index n"),
}


@pytest.mark.parametrize("name", INDEX)
def test_an_index_outside_of_a_shared_array(name):
    size, index, loop, said = INDEX[name]
    line = Line("const double y = a[0];", ("y",), (Touch("a", index),))
    with pytest.raises(CompileError, match=said):
        verify(kernel(Shared("double", "a", size), turns(*loop, line) if loop else line))


def test_indices_within_a_shared_array():
    loops = (256, At("s"), ("s", 0, At("threads"))), (255, At("s"), ("s", 0, At("thread")))
    warps = (8, At("thread", 5), ()), (8, At("w"), ("w", 1, At("threads", 5)))
    for size, index, loop in ((256, At("thread"), ()), *loops, *warps):
        line = Line("const double y = a[0];", ("y",), (Touch("a", index),))
        verify(kernel(Shared("double", "a", size), turns(*loop, line) if loop else line))


@pytest.mark.parametrize("around", [lambda s: s, lambda s: leaders(4, s), lambda s: Block("if (n > 3)", (s,))])
def test_threads_that_write_one_element(around):
    write = Line("a[thread >> 5] = 1;", (), (Touch("a", At("thread", 5), writes=True),))
    with pytest.raises(CompileError, match="several threads write one element of a"):
        verify(kernel(Shared("double", "a", 32), around(write)))
    verify(kernel(Shared("double", "a", 32), leaders(5, write), Meet()))


def test_a_store_of_every_thread_where_one_should():
    with pytest.raises(CompileError, match="every thread writes what one should"):
        verify(planted(uniform_store(), Line, next(n for n in range(99) if stores_alone(n)),
                       lambda s: (replace(s, text=s.text.removeprefix("if (thread == 0) ")),)))


def stores_alone(number):
    found = []
    planted(uniform_store(), Line, number, lambda s: found.append(s) or (s,))
    return found[0].text.startswith("if (thread == 0) s[")


@pytest.mark.parametrize("text", ["__syncthreads();", "return;", "v = __shfl_xor_sync(0xffffffffu, v, 1);",
                                  "while (n) --n;", "goto end;", "__shared__ double b[3];"])
def test_a_line_that_hides_what_threads_do_together(text):
    with pytest.raises(CompileError, match="holds what only other statements may"):
        verify(kernel(Line(text)))


def test_a_line_that_hides_a_touch_of_shared_memory():
    with pytest.raises(CompileError, match="without saying so"):
        verify(kernel(Shared("double", "a", 32), Line("a[thread] = 1;")))
    with pytest.raises(CompileError, match="the head of a block touches"):
        verify(kernel(Shared("double", "a", 32), Block("if (a[0] > 1)", ())))


def test_a_head_that_does_not_say_who_enters():
    with pytest.raises(CompileError, match="not as many threads enter"):
        verify(kernel(replace(alone(), head="if (thread < 2)")))


@pytest.mark.parametrize("make", [uniform_store, softmax])
def test_every_text_is_proved_as_it_is_written(monkeypatch, make):
    """A writer without barriers does not get its text out where the kernel needs them."""
    write_cuda(make())
    monkeypatch.setattr(KernelWriter, "barrier_if", lambda self, needed: None)
    if make is softmax:                       # its barriers are those of the folds
        write_cuda(make())
    else:
        with pytest.raises(CompileError, match="k0: threads touch s .* with no barrier between"):
            write_cuda(make())


def test_kernels_without_threads_that_meet():
    for make in (pointwise, cumulative):
        assert count(make(), Meet) == count(make(), Shuffle) == 0


@pytest.mark.parametrize(("count", "proved"), (("n", False), ("0", False), ("3", True)))
def test_a_loop_that_may_take_no_turn_is_no_barrier(count, proved):
    """What was written before it is still to be waited for after it; one of three turns has met at its barrier."""
    write = Line("if (thread == 0) x[0] = 1.0;", touches=(Access("x", False, True, UNIFORM, True),))
    read = Line("const double x_at = x[0];", ("x_at",), (Access("x", True, False, ALL, False),))
    loop = Block(f"for (index_t k = 0; k < {count}; ++k)", (Meet(),), ("k",))
    assert is_proved(kernel(write, loop, read)) == proved
