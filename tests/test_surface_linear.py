"""Products that sum, against NumPy: every rank, broadcasting, integers, einsum's grammar, error texts."""

import itertools

import numpy as np
import pytest
from against_numpy import check, pb, typed

from pullback.dsl.errors import ShapeError
from pullback.dsl.node import toposort

RNG = np.random.default_rng(0)


def data(*shape, dtype="f8"):
    if np.dtype(dtype).kind == "f":
        return RNG.normal(size=shape).astype(dtype)
    return RNG.integers(-5, 5, shape).astype(dtype)


MATMULS = [((4,), (4,)), ((3, 4), (4,)), ((3,), (3, 4)), ((3, 4), (4, 5)), ((2, 3, 4), (4, 5)), ((3, 4), (2, 4, 5)),
           ((2, 3, 4), (2, 4, 5)),
           ((2, 1, 3, 4), (5, 4, 2)), ((1, 3, 4), (6, 4, 1)), ((2, 3, 4), (4,)), ((4,), (2, 4, 3)), ((3, 0), (0, 2)),
           ((0, 3), (3, 2)),
           ((3, 1), (1, 4)), ((1, 1), (1, 1)), ((5, 1, 2, 3), (1, 6, 3, 2))]


@pytest.mark.parametrize("shapes", MATMULS, ids=str)
def test_matmul(shapes):
    a, b = data(*shapes[0]), data(*shapes[1])
    check(lambda xp, a, b: (a @ b, xp.matmul(a, b)), a, b, rtol=1e-10)
    check(lambda xp, a, b: a @ b, a.astype("f4"), (b * 3).astype("i2"), rtol=1e-4)


def test_dtypes_of_products():
    for x, y in (("i4", "i4"), ("i8", "i2"), ("?", "?"), ("f4", "f4"), ("?", "f8")):
        a, b = data(3, 4, dtype="i4").astype(x), data(4, 2, dtype="i4").astype(y)
        check(lambda xp, a, b: (a @ b, xp.dot(a, b), xp.tensordot(a, b, 1), xp.outer(a, b)), a, b)


def test_matmul_errors_name_the_axes():
    x = typed("x", data(3, 4))
    with pytest.raises(ShapeError,
                       match=r"x \(3, 4\) by y \(5, 2\): the last axis of the first has 4, .* to last .* has 5"):
        x @ typed("y", data(5, 2))
    with pytest.raises(ShapeError, match=r"transpose the second with \.mT"):
        x @ typed("y", data(5, 4))
    with pytest.raises(ShapeError, match=r"transpose the first with \.mT"):
        x @ typed("y", data(3))
    with pytest.raises(ShapeError, match=r"a \* b"):
        x @ typed("s", np.array(2.0))
    with pytest.raises(ShapeError, match="do not broadcast"):
        typed("x", data(2, 3, 4)) @ typed("y", data(3, 4, 5))
    with pytest.raises(ShapeError, match="do not broadcast|matmul takes"):
        x @ 2.0


def test_matmul_is_one_contraction_without_broadcasts():
    nodes = toposort([typed("a", data(2, 1, 3, 4)) @ typed("b", data(5, 4, 2))])
    assert [n.op for n in nodes if n.op != "var"] == ["reshape", "contract"]


def test_dot_inner_vdot_outer_tensordot():
    for a, b in itertools.product([data(4), data(3, 4), data(2, 3, 4), np.array(2.0)],
                                  [data(4), data(4, 5), data(2, 4, 3), np.array(3.0)]):
        check(lambda xp, a, b: xp.dot(a, b), a, b, rtol=1e-10)
    for a, b in itertools.product([data(4), data(3, 4)], [data(4), data(2, 4), np.array(3.0)]):
        check(lambda xp, a, b: (xp.inner(a, b), xp.outer(a, b)), a, b, rtol=1e-10)
    check(lambda xp, a, b: (xp.vdot(a, b), xp.vecdot(a, b), xp.vecdot(a, b, axis=0)), data(3, 4), data(3, 4))
    check(lambda xp, a, b: (xp.tensordot(a, b, 2), xp.tensordot(a, b, ([1, 2], [0, 1])), xp.tensordot(a, b, 0)),
          data(2, 3, 4), data(3, 4, 5))
    check(lambda xp, a, b: (xp.tensordot(a, b, axes=(2, 1)), xp.tensordot(a, b, axes=([0, 2], [2, 1]))), data(2, 3, 4),
          data(3, 4, 2))
    check(lambda xp, a, b: (xp.kron(a, b), xp.kron(a, b[0])), data(2, 3), data(4, 2))
    check(lambda xp, a, b: (xp.cross(a, b), xp.cross(a, b[0])), data(5, 3), data(5, 3))
    check(lambda xp, a, b: a.dot(b), data(3, 4), data(4))
    with pytest.raises(ShapeError, match="4 against 5"):
        pb.inner(typed("a", data(3, 4)), typed("b", data(5)))
    with pytest.raises(ShapeError, match="do not pair up"):
        pb.tensordot(typed("a", data(3, 4)), typed("b", data(4, 3)), axes=([0, 1], [1]))


