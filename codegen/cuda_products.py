"""Products of matrices among the library steps, as an exported unit has cuBLAS compute them."""

from __future__ import annotations

from dataclasses import dataclass

from ..dsl.size import Dim, product
from .program import Library

PRODUCTS = {"gemm", "syrk"}  # routines that are a product of matrices

GEMM = """\
// c[b] = op(a[b]) @ op(b[b]), row-major, which is the product of the transposes in cuBLAS's column-major order
struct host_matrix { const void* data; bool transposed; long long stride; };

inline cublasHandle_t host_cublas(cudaStream_t stream) {
    thread_local cublasHandle_t handle = nullptr;
    if (!handle && cublasCreate(&handle) != CUBLAS_STATUS_SUCCESS) return nullptr;
    return cublasSetStream(handle, stream) == CUBLAS_STATUS_SUCCESS ? handle : nullptr;
}

template <class T, class Product>
int host_gemm(Product product, host_matrix a, host_matrix b, T* c, long long stride, long long m, long long n,
              long long k, long long batch, cudaStream_t stream) {
    if (m <= 0 || n <= 0 || batch <= 0) return 0;
    const int columns = (int)host_max(1, n), depth = (int)host_max(1, k), rows = (int)host_max(1, m);
    if (k == 0) {
        for (long long one = 0; one < batch; ++one)
            if (const int status = (int)cudaMemsetAsync(c + one * stride, 0, m * n * sizeof(T), stream)) return status;
        return 0;
    }
    const cublasHandle_t handle = host_cublas(stream);
    if (!handle) return (int)cudaErrorUnknown;
    const T one = 1, zero = 0;
    const auto done = product(
        handle, b.transposed ? CUBLAS_OP_T : CUBLAS_OP_N, a.transposed ? CUBLAS_OP_T : CUBLAS_OP_N, columns, rows,
        depth, &one, (const T*)b.data, b.transposed ? depth : columns, b.stride, (const T*)a.data,
        a.transposed ? rows : depth, a.stride, &zero, c, columns, stride, (int)batch);
    return done == CUBLAS_STATUS_SUCCESS ? 0 : (int)cudaErrorUnknown;
}
"""


@dataclass(frozen=True, slots=True)
class Product:
    """A product of matrices: (place, transposed, elements from one to the next) of both sides; `shape` is the stride of
    the result, m, n, k and the batch."""

    sides: tuple[tuple[tuple[str, Dim], object, Dim], ...]
    shape: tuple[Dim, ...]


def product_of(step: Library) -> Product:
    """The product that a step of PRODUCTS is; of syrk, whose upper triangle is not read, all of it is computed."""
    a = step.attr
    if step.routine == "gemm":
        sides = zip(step.operands, (a("trans_a"), a("trans_b")), (a("stride_a"), a("stride_b")), strict=True)
        return Product(tuple(sides), tuple(a(key) for key in ("stride_c", "m", "n", "k", "batch")))  # type: ignore[arg-type]
    (*batch, rows, columns), trans = a("shapes")[0], dict(a("static"))["trans"]  # type: ignore[index, call-overload]
    n, k = (columns, rows) if trans else (rows, columns)
    sides = [(step.operands[0], flag, rows * columns) for flag in (trans, not trans)]
    return Product(tuple(sides), (n * n, n, n, k, product(batch)))
