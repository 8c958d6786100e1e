"""`check` accepts what is planned and finds what is broken."""

from dataclasses import replace

import numpy as np
import pytest
from target_contract import job_of

from pullback.codegen.check import check
from pullback.codegen.program import Kernel, Let, Literal, Load, Offset, Program, Store, Update
from pullback.dsl.node import FUNCTIONS

X = np.ones((4, 5))
PROGRAM = job_of(lambda x: (FUNCTIONS["exp"](x) * 2.0, FUNCTIONS["sum"](x)), [X])[1]
(KERNEL,) = PROGRAM.kernels()
INSIDE = Offset(0, ((KERNEL.rows.name, 1),))


def with_body(*body) -> Program:
    return replace(PROGRAM, steps=(replace(KERNEL, body=(*KERNEL.body, *body)),))


def without(kind) -> Program:
    return replace(PROGRAM, steps=(replace(KERNEL, body=tuple(s for s in KERNEL.body if not isinstance(s, kind))),))


def read(buffer="x0", name="again", dtype="float64", offset=INSIDE, **more) -> Load:
    return Load(name, dtype, buffer, offset, **more)


BROKEN = {
    "is not known here": with_body(Let("a", "float64", "exp", ("nowhere",))),
    "is defined twice": with_body(read(), read()),
    "dtype of the buffer": with_body(read(dtype="float32")),
    "on \\('float64', 'int64'\\)": with_body(read(), Let("b", "float64", "add", ("again", Literal.of(1, "int64")))),
    "mentions elsewhere": with_body(read(offset=Offset(0, (("elsewhere", 1),)))),
    "a mask goes with other": with_body(read(), read(name="masked", mask="again")),
    "writes a buffer of kind input": with_body(Store("x0", INSIDE, Literal.of(1, "float64"))),
    "write one place": with_body(Update("add", PROGRAM.outputs[0], Offset(), Literal.of(1, "float64"))),
    "nothing writes": without(Store),
    "are not passed by the host": replace(PROGRAM, sizes=PROGRAM.sizes[1:]),
    "is a temporary": replace(PROGRAM, outputs=tuple(n for n, b in PROGRAM.buffers.items() if b.kind == "temp")),
}


def test_what_is_planned_is_well_formed():
    assert isinstance(KERNEL, Kernel)
    check(PROGRAM)


@pytest.mark.parametrize("words", BROKEN)
def test_what_is_broken_is_found(words):
    with pytest.raises(AssertionError, match=words):
        check(BROKEN[words])


def test_temporaries_that_overlap_are_found():
    program = job_of(lambda x: x / FUNCTIONS["sum"](x) + FUNCTIONS["max"](x), [X])[1]
    placed = {n: replace(b, place=0) if b.kind == "temp" else b for n, b in program.buffers.items()}
    with pytest.raises(AssertionError, match="overlap"):
        check(replace(program, buffers=placed))
