"""What plans cost, by count: kernels, sweeps over the inputs, arrays written, bytes moved, statements, compilations."""

from __future__ import annotations

import sys
from functools import reduce
from pathlib import Path

import numpy as np
import pytest
from target_cases import mixture, standardised_columns
from target_contract import assert_agree, expected, job_of, run_on_cpu

sys.path.insert(0, str(Path(__file__).parent / "emulator"))

from expressions import cross_entropy, fn, gradient, layer_norm, softmax  # noqa: E402

import pullback as pb  # noqa: E402
from pullback.codegen.cost import cost_of  # noqa: E402
from pullback.codegen.program import For, Kernel, Let, Library, Load, Loop, Program, Store, walk_stmts  # noqa: E402
from pullback.dsl import size  # noqa: E402
from pullback.dsl.functional import grad, value_and_grad  # noqa: E402

R = np.random.default_rng(5)
X, Y, WEIGHTS = R.normal(size=(17, 33)), R.normal(size=(17, 33)), R.normal(size=33)
ROWS, COLUMNS = X.shape


def plan_of(function, *arrays) -> Program:
    """The plan, after its results were held against the reference."""
    job = job_of(function, arrays)
    assert_agree(run_on_cpu(job), expected(job))
    return job[1]


def sweeping(program: Program) -> list[Kernel]:
    """Kernels that run over more than one element; the others cost nothing beside them."""
    return [k for k in program.kernels() if not (size.same(k.rows.extent, 1) and size.same(k.work, 1))]


def elements(program: Program, name: str) -> int:
    """Elements of a buffer where every input is as large as X and every kernel has one chunk."""
    values = {s: 1 if "chunks" in s else 1000 for s in program.sizes}
    return size.evaluate(size.product(program.buffers[name].shape), values)


def temporaries(program: Program) -> dict[str, int]:
    return {n: elements(program, n) for n, b in program.buffers.items() if b.kind == "temp"}


def moved(program: Program, side: int = 1000) -> int:
    """Bytes that the program reads and writes where every size is `side`."""
    values = {s: 1 if "chunks" in s else side for s in program.sizes}
    return sum(size.evaluate(cost_of(program, s).bytes, values) for s in program.steps)


def statements(program: Program) -> int:
    return sum(1 for k in program.kernels() for _ in walk_stmts(k.body))


def sweeps_of(kernel: Kernel, buffer: str) -> int:
    """How often the text of a kernel reads a buffer."""
    return sum(1 for s in walk_stmts(kernel.body) if isinstance(s, Load) and s.buffer == buffer)


# ---- one sweep --------------------------------------------------------------------------------------------------
def elementwise(x, y):
    return fn.exp(-x * x) * fn.sin(y) + fn.log(1 + y * y) * fn.tanh(x)


def test_value_and_gradient_of_an_elementwise_loss_is_one_sweep():
    program = plan_of(gradient(elementwise, 2), X, Y)
    (kernel,) = program.kernels()
    assert len(program.steps) == 1
    assert list(temporaries(program).values()) == [1], "a partial sum for each chunk, and nothing else"
    assert [sweeps_of(kernel, name) for name in program.inputs] == [1, 1]
    assert moved(program) == 8 * (4 * 1000**2 + 2), "two arrays read, two written, the sum and its parts"


def test_elementary_functions_are_shared_by_value_and_gradient():
    (kernel,) = plan_of(gradient(elementwise, 2), X, Y).kernels()
    names = [s.op for s in walk_stmts(kernel.body) if hasattr(s, "op")]
    counts = {op: names.count(op) for op in ("exp", "sin", "cos", "log1p", "tanh")}
    assert counts == {"exp": 1, "sin": 1, "cos": 1, "log1p": 1, "tanh": 1}


def test_a_hundred_elementary_functions_are_one_kernel():
    program = plan_of(lambda x: reduce(lambda y, _: fn.sin(y), range(100), x), X)
    (kernel,) = program.kernels()
    assert not temporaries(program) and moved(program) == 16 * 1000**2
    assert sum(1 for s in walk_stmts(kernel.body) if getattr(s, "op", "") == "sin") == 100


# ---- rows -------------------------------------------------------------------------------------------------------
def test_softmax_layer_norm_and_logsumexp_are_one_kernel():
    for function, arrays in ((softmax, [X]), (layer_norm, [X, Y]), (lambda x: fn.logsumexp(x, axis=1), [X])):
        program = plan_of(function, *arrays)
        assert len(program.steps) == 1 and not temporaries(program)
        assert sum(isinstance(s, Store) for k in program.kernels() for s in walk_stmts(k.body)) == 1


