typedef int index_t;

// integers wrap around
template <class T> __device__ T pb_wrap_add(T a, T b) { return (T)((unsigned long long)a + (unsigned long long)b); }

// N neighbours, moved by one instruction
template <class T, int N> struct alignas(N * sizeof(T) < 16 ? N * sizeof(T) : 16) pb_pack { T v[N]; };

// out = x0[x1]
extern "C" __global__ void __launch_bounds__(256, 1) kernel_0(const long long* __restrict__ x1, const double* __restrict__ x0, double* __restrict__ out, index_t n2, index_t n0, index_t n1, index_t rows_per_chunk, int* error) {
    const index_t thread = threadIdx.x;
    const index_t threads = blockDim.x;
    const index_t first = (index_t)blockIdx.x * rows_per_chunk, last = first + rows_per_chunk;
    const index_t lo = first < n2 ? first : n2, hi = last < n2 ? last : n2;
    for (index_t i = lo; i < hi; ++i) {
        const long long x1_at = x1[i];
        const bool t = x1_at < 0LL;
        const long long t_1 = pb_wrap_add(x1_at, ((long long)n0));
        const long long t_2 = t ? t_1 : x1_at;
        const bool inside = t_2 >= 0LL;
        const bool inside_1 = t_2 < ((long long)n0);
        const bool inside_2 = inside && inside_1;
        if (!inside_2) *error = 1;
        const long long at = inside_2 ? t_2 : 0LL;
        for (index_t j = thread; j < n1; j += threads) {
            const double x0_at = x0[j + (index_t)at * n1];
            out[j + i * n1] = x0_at;
        }
    }
}

// out_1 = x0
// size_0 = n0*n1
extern "C" __global__ void __launch_bounds__(256, 1) kernel_2(const double* __restrict__ x0, double* __restrict__ out_1, index_t size_0, index_t rows_per_chunk, int aligned) {
    const index_t thread = threadIdx.x;
    const index_t threads = blockDim.x;
    const index_t first = (index_t)blockIdx.x * rows_per_chunk, last = first + rows_per_chunk;
    const index_t lo = first < size_0 ? first : size_0, hi = last < size_0 ? last : size_0;
    index_t head = lo;
    if (aligned) {
        head = hi - (hi - lo) % 2;
        for (index_t start = lo + 2 * thread; start < head; start += 2 * threads) {
            pb_pack<double, 2> x0_pack = *(const pb_pack<double, 2>*)(x0 + start);
            pb_pack<double, 2> out_1_pack;
            #pragma unroll
            for (int lane = 0; lane < 2; ++lane) {
                const index_t i2 = start + lane;
                const double x0_at_1 = x0_pack.v[lane];
                out_1_pack.v[lane] = x0_at_1;
            }
            *(pb_pack<double, 2>*)(out_1 + start) = out_1_pack;
        }
    }
    for (index_t i2 = head + thread; i2 < hi; i2 += threads) {
        const double x0_at_1 = x0[i2];
        out_1[i2] = x0_at_1;
    }
}

// out_1 = x0.at[x1].add(1.0)
extern "C" __global__ void __launch_bounds__(256, 1) kernel_1(const long long* __restrict__ x1, double* __restrict__ out_1, index_t n2, index_t n0, index_t n1, index_t rows_per_chunk, int* error) {
    const index_t thread = threadIdx.x;
    const index_t threads = blockDim.x;
    const index_t first = (index_t)blockIdx.x * rows_per_chunk, last = first + rows_per_chunk;
    const index_t lo = first < n2 ? first : n2, hi = last < n2 ? last : n2;
    for (index_t i1 = lo; i1 < hi; ++i1) {
        const long long x1_at_1 = x1[i1];
        const bool t_3 = x1_at_1 < 0LL;
        const long long t_4 = pb_wrap_add(x1_at_1, ((long long)n0));
        const long long t_5 = t_3 ? t_4 : x1_at_1;
        const bool inside_3 = t_5 >= 0LL;
        const bool inside_4 = t_5 < ((long long)n0);
        const bool inside_5 = inside_3 && inside_4;
        if (!inside_5) *error = 1;
        const long long at_1 = inside_5 ? t_5 : 0LL;
        for (index_t j1 = thread; j1 < n1; j1 += threads) {
            if (inside_5) out_1[j1 + (index_t)at_1 * n1] = out_1[j1 + (index_t)at_1 * n1] + 1.0;
        }
    }
}

// out_2 = x0[1:, ::-1] - x0[:-1]
// size_0 = max(n0 - 1, 0)
// size_2 = 2*n1 - 1
extern "C" __global__ void __launch_bounds__(256, 1) kernel_3(const double* __restrict__ x0, double* __restrict__ out_2, index_t size_0, index_t n1, index_t size_2, index_t rows_per_chunk) {
    const index_t thread = threadIdx.x;
    const index_t threads = blockDim.x;
    const index_t first = (index_t)blockIdx.x * rows_per_chunk, last = first + rows_per_chunk;
    const index_t lo = first < size_0 ? first : size_0, hi = last < size_0 ? last : size_0;
    for (index_t i3 = lo; i3 < hi; ++i3) {
        for (index_t j3 = thread; j3 < n1; j3 += threads) {
            const double x0_at_2 = x0[j3 * (-1) + i3 * n1 + size_2];
            const double x0_at_3 = x0[j3 + i3 * n1];
            const double t_6 = x0_at_2 - x0_at_3;
            out_2[j3 + i3 * n1] = t_6;
        }
    }
}
