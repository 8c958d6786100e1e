// CUDA's execution model on one CPU core, for checking generated kernels: what stands in front of their text.
//
// The threads of a block are fibers (threads.cpp); every access to memory is reported to memory.cpp. Shared memory lies in a linker
// section of its own and is filled with NaN before every block. Two schedules (threads ascending or descending) tell apart what
// depends on order.
#pragma once
#include <math.h>
#include <stdint.h>
#include <string.h>

#include <utility>

#include "runtime.h"

namespace emu {
template <class... A, size_t... I>
static inline void apply(void (*f)(A...), void** args, std::index_sequence<I...>) { f(*(A*)args[I]...); }
template <auto F> struct Call;
template <class... A, void (*F)(A...)> struct Call<F> {
    static void run(void** args) { apply(F, args, std::index_sequence_for<A...>()); }
};

template <class T> static inline T shuffle_xor(unsigned mask, T value, int distance, int site) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "a shuffle moves 4 or 8 bytes");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    bits = shuffle(mask, bits, thread_index.x % 32 ^ distance, site);
    memcpy(&value, &bits, sizeof value);
    return value;
}

// ---- what CUDA's library has and C's has not, or has otherwise
template <class T> static inline T larger(T a, T b) { return a != a ? b : b != b ? a : a > b ? a : b > a ? b : signbit(a) ? b : a; }
template <class T> static inline T smaller(T a, T b) { return a != a ? b : b != b ? a : a < b ? a : b < a ? b : signbit(a) ? a : b; }

static double inverse_erf(double y) {
    if (!(fabs(y) < 1)) return fabs(y) == 1 ? y * HUGE_VAL : NAN;
    const double l = log1p(-y * y), a = 2 / (M_PI * 0.147) + l / 2, tail = 1 - fabs(y);
    double x = sqrt(sqrt(a * a - l / 0.147) - a);
    for (int step = 0; step < 4; ++step) {
        const double miss = fabs(y) < 0.5 ? erf(x) - fabs(y) : tail - erfc(x);
        const double slope = M_2_SQRTPI * exp(-x * x);
        x -= slope > 0 ? miss / (slope + x * miss) : 0;
    }
    return copysign(x, y);
}
}  // namespace emu

#define __global__ static
#define __device__ static
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __restrict__ __restrict
// Stands for `__shared__ T name[N];`
#define EMU_SHARED_ARRAY(T, name, N) \
    static __attribute__((section(EMU_SHARED))) emu::Shared<T, N> name##_guarded; \
    static unsigned name##_known; \
    T* const name = name##_guarded.watched(#name, name##_known)
#define __syncthreads() emu::barrier(__LINE__)
#define __shfl_xor_sync(mask, value, distance) emu::shuffle_xor((mask), (value), (distance), __LINE__)
#define threadIdx emu::thread_index
#define blockIdx emu::block_index
#define blockDim emu::block_size
#define gridDim emu::grid_size
#define fmax emu::larger
#define fmin emu::smaller

static inline double __longlong_as_double(long long bits) { double x; memcpy(&x, &bits, 8); return x; }
static inline long long __double_as_longlong(double x) { long long bits; memcpy(&bits, &x, 8); return bits; }
static inline float __int_as_float(int bits) { float x; memcpy(&x, &bits, 4); return x; }
static inline int __float_as_int(float x) { int bits; memcpy(&bits, &x, 4); return bits; }
static inline double rsqrt(double x) { return 1 / sqrt(x); }
static inline float rsqrtf(float x) { return 1 / sqrtf(x); }
static inline double erfinv(double x) { return emu::inverse_erf(x); }
static inline float erfinvf(float x) { return (float)emu::inverse_erf(x); }