def test_layer_norm_with_gradients_of_all_arguments_is_one_kernel():
    def normed(x, scale, shift):
        centred = x - fn.mean(x, axis=1, keepdims=True)
        return fn.sin(centred / fn.sqrt(fn.var(x, axis=1, keepdims=True) + 1e-5) * scale + shift)

    program = plan_of(gradient(normed, 3), X, WEIGHTS, WEIGHTS + 1)
    assert len(program.steps) == 1
    assert max(temporaries(program).values()) == 1000, "sums of columns for each chunk"


def row_loss(x, y):
    return fn.logsumexp(x, axis=1) - fn.sum(x * y, axis=1)


@pytest.mark.parametrize("loss", [row_loss, lambda x, y: softmax(x) * y], ids=["cross entropy", "softmax"])
def test_a_row_loss_with_its_gradient_moves_what_must_move(loss):
    program = plan_of(gradient(loss), X, Y)
    assert len(program.steps) <= 2
    by_hand = 8 * 3 * 1000**2                       # x and y are read once, the gradient is written
    assert by_hand <= moved(program) <= 1.5 * by_hand


def test_softmax_regression_is_two_kernels_beside_its_products():
    labels = np.eye(10)[R.integers(0, 10, ROWS)]
    program = plan_of(gradient(cross_entropy, 2), R.normal(size=(10, COLUMNS)), R.normal(size=10), X, labels)
    assert sum(isinstance(s, Library) for s in program.steps) == 2
    assert len(program.steps) == 4 and len(sweeping(program)) == 1


def test_logistic_regression_reads_its_matrix_once():
    def loss(w, b, x, t):
        z = x @ w + b
        return fn.mean(fn.logaddexp(0.0, z) - t * z)

    program = plan_of(lambda w, b, x, t: value_and_grad(loss, argnums=(0, 1))(w, b, x, t), WEIGHTS, np.float64(0.5), X,
                      (X[:, 0] > 0) * 1.0)
    (kernel,) = sweeping(program)
    assert "x2" in {s.buffer for s in walk_stmts(kernel.body) if isinstance(s, Load)}
    assert moved(program) < 8 * (1000**2 + 20 * 1000), "the matrix once; all else is vectors"


def test_what_chunks_add_to_shares_no_line_of_the_cache():
    def loss(w, x):
        return fn.sum(fn.exp(x @ w))

    w = np.ones(50)
    program = plan_of(lambda w, x: value_and_grad(loss)(w, x), w, np.ones((400, 50)))
    (strides,) = [b.shape[1:] for b in program.buffers.values() if b.name.endswith("_partial") and len(b.shape) == 2]
    assert [size.evaluate(s, dict.fromkeys(program.sizes, 50)) * w.itemsize % 64 for s in strides] == [0]


def test_standardised_columns_store_no_array():
    program = plan_of(standardised_columns, X)
    assert max(temporaries(program).values(), default=0) <= 1000


# ---- pairs ------------------------------------------------------------------------------------------------------
def kernel_density(x, y):
    return fn.logsumexp(-((x[:, None] - y[None, :]) ** 2), axis=1)


def gaussian_pairs(x, y):
    return fn.exp(-fn.sum((x[:, None, :] - y[None, :, :]) ** 2, axis=2))


@pytest.mark.parametrize("function", [
    kernel_density, gradient(kernel_density, 2), lambda x, y: fn.sum(gaussian_pairs(x[:, None], y[:, None]), axis=1),
    gradient(lambda x, y: gaussian_pairs(x[:, None], y[:, None]), 2),
    lambda x, y: fn.min(fn.abs(x[:, None] - y), axis=1), lambda x, y: fn.argmin(fn.abs(x[:, None] - y), axis=1),
], ids=["density", "its gradient", "pairs", "their gradient", "nearest", "its index"])
def test_pairs_are_never_written(function):
    program = plan_of(function, X[:, 0], WEIGHTS)
    assert max([*temporaries(program).values(), *(elements(program, n) for n in program.outputs)]) <= 1000


def test_pairs_of_points_are_never_written():
    x, y = R.normal(size=(17, 3)), R.normal(size=(12, 3))
    program = plan_of(gradient(gaussian_pairs, 2), x, y)
    points = [program.buffers[name].shape for name in program.inputs]
    for buffer in program.buffers.values():
        dims = [d for d in buffer.shape if "chunks" not in str(d)]
        assert len(dims) < 2 or any(size.same_shape(dims, q) for p in points for q in (p, p[::-1])), buffer


