"""Random numbers: the published vectors of Philox, the same bits on every target, distributions, keys, fusion."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from against_numpy import typed
from scipy import stats
from target_contract import assert_agree, expected, job_of, run_numba_text, run_on_cpu

sys.path.insert(0, str(Path(__file__).parent / "emulator"))

from emulator import run_program  # noqa: E402
from expressions import inputs_of  # noqa: E402

import pullback as pb  # noqa: E402
from pullback.dsl.philox import philox4x32, word  # noqa: E402

KEY = np.array([20260101, 77], np.uint32)
COUNT = 40_000


def array(expression):
    return np.asarray(expression)


def philox_in_python(counter, key):
    """The same function on Python's integers."""
    (a, b, c, d), (k, m) = counter, key
    for _ in range(10):
        p, q = a * 0xD2511F53, c * 0xCD9E8D57
        a, b, c, d = (q >> 32) ^ b ^ k, q % 2**32, (p >> 32) ^ d ^ m, p % 2**32
        k, m = (k + 0x9E3779B9) % 2**32, (m + 0xBB67AE85) % 2**32
    return a, b, c, d


# ---- bits -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("counter", "key", "known"), [
    ((0,) * 4, (0,) * 2, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((2**32 - 1,) * 4, (2**32 - 1,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0),
     (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
], ids=["zeros", "ones", "digits of pi"])
def test_known_answers(counter, key, known):
    """Those of Random123, for philox4x32 with 10 rounds."""
    words = philox4x32(tuple(map(word, counter)), tuple(map(word, key)))
    assert tuple(int(array(w)) for w in words) == known == philox_in_python(counter, key)


def test_an_element_is_a_function_of_the_key_and_its_index():
    bits = array(pb.random.bits(KEY, (3, 5), np.uint64))
    for i in range(15):
        low, high, _, _ = philox_in_python((i, 0, 0, 0), KEY.tolist())
        assert int(bits.flat[i]) == low + (high << 32)
    np.testing.assert_array_equal(array(pb.random.bits(KEY, 15)).reshape(3, 5), bits & np.uint64(0xFFFFFFFF))
    uniform = array(pb.random.uniform(KEY, (3, 5)))
    np.testing.assert_array_equal(uniform, (bits >> np.uint64(11)) * 2.0**-53)
    single = array(pb.random.uniform(KEY, (3, 5), np.float32))
    np.testing.assert_array_equal(single, ((bits & np.uint64(0xFFFFFFFF)) >> np.uint64(8)).astype("f4") * 2.0**-24)


def draws(key):
    r = pb.random
    children = r.split(key, 3)
    return (r.bits(key, (5, 7)), r.bits(key, 9, np.uint64), r.uniform(key, (4, 6)), r.uniform(key, 8, np.float32),
            children, r.fold_in(key, 12), r.uniform(children[1], 5), r.randint(key, 11, -3, 4),
            r.randint(key, 4, 0, 2**40), r.bernoulli(key, 0.3, (40,)), r.key(5), r.key(-1))


def reals(key):
    r = pb.random
    return (r.normal(key, (5, 7)), r.normal(key, 8, np.float32), r.exponential(key, 9), r.gumbel(key, 9),
            r.uniform(key, 5, np.float64, -2.0, 3.0))


@pytest.mark.parametrize("run", ["machine", "numba", pytest.param("cuda", marks=pytest.mark.skipif(
    shutil.which("g++") is None, reason="the emulator is compiled by g++"))])
def test_the_same_bits_on_every_target(run):
    for function in (draws, reals):
        job = job_of(function, [KEY])
        graph, program, arrays = job
        got = (run_on_cpu(job) if run == "machine" else run_numba_text(job) if run == "numba"
               else run_program(program, *inputs_of(graph, arrays)))
        if function is draws:
            for a, b in zip(got, expected(job), strict=True):
                assert a.dtype == b.dtype
                np.testing.assert_array_equal(a, b)
        else:
            assert_agree(got, expected(job))


# ---- keys -------------------------------------------------------------------------------------------------------
def test_keys_that_are_made_from_a_key_differ_and_give_unrelated_numbers():
    parent = pb.random.key(3)
    children = array(pb.random.split(parent, 200))
    folded = [array(pb.random.fold_in(parent, i)) for i in range(20)]
    keys = {tuple(k) for k in [array(parent), *children, *folded]}
    assert len(keys) == 221
    np.testing.assert_array_equal(array(pb.random.split(parent, 3)), children[:3])
    draw = pb.compile(lambda key: pb.random.normal(key, COUNT))
    streams = np.array([draw(k) for k in (array(parent), *children[:3], *folded[:3])])
    correlation = np.corrcoef(streams) - np.eye(len(streams))
    assert np.abs(correlation).max() < 5 / np.sqrt(COUNT)


def test_what_is_no_key_is_refused_with_words():
    for wrong in (np.array([1, 2]), np.zeros((3, 2), np.uint32), np.uint32(1), 7):
        with pytest.raises(pb.DTypeError, match=r"pb\.random\.key\(seed\)"):
            pb.random.uniform(wrong)
    for call, words in ((lambda: pb.random.key(1.5), "one integer"), (lambda: pb.random.normal(KEY, 3, int), "float"),
                        (lambda: pb.random.randint(KEY, 3, 4, 4), "minval < maxval"),
                        (lambda: pb.random.bits(KEY, 3, np.int32), "uint32 or uint64")):
        with pytest.raises(pb.DTypeError, match=words):
            call()


def test_keys_of_a_loop_by_fold_in_and_by_split():
    def walk(key):
        by_index = pb.fori_loop(0, 5, lambda i, x: x + pb.random.normal(pb.random.fold_in(key, i), 3), pb.zeros(3))
        _, by_row = pb.scan(lambda c, k: (c, pb.random.uniform(k, 3)), 0.0, pb.random.split(key, 4))
        return by_index, by_row

    by_index, by_row = pb.compile(walk)(KEY)
    steps = [array(pb.random.normal(pb.random.fold_in(KEY, i), 3)) for i in range(5)]
    np.testing.assert_allclose(by_index, np.sum(steps, axis=0), rtol=1e-12)
    rows = array(pb.random.split(KEY, 4))
    np.testing.assert_array_equal(by_row, [array(pb.random.uniform(k, 3)) for k in rows])


def test_types_and_sizes_may_come_with_the_call():
    f = pb.compile(pb.random.uniform(pb.Var("key"), (4,)) * pb.Var("scale"))
    np.testing.assert_array_equal(f(key=KEY, scale=2.0), 2 * array(pb.random.uniform(KEY, 4)))
    g = pb.compile(lambda key, x: x + pb.random.normal(key, x.shape))
    for n in (3, 8):
        np.testing.assert_allclose(g(KEY, np.ones((n, 2))), 1 + array(pb.random.normal(KEY, (n, 2))), rtol=1e-12)
    assert len(g.log) == 1
    symbolic = typed("x", np.zeros((5, 2)), symbolic=True)
    assert pb.random.uniform(KEY, symbolic.shape).shape == symbolic.shape


# ---- distributions ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("name", "law", "kind"), [
    ("uniform", stats.uniform, "float64"), ("uniform", stats.uniform, "float32"), ("normal", stats.norm, "float64"),
    ("normal", stats.norm, "float32"), ("exponential", stats.expon, "float64"), ("gumbel", stats.gumbel_r, "float64"),
])
def test_distributions(name, law, kind):
    """By the test of Kolmogorov and Smirnov, and two moments; the key is fixed, so the outcome is."""
    found = pb.compile(lambda key: getattr(pb.random, name)(key, (COUNT // 8, 8), np.dtype(kind)))(KEY)
    assert found.dtype == kind and np.isfinite(found).all()
    assert stats.kstest(found.ravel().astype("f8"), law.cdf).pvalue > 1e-3
    assert abs(found.mean() - law.mean()) < 5 * law.std() / np.sqrt(COUNT)
    assert abs(found.std() / law.std() - 1) < 0.05
    assert abs(np.corrcoef(found[:, 0], found[:, 1])[0, 1]) < 5 / np.sqrt(COUNT / 8)


def test_integers_bools_and_categories():
    faces = pb.compile(lambda key: pb.random.randint(key, COUNT, 1, 7))(KEY)
    assert stats.chisquare(np.bincount(faces, minlength=7)[1:]).pvalue > 1e-3 and faces.dtype == np.int64
    whole = array(pb.random.randint(KEY, 2000, -2**63, 2**63))
    assert whole.min() < -2**62 and whole.max() > 2**62
    bytes_ = array(pb.random.randint(KEY, 4000, 0, 256, np.uint8))
    assert bytes_.dtype == np.uint8 and len(set(bytes_.tolist())) == 256
    chances = np.array([0.1, 0.5, 0.9, 0.0, 1.0])
    found = pb.compile(lambda key, p: pb.random.bernoulli(key, p, (COUNT, 5)))(KEY, chances)
    np.testing.assert_allclose(found.mean(0), chances, atol=5 * 0.5 / np.sqrt(COUNT))
    logits = np.log([0.2, 0.5, 0.3])
    found = pb.compile(lambda key: pb.random.categorical(key, pb.broadcast_to(logits, (COUNT, 3))))(KEY)
    assert stats.chisquare(np.bincount(found), COUNT * np.exp(logits)).pvalue > 1e-3


# ---- inside kernels ---------------------------------------------------------------------------------------------
def test_the_numbers_are_made_in_the_kernel_that_uses_them_and_again_in_the_gradient():
    def value(key, x):
        return pb.exp(-0.5 * x + x * pb.random.normal(key, x.shape))

    def slope(key, x):
        return pb.grad(lambda x: pb.sum(value(key, x)))(x)

    x = np.linspace(0.1, 1.0, 50)
    for f in (value, slope):
        program = pb.compile(f).lower(KEY, x).program
        assert len(program.steps) == 1
        assert not [b for b in program.buffers.values() if b.kind == "temp"]
    normal = array(pb.random.normal(KEY, 50))
    np.testing.assert_allclose(pb.compile(slope)(KEY, x), (normal - 0.5) * pb.compile(value)(KEY, x), rtol=1e-12)


def test_the_gradient_reaches_the_bounds_of_a_uniform_number():
    def loss(low, high):
        return pb.sum(pb.random.uniform(KEY, 6, np.float64, low, high))

    unit = array(pb.random.uniform(KEY, 6))
    np.testing.assert_allclose(pb.grad(loss, argnums=(0, 1))(1.0, 3.0), (np.sum(1 - unit), np.sum(unit)), rtol=1e-12)
