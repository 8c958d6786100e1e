typedef int index_t;

// NaN wins, as in NumPy
template <class T> __device__ T pb_maximum(T a, T b) { return a != a ? a : b != b ? b : fmax(a, b); }

// add over the threads of a block; every thread gets the result
__device__ __forceinline__ double pb_fold_add_float64(double v) {
    const index_t thread = threadIdx.x;
    const index_t threads = blockDim.x;
    __shared__ double warps[32];
    for (int distance = 16; distance > 0; distance >>= 1) {
        const double other = (double)__shfl_xor_sync(0xffffffffu, v, distance);
        v = v + other;
    }
    if (threads > 32) {
        if ((thread & 31) == 0) {
            warps[thread >> 5] = v;
        }
        __syncthreads();
        v = warps[0];
        for (index_t w = 1; w < threads >> 5; ++w) {
            const double other = warps[w];
            v = v + other;
        }
        __syncthreads();
    }
    return v;
}

// maximum over the threads of a block; every thread gets the result
__device__ __forceinline__ double pb_fold_maximum_float64(double v) {
    const index_t thread = threadIdx.x;
    const index_t threads = blockDim.x;
    __shared__ double warps[32];
    for (int distance = 16; distance > 0; distance >>= 1) {
        const double other = (double)__shfl_xor_sync(0xffffffffu, v, distance);
        v = pb_maximum(v, other);
    }
    if (threads > 32) {
        if ((thread & 31) == 0) {
            warps[thread >> 5] = v;
        }
        __syncthreads();
        v = warps[0];
        for (index_t w = 1; w < threads >> 5; ++w) {
            const double other = warps[w];
            v = pb_maximum(v, other);
        }
        __syncthreads();
    }
    return v;
}

// row_max = max(x0, axis=1)
// row_sum = sum(exp(x0 - row_max[:, None]), axis=1)
// out = softmax(x0, axis=1)
extern "C" __global__ void __launch_bounds__(256, 1) kernel_0(const double* __restrict__ x0, double* __restrict__ out, index_t n0, index_t n1, index_t rows_per_chunk) {
    const index_t thread = threadIdx.x;
    const index_t threads = blockDim.x;
    const index_t first = (index_t)blockIdx.x * rows_per_chunk, last = first + rows_per_chunk;
    const index_t lo = first < n0 ? first : n0, hi = last < n0 ? last : n0;
    for (index_t i = lo; i < hi; ++i) {
        double acc = __longlong_as_double((long long)0xfff0000000000000ULL);
        for (index_t j = thread; j < n1; j += threads) {
            const double x0_at = x0[j + i * n1];
            acc = pb_maximum(acc, x0_at);
        }
        acc = pb_fold_maximum_float64(acc);
        const double t = fabs(acc);
        const bool t_1 = t < __longlong_as_double(0x7ff0000000000000LL);
        const double t_2 = t_1 ? acc : 0.0;
        double acc_1 = 0.0;
        for (index_t j = thread; j < n1; j += threads) {
            const double x0_at_1 = x0[j + i * n1];
            const double t_3 = x0_at_1 - t_2;
            const double t_4 = exp(t_3);
            acc_1 = acc_1 + t_4;
        }
        acc_1 = pb_fold_add_float64(acc_1);
        const bool t_7 = acc_1 == 0.0;
        const double t_8 = t_7 ? 1.0 : acc_1;
        const double t_9 = 1.0 / t_8;
        for (index_t j = thread; j < n1; j += threads) {
            const double x0_at_2 = x0[j + i * n1];
            const double t_5 = x0_at_2 - t_2;
            const double t_6 = exp(t_5);
            const double t_10 = t_6 * t_9;
            out[j + i * n1] = t_10;
        }
    }
}