# ---- size of programs -------------------------------------------------------------------------------------------
def summing_chain(count):
    def chain(x):
        for _ in range(count):
            x = fn.sin(x) + fn.sum(x)
        return x

    return chain


def test_chains_through_sums_grow_linearly():
    short, long = (statements(job_of(summing_chain(n), [X])[1]) for n in (15, 30))
    assert long < 2.2 * short
    program = plan_of(summing_chain(30), X / 100)
    assert len(program.steps) <= 31 and statements(program) < 200


def test_gradients_of_chains_through_sums_grow_linearly():
    short, long = (statements(job_of(gradient(summing_chain(n)), [X])[1]) for n in (8, 16))
    assert long < 2.2 * short


def test_what_is_cheap_is_computed_again():
    """x*2 is needed before and after a sum: two kernels read x, and no array is written in between."""
    program = plan_of(lambda x: x * 2 + fn.sum(x * 2), X)
    assert len(program.steps) == 2 and max(temporaries(program).values()) == 1


def test_what_is_dear_is_stored_once():
    program = plan_of(lambda x: fn.tanh(fn.sin(fn.exp(x))) + fn.sum(fn.tanh(fn.sin(fn.exp(x)))), X)
    ops = [getattr(s, "op", "") for k in program.kernels() for s in walk_stmts(k.body)]
    assert [ops.count(op) for op in ("tanh", "sin", "exp")] == [1, 1, 1]
    assert sorted(temporaries(program).values()) == [1, 1, 1000**2]


def test_ten_thousand_operations_compile():
    x = pb.Var("x")
    y = x
    for k in range(10_000):
        y = (pb.sin(y), y * 1.0001, y + 0.5)[k % 3]
    f = pb.compile(y)
    at = np.linspace(0, 1, 20)
    want = at
    for k in range(10_000):
        want = (np.sin(want) if k % 3 == 0 else want * 1.0001 if k % 3 == 1 else want + 0.5)
    np.testing.assert_allclose(f(x=at), want, rtol=1e-10)
    assert len(f._program().steps) == 1


def test_the_gradient_of_a_long_chain_is_one_kernel():
    program = plan_of(lambda x: grad(lambda z: fn.sum(reduce(lambda y, _: fn.sin(y), range(300), z)))(x), X)
    assert len(program.steps) == 1 and statements(program) < 1000


def test_five_hundred_inputs():
    names = [f"v{k}" for k in range(500)]
    f = pb.compile(reduce(lambda a, b: a + b, [pb.Var(n) * pb.Var(n) for n in names]))
    result = f(**{n: np.full(7, float(k)) for k, n in enumerate(names)})
    np.testing.assert_array_equal(result, np.full(7, sum(k * k for k in range(500))))
    assert len(f._program().steps) == 1


def test_twenty_sizes_are_one_compilation():
    f = pb.compile(fn.tanh(pb.Var("w") @ pb.Var("x") + pb.Var("b")))
    for n in range(2, 22):
        w, x, b = R.normal(size=(n, n + 3)), R.normal(size=(n + 3, 2 * n)), R.normal(size=(n, 1))
        np.testing.assert_allclose(f(w=w, x=x, b=b), np.tanh(w @ x + b), rtol=1e-12)
    assert len(f.log) == 1


def test_each_pattern_of_axes_of_one_is_a_compilation():
    f = pb.compile(pb.Var("a") * pb.Var("b"))
    for shape in ((3, 4), (1, 4), (5, 6), (3, 1), (1, 9), (7, 1)):
        np.testing.assert_array_equal(f(a=np.ones((shape[0], shape[1])), b=np.full(shape, 2.0)), np.full(shape, 2.0))
    assert len(f.log) == 3


# ---- the same bits wherever a value is computed ------------------------------------------------------------------
def test_a_maximum_is_found_again_among_what_is_computed_twice():
    """The slope of a maximum compares values with it, perhaps in another kernel, where a product has other uses."""
    def product_plus(x, y):
        best = fn.max(x * y + fn.sin(x), axis=1)
        return best * best + fn.sum(fn.exp(x * y), axis=1)

    def farthest(x, y):
        return fn.max(fn.sum((x[:, None, :] - y[None, :, :]) ** 2, axis=2), axis=1)

    for function, arrays in ((product_plus, [X, Y]), (farthest, [X, Y[:9]]), (lambda x, y: fn.max(x * y + x), [X, Y])):
        plan_of(gradient(function, 2), *arrays)