EINSUMS = [
    ("ij,jk->ik", (2, 3), (3, 4)), ("ij,jk", (2, 3), (3, 4)), ("ij->ji", (2, 3)), ("ij->", (2, 3)), ("ij->j", (2, 3)),
    ("ii->i", (3, 3)),
    ("ii", (3, 3)), ("iij->ji", (3, 3, 2)), ("ij,ij->ij", (2, 3), (2, 3)), ("i,j->ij", (2,), (3,)),
    ("i,i->", (3,), (3,)),
    ("ba", (2, 3)), ("bij,bjk->bik", (2, 3, 4), (2, 4, 5)), ("...ij,...jk->...ik", (2, 3, 4), (4, 5)),
    ("...i,...i", (2, 3), (3,)),
    ("i...->...", (3, 2, 4)), ("...j->j...", (3, 2, 4)), ("ij,jk,kl->il", (2, 3), (3, 4), (4, 5)),
    ("ij,ik,il->jkl", (2, 3), (2, 4), (2, 2)),
    ("ijk,jil->kl", (2, 3, 4), (3, 2, 5)), ("ij,kl->", (2, 3), (4, 5)), ("ij,kl->il", (2, 3), (4, 5)),
    (" i j , j k -> k i ", (2, 3), (3, 4)),
    ("ii,i->i", (3, 3), (3,)), ("kd,de->kde", (3, 2), (2, 2)), ("kij,nkj->nki", (3, 2, 2), (5, 3, 2)),
    ("a,b,c,d->abcd", (2,), (3,), (2,), (2,)),
    ("ij,jk->ik", (2, 1), (3, 4)), ("i,i->i", (1,), (4,)),
    ("ab,bc,cd,de,ea->", (2, 3), (3, 4), (4, 2), (2, 3), (3, 2)), ("->", ()),
    (",i->i", (), (3,)), ("iii->i", (3, 3, 3)), ("ijij->ij", (2, 3, 2, 3)), ("ij,jk->ik", (2, 0), (0, 3)),
    ("A,Ab->bA", (2,), (2, 3)),
]


@pytest.mark.parametrize("case", EINSUMS, ids=lambda c: c[0])
def test_einsum(case):
    subscripts, *shapes = case
    operands = [data(*s) for s in shapes]
    check(lambda xp, *args: xp.einsum(subscripts, *args), *operands, rtol=1e-9)
    check(lambda xp, *args: xp.einsum(subscripts, *args), *[(10 * o).astype(int) for o in operands], forms=("static",))


def test_einsum_errors():
    a, b = typed("a", data(2, 3)), typed("b", data(4, 5))
    for subscripts, words in (("ij,jk->ik", "'j' has 3 elements in one operand, 4"), ("ij->ij", "1 terms for 2"),
                              ("i,jk->k", "2 axes"),
                              ("ij,kl->ijz", "label of the result"), ("i1,kl->i", "letters"),
                              ("ij,kl->iij", "occurs once")):
        with pytest.raises(ShapeError, match=words):
            pb.einsum(subscripts, a, b)
    with pytest.raises(ShapeError, match="as text first"):
        pb.einsum(a, [0, 1], b, [1, 2])
    with pytest.raises(ShapeError, match="diagonal over 'i'"):
        pb.einsum("ii", a)


def test_einsum_contracts_two_at_a_time():
    x, y, z = (typed(n, data(30, 30)) for n in "xyz")
    nodes = toposort([pb.einsum("ij,jk,kl->il", x, y, z)])
    assert sum(n.op == "contract" for n in nodes) == 2
    nodes = toposort([pb.einsum("ij,jk,k->i", x, y, typed("v", data(30)))])
    assert [len(n.shape) for n in nodes if n.op == "contract"] == [1, 1]
