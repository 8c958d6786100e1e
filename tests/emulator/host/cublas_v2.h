// What an exported unit uses of cuBLAS, in plain loops; everything is column-major, as there.
#pragma once
#include "cuda_runtime.h"

typedef struct emu_blas* cublasHandle_t;
typedef int cublasStatus_t;
enum { CUBLAS_STATUS_SUCCESS = 0 };
enum cublasOperation_t { CUBLAS_OP_N, CUBLAS_OP_T };

static inline cublasStatus_t cublasCreate(cublasHandle_t* handle) { *handle = (cublasHandle_t)handle; return CUBLAS_STATUS_SUCCESS; }
static inline cublasStatus_t cublasSetStream(cublasHandle_t, cudaStream_t) { return CUBLAS_STATUS_SUCCESS; }

template <class T>
static cublasStatus_t emu_gemm(cublasHandle_t, cublasOperation_t ta, cublasOperation_t tb, int m, int n, int k, const T* alpha, const T* a, int lda,
                               long long sa, const T* b, int ldb, long long sb, const T* beta, T* c, int ldc, long long sc, int batch) {
    if (lda < (ta == CUBLAS_OP_N ? m : k) || ldb < (tb == CUBLAS_OP_N ? k : n) || ldc < m) return 7;
    for (int one = 0; one < batch; ++one)
        for (int i = 0; i < m; ++i)
            for (int j = 0; j < n; ++j) {
                T sum = 0;
                for (int l = 0; l < k; ++l)
                    sum += (ta == CUBLAS_OP_N ? a[one * sa + i + (long long)l * lda] : a[one * sa + l + (long long)i * lda]) *
                           (tb == CUBLAS_OP_N ? b[one * sb + l + (long long)j * ldb] : b[one * sb + j + (long long)l * ldb]);
                T& out = c[one * sc + i + (long long)j * ldc];
                out = *alpha * sum + (*beta == 0 ? 0 : *beta * out);
            }
    return CUBLAS_STATUS_SUCCESS;
}
static const auto cublasDgemmStridedBatched = emu_gemm<double>;
static const auto cublasSgemmStridedBatched = emu_gemm<float>;
