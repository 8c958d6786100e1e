typedef int index_t;

// N neighbours, moved by one instruction
template <class T, int N> struct alignas(N * sizeof(T) < 16 ? N * sizeof(T) : 16) pb_pack { T v[N]; };

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

// add over chunks: a thread for each element of a long target, a block for each element of a short one
__device__ __forceinline__ void pb_combine_add_float64(
    const double* partial, double* target, index_t count, index_t stride, index_t chunks, double identity
) {
    const index_t thread = threadIdx.x;
    const index_t threads = blockDim.x;
    const index_t block = blockIdx.x, blocks = gridDim.x;
    if (count > 512) {
        for (index_t j = block * threads + thread; j < count; j += blocks * threads) {
            double v = partial[j];
            for (index_t c = 1; c < chunks; ++c) {
                v = v + partial[c * stride + j];
            }
            target[j] = v;
        }
    }
    if (count <= 512) {
        for (index_t j = block; j < count; j += blocks) {
            double v = identity;
            for (index_t c = thread; c < chunks; c += threads) {
                v = v + partial[c * stride + j];
            }
            v = pb_fold_add_float64(v);
            if (thread == 0) target[j] = v;
        }
    }
}

// out = sum(exp(-x0*x0)*sin(x1))
// out_1 = -2*sin(x1)*exp(-x0*x0)*x0
// out_2 = exp(-x0*x0)*cos(x1)
// size_0 = n0*n1
extern "C" __global__ void __launch_bounds__(256, 1) kernel_0(const double* __restrict__ x0, const double* __restrict__ x1, double* __restrict__ out_1, double* __restrict__ out_2, double* __restrict__ out_partial, index_t size_0, index_t rows_per_chunk, int aligned) {
    const index_t thread = threadIdx.x;
    const index_t threads = blockDim.x;
    const long long chunk = blockIdx.x;
    const index_t first = (index_t)blockIdx.x * rows_per_chunk, last = first + rows_per_chunk;
    const index_t lo = first < size_0 ? first : size_0, hi = last < size_0 ? last : size_0;
    double acc = 0.0;
    index_t head = lo;
    if (aligned) {
        head = hi - (hi - lo) % 2;
        for (index_t start = lo + 2 * thread; start < head; start += 2 * threads) {
            pb_pack<double, 2> x0_pack = *(const pb_pack<double, 2>*)(x0 + start);
            pb_pack<double, 2> x1_pack = *(const pb_pack<double, 2>*)(x1 + start);
            pb_pack<double, 2> out_1_pack;
            pb_pack<double, 2> out_2_pack;
            #pragma unroll
            for (int lane = 0; lane < 2; ++lane) {
                const index_t i = start + lane;
                const double x0_at = x0_pack.v[lane];
                const double t = -x0_at;
                const double t_1 = t * x0_at;
                const double t_2 = exp(t_1);
                const double x1_at = x1_pack.v[lane];
                const double t_3 = sin(x1_at);
                const double t_4 = t_2 * t_3;
                const double t_5 = t_3 * t_2;
                const double t_6 = t_5 * x0_at;
                const double t_7 = (-2.0) * t_6;
                const double t_8 = cos(x1_at);
                const double t_9 = t_2 * t_8;
                out_1_pack.v[lane] = t_7;
                out_2_pack.v[lane] = t_9;
                acc = acc + t_4;
            }
            *(pb_pack<double, 2>*)(out_1 + start) = out_1_pack;
            *(pb_pack<double, 2>*)(out_2 + start) = out_2_pack;
        }
    }
    for (index_t i = head + thread; i < hi; i += threads) {
        const double x0_at = x0[i];
        const double t = -x0_at;
        const double t_1 = t * x0_at;
        const double t_2 = exp(t_1);
        const double x1_at = x1[i];
        const double t_3 = sin(x1_at);
        const double t_4 = t_2 * t_3;
        const double t_5 = t_3 * t_2;
        const double t_6 = t_5 * x0_at;
        const double t_7 = (-2.0) * t_6;
        const double t_8 = cos(x1_at);
        const double t_9 = t_2 * t_8;
        out_1[i] = t_7;
        out_2[i] = t_9;
        acc = acc + t_4;
    }
    acc = pb_fold_add_float64(acc);
    __syncthreads();
    if (thread == 0) out_partial[(index_t)chunk] = acc;
}

// out = add of out_partial over the chunks of kernel_0
extern "C" __global__ void __launch_bounds__(256, 1) kernel_0_combine(const double* __restrict__ out_partial, double* __restrict__ out, index_t kernel_0_chunks) {
    pb_combine_add_float64(out_partial, out, 1, 1, kernel_0_chunks, 0.0);
}
