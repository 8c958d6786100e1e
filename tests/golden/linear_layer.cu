typedef int index_t;

// out = tanh(x0_x1 + x2)
extern "C" __global__ void __launch_bounds__(256, 1) kernel_1(const double* __restrict__ x0_x1, const double* __restrict__ x2, double* __restrict__ out, index_t n0, index_t n3, index_t rows_per_chunk) {
    const index_t thread = threadIdx.x;
    const index_t threads = blockDim.x;
    const index_t first = (index_t)blockIdx.x * rows_per_chunk, last = first + rows_per_chunk;
    const index_t lo = first < n0 ? first : n0, hi = last < n0 ? last : n0;
    for (index_t i = lo; i < hi; ++i) {
        for (index_t j = thread; j < n3; j += threads) {
            const double x0_x1_at = x0_x1[j + i * n3];
            const double x2_at = x2[j];
            const double t = x0_x1_at + x2_at;
            const double t_1 = tanh(t);
            out[j + i * n3] = t_1;
        }
    }
}