def test_gradients_of_pairs_of_points_take_work_in_proportion_to_their_coordinates():
    program = plan_of(gradient(gaussian_pairs, 2), X, Y[:9])
    _, coordinates, *_ = [d for name in program.inputs for d in program.buffers[name].shape]
    flops = []
    for count in (10, 100):
        values = {**dict.fromkeys(program.sizes, 1000), str(coordinates): count}
        flops.append(sum(size.evaluate(cost_of(program, s).flops, values) for s in program.steps))
    assert flops[1] < 10 * flops[0]


def evaluations(program: Program, op: str) -> int:
    """How often `op` is computed where every size is 1000."""
    def count(stmts, times):
        return sum(count(s.body, times * size.evaluate(size.product(a.extent for a in s.axes), values))
                   if isinstance(s, For) else times * (isinstance(s, Let) and s.op == op) for s in stmts)

    values = dict.fromkeys(program.sizes, 1000)
    return sum(count(k.body, size.evaluate(k.rows.extent, values)) for k in program.kernels())


def density(x, y, width):
    """Log-density at points x of Gaussians around points y."""
    return fn.logsumexp(-width * fn.sum((x[:, None, :] - y) ** 2, axis=2), axis=1)


@pytest.mark.parametrize(("function", "arrays"), [
    (density, [X, Y[:9], WEIGHTS[0]]), (mixture, [X[:, 0], Y[0], Y[1]]),
], ids=["points", "mixture"])
def test_the_gradient_with_respect_to_both_of_a_pair_takes_one_exponential_of_each(function, arrays):
    """All sums over pairs, of rows and of columns, are one kernel, and what its passes share is kept in the row."""
    program = plan_of(gradient(function, 3), *arrays)
    assert 1000 * 1000 <= evaluations(program, "exp") < 1000 * 1000 + 10 * 1000
    pairs = [k for k in program.kernels() if not size.same(k.work, 1) and "exp" in k.fuses]
    assert len(pairs) == 1
    rows = [b for n, b in program.buffers.items() if n.startswith("in_row")]
    assert rows and all(len(b.shape) == 2 and "chunks" in str(b.shape[0]) for b in rows)


def test_a_small_factor_of_a_large_product_is_computed_once():
    program = plan_of(lambda x, s: fn.sum(fn.abs(x - fn.exp(s)), axis=1), X, WEIGHTS)
    assert evaluations(program, "exp") == 1000


def test_a_factor_of_whole_rows_is_not_stored():
    program = plan_of(lambda x, s: fn.sum(fn.abs(x - fn.exp(s)[:, None]), axis=1), X, X[:, 0])
    assert len(list(program.kernels())) == 1
    assert evaluations(program, "exp") == 1000


def test_half_steps_on_two_fields_and_their_adjoint_overwrite_both():
    """What becomes of a field is read by the other before its core is replaced: no second buffer, no copy."""
    inside = (slice(1, -1),) * 2

    def loss(a, b):
        def step(_, ab):
            a, b = ab
            b = b.at[inside].set(a[:-2, 1:-1] + a[2:, 1:-1])
            return a.at[inside].set(b[1:-1, 2:] - b[1:-1, :-2]), b

        a, b = pb.fori_loop(0, 5, step, (a, b))
        return pb.sum(a * b)

    x = np.ones((8, 9))
    program = plan_of(pb.value_and_grad(loss, argnums=(0, 1)), x, x)
    loops = [s for s in program.steps if isinstance(s, Loop)]
    assert len(loops) == 2 and not any(loop.swaps for loop in loops)
    assert [len(loop.steps) for loop in loops] == [2, 3]
    arrays = [b for b in program.buffers.values() if b.kind == "temp" and len(b.shape) == 2]
    assert len(arrays) == 2


def test_value_and_gradient_run_a_loop_in_a_loop_once():
    """The derivative's loop stacks what the inner one passed through; else it is the value's."""
    def loss(u, v):
        def step(_, uv):
            u, v = uv
            v = pb.fori_loop(0, 3, lambda _, v: v + 0.1 * u * pb.roll(v, 1) ** 2, v)
            return u * v, v

        return pb.sum(pb.fori_loop(0, 4, step, (u, v))[0])

    x = np.linspace(0.5, 1, 9)
    program = plan_of(pb.value_and_grad(loss, argnums=(0, 1)), x, x[::-1].copy())
    loops = [s for s in program.steps if isinstance(s, Loop)]
    assert len(loops) == 2 and sorted(loop.backwards for loop in loops) == [False, True]
