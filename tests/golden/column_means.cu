typedef int index_t;

// N neighbours, moved by one instruction
template <class T, int N> struct alignas(N * sizeof(T) < 16 ? N * sizeof(T) : 16) pb_pack { T v[N]; };

// add over the threads of a block; every thread gets the result
__device__ __forceinline__ float pb_fold_add_float32(float v) {
    const index_t thread = threadIdx.x;
    const index_t threads = blockDim.x;
    __shared__ float warps[32];
    for (int distance = 16; distance > 0; distance >>= 1) {
        const float other = (float)__shfl_xor_sync(0xffffffffu, v, distance);
        v = v + other;
    }
    if (threads > 32) {
        if ((thread & 31) == 0) {
            warps[thread >> 5] = v;
        }
        __syncthreads();
        v = warps[0];
        for (index_t w = 1; w < threads >> 5; ++w) {
            const float other = warps[w];
            v = v + other;
        }
        __syncthreads();
    }
    return v;
}

// add over chunks: a thread for each element of a long target, a block for each element of a short one
__device__ __forceinline__ void pb_combine_add_float32(
    const float* partial, float* target, index_t count, index_t stride, index_t chunks, float identity
) {
    const index_t thread = threadIdx.x;
    const index_t threads = blockDim.x;
    const index_t block = blockIdx.x, blocks = gridDim.x;
    if (count > 512) {
        for (index_t j = block * threads + thread; j < count; j += blocks * threads) {
            float v = partial[j];
            for (index_t c = 1; c < chunks; ++c) {
                v = v + partial[c * stride + j];
            }
            target[j] = v;
        }
    }
    if (count <= 512) {
        for (index_t j = block; j < count; j += blocks) {
            float v = identity;
            for (index_t c = thread; c < chunks; c += threads) {
                v = v + partial[c * stride + j];
            }
            v = pb_fold_add_float32(v);
            if (thread == 0) target[j] = v;
        }
    }
}

// column_sum = sum(x0, axis=0)
// size_2 = 16*((n1 + 15) // 16)
extern "C" __global__ void __launch_bounds__(256, 1) kernel_0(float* __restrict__ column_sum_partial, const float* __restrict__ x0, index_t n0, index_t n1, index_t size_2, index_t rows_per_chunk) {
    const index_t thread = threadIdx.x;
    const index_t threads = blockDim.x;
    const long long chunk = blockIdx.x;
    const index_t first = (index_t)blockIdx.x * rows_per_chunk, last = first + rows_per_chunk;
    const index_t lo = first < n0 ? first : n0, hi = last < n0 ? last : n0;
    for (index_t j1 = thread; j1 < n1; j1 += threads) {
        column_sum_partial[(index_t)chunk * size_2 + j1] = 0.0f;
    }
    __syncthreads();
    for (index_t i = lo; i < hi; ++i) {
        for (index_t j = thread; j < n1; j += threads) {
            const float x0_at = x0[j + i * n1];
            column_sum_partial[(index_t)chunk * size_2 + j] = column_sum_partial[(index_t)chunk * size_2 + j] + x0_at;
        }
    }
}

// column_sum = add of column_sum_partial over the chunks of kernel_0
// size_2 = 16*((n1 + 15) // 16)
extern "C" __global__ void __launch_bounds__(256, 1) kernel_0_combine(const float* __restrict__ column_sum_partial, float* __restrict__ column_sum, index_t kernel_0_chunks, index_t n1, index_t size_2) {
    pb_combine_add_float32(column_sum_partial, column_sum, n1, size_2, kernel_0_chunks, 0.0f);
}

// out = column_sum/n0
extern "C" __global__ void __launch_bounds__(256, 1) kernel_1(const float* __restrict__ column_sum, float* __restrict__ out, index_t n1, index_t n0, index_t rows_per_chunk, int aligned) {
    const index_t thread = threadIdx.x;
    const index_t threads = blockDim.x;
    const index_t first = (index_t)blockIdx.x * rows_per_chunk, last = first + rows_per_chunk;
    const index_t lo = first < n1 ? first : n1, hi = last < n1 ? last : n1;
    const float t = (float)((long long)n0);
    index_t head = lo;
    if (aligned) {
        head = hi - (hi - lo) % 4;
        for (index_t start = lo + 4 * thread; start < head; start += 4 * threads) {
            pb_pack<float, 4> column_sum_pack = *(const pb_pack<float, 4>*)(column_sum + start);
            pb_pack<float, 4> out_pack;
            #pragma unroll
            for (int lane = 0; lane < 4; ++lane) {
                const index_t i1 = start + lane;
                const float column_sum_at = column_sum_pack.v[lane];
                const float t_1 = column_sum_at / t;
                out_pack.v[lane] = t_1;
            }
            *(pb_pack<float, 4>*)(out + start) = out_pack;
        }
    }
    for (index_t i1 = head + thread; i1 < hi; i1 += threads) {
        const float column_sum_at = column_sum[i1];
        const float t_1 = column_sum_at / t;
        out[i1] = t_1;
    }
}

// out_1 = x0 - out
extern "C" __global__ void __launch_bounds__(256, 1) kernel_2(const float* __restrict__ x0, const float* __restrict__ out, float* __restrict__ out_1, index_t n0, index_t n1, index_t rows_per_chunk) {
    const index_t thread = threadIdx.x;
    const index_t threads = blockDim.x;
    const index_t first = (index_t)blockIdx.x * rows_per_chunk, last = first + rows_per_chunk;
    const index_t lo = first < n0 ? first : n0, hi = last < n0 ? last : n0;
    for (index_t i2 = lo; i2 < hi; ++i2) {
        for (index_t j2 = thread; j2 < n1; j2 += threads) {
            const float x0_at_1 = x0[j2 + i2 * n1];
            const float out_at = out[j2];
            const float t_2 = x0_at_1 - out_at;
            out_1[j2 + i2 * n1] = t_2;
        }
    }
}
