// CUDA's execution model on one CPU core, for checking generated kernels.
//
// The threads of a block are fibers. A barrier or a warp shuffle is a rendezvous: a fiber that reaches it is put aside until all that
// it waits for have come. Shared memory lies in a linker section of its own and is filled with NaN before every block. Found are:
// barriers that not all threads reach, rendezvous that never come about, shuffles outside of their mask, and, by the values that
// come out, reads of shared memory that nobody wrote. Two schedules (threads ascending or descending) tell apart what depends on order.
#pragma once
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <utility>
#ifndef __x86_64__
#include <ucontext.h>
#endif

namespace emu {

struct Index { unsigned x, y, z; };
static Index thread_index, block_index, block_size, grid_size;

enum State { READY, AT_BARRIER, AT_SHUFFLE, DONE };
constexpr unsigned MOST = 1024;            // threads of a block
constexpr size_t STACK = 512 << 10;

struct Fiber {
    State state;
    int site;
    unsigned mask, lane, source;
    uint64_t value;
    void* context;
};
static Fiber fibers[MOST];
static Fiber* running;
static unsigned count, live;
static bool meets;
static char message[256];
static void (*body)(void**);
static void** arguments;
static char* stacks;

static void fail(const char* text, int site) {
    if (!message[0]) snprintf(message, sizeof message, "%s (line %d, block %u, thread %u)", text, site, block_index.x, thread_index.x);
}

// ---- fibers: on x86-64 a switch saves six registers; elsewhere the C library does it
static void to_scheduler();
static void run_body() {
    body(arguments);
    running->state = DONE;
    --live;
    to_scheduler();
}
#ifdef __x86_64__
static void* scheduler;
extern "C" void emu_switch(void** save, void* to);
asm(".text\n.local emu_switch\nemu_switch:\n"
    "pushq %rbp\npushq %rbx\npushq %r12\npushq %r13\npushq %r14\npushq %r15\n"
    "movq %rsp,(%rdi)\nmovq %rsi,%rsp\n"
    "popq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbx\npopq %rbp\nret\n");
static void to_scheduler() { emu_switch(&running->context, scheduler); }
static void prepare(unsigned i) {
    void** top = (void**)(stacks + (i + 1) * STACK - 64 - i % 61 * 128);   // staggered, so that stacks share no cache sets
    *--top = nullptr;
    *--top = (void*)run_body;
    for (int saved = 0; saved < 6; ++saved) *--top = nullptr;
    fibers[i].context = top;
}
static void resume(Fiber& f) { emu_switch(&scheduler, f.context); }
#else
static ucontext_t scheduler, contexts[MOST];
static void to_scheduler() { swapcontext(&contexts[running - fibers], &scheduler); }
static void prepare(unsigned i) {
    getcontext(&contexts[i]);
    contexts[i].uc_stack.ss_sp = stacks + i * STACK;
    contexts[i].uc_stack.ss_size = STACK;
    contexts[i].uc_link = nullptr;
    makecontext(&contexts[i], run_body, 0);
}
static void resume(Fiber& f) { swapcontext(&scheduler, &contexts[&f - fibers]); }
#endif

// ---- rendezvous
static __attribute__((noinline)) void barrier(int site) {
    if (!meets) return fail("a barrier in a kernel that is said to have none", site);
    running->state = AT_BARRIER;
    running->site = site;
    to_scheduler();
}

static __attribute__((noinline)) uint64_t shuffle(unsigned mask, uint64_t value, unsigned source, int site) {
    if (!meets) { fail("a shuffle in a kernel that is said to have none", site); return value; }
    Fiber* me = running;
    me->state = AT_SHUFFLE;
    me->site = site;
    me->mask = mask;
    me->value = value;
    me->source = source;
    if (!(mask >> me->lane & 1)) fail("shuffle: a thread is not in its own mask", site);
    to_scheduler();
    return me->value;
}

static bool release_barrier() {
    const Fiber* first = nullptr;
    for (unsigned i = 0; i < count; ++i) {
        if (fibers[i].state != AT_BARRIER) continue;
        if (first && fibers[i].site != first->site) fail("barrier divergence: threads wait at different barriers", fibers[i].site);
        if (!first) first = &fibers[i];
    }
    if (!first) return false;
    for (unsigned i = 0; i < count; ++i) {
        if (fibers[i].state == DONE) fail("barrier divergence: some threads ended before a barrier", first->site);
        if (fibers[i].state == AT_SHUFFLE) return false;
    }
    for (unsigned i = 0; i < count; ++i) fibers[i].state = READY;
    return true;
}

static bool release_warp(unsigned start) {
    const unsigned size = count - start < 32 ? count - start : 32;
    bool released = false;
    for (unsigned lane = 0; lane < size; ++lane) {
        Fiber& f = fibers[start + lane];
        if (f.state != AT_SHUFFLE) continue;
        bool complete = true;
        for (unsigned l = 0; l < 32; ++l) {
            if (!(f.mask >> l & 1)) continue;
            if (l >= size || fibers[start + l].state == DONE) fail("shuffle: the mask names a thread that is not there", f.site);
            else complete &= fibers[start + l].state == AT_SHUFFLE && fibers[start + l].site == f.site && fibers[start + l].mask == f.mask;
        }
        if (message[0]) return false;
        if (!complete) continue;
        uint64_t values[32];
        for (unsigned l = 0; l < size; ++l) values[l] = fibers[start + l].value;
        const unsigned mask = f.mask;
        for (unsigned l = 0; l < size; ++l) {
            if (!(mask >> l & 1)) continue;
            Fiber& one = fibers[start + l];
            if (one.source >= size || !(mask >> one.source & 1)) fail("shuffle: reads a thread outside of the mask", one.site);
            else one.value = values[one.source];
            one.state = READY;
        }
        released = true;
    }
    return released;
}

// ---- launches
static void run_block(bool descending) {
    live = count;
    for (unsigned i = 0; i < count; ++i) {
        fibers[i] = Fiber{READY, 0, 0, i & 31, 0, 0, nullptr};
        prepare(i);
    }
    while (live && !message[0]) {
        bool progress = false;
        for (unsigned n = 0; n < count; ++n) {
            const unsigned i = descending ? count - 1 - n : n;
            if (fibers[i].state != READY) continue;
            running = &fibers[i];
            thread_index.x = i;
            resume(fibers[i]);
            progress = true;
            if (message[0]) return;
        }
        for (unsigned warp = 0; warp < count; warp += 32) progress |= release_warp(warp);
        progress |= live && release_barrier();
        if (!progress && live) {
            for (unsigned i = 0; i < count; ++i) if (fibers[i].state != DONE) return fail("deadlock: threads wait for each other", fibers[i].site);
        }
    }
}

struct Kernel {
    void (*call)(void**);
    char *shared, *shared_end;
};

static const char* launch(const Kernel& kernel, unsigned blocks, unsigned threads, bool meet, bool descending, void** args) {
    if (!stacks) stacks = (char*)mmap(nullptr, MOST * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    message[0] = 0;
    if (threads > MOST || threads % 32) { snprintf(message, sizeof message, "a block of %u threads: not whole warps", threads); return message; }
    body = kernel.call;
    arguments = args;
    meets = meet;
    count = threads;
    block_size = {threads, 1, 1};
    grid_size = {blocks, 1, 1};
    for (unsigned b = 0; b < blocks && !message[0]; ++b) {
        block_index = {descending ? blocks - 1 - b : b, 0, 0};
        if (kernel.shared) memset(kernel.shared, 0xff, kernel.shared_end - kernel.shared);
        if (meet) { run_block(descending); continue; }
        for (unsigned t = 0; t < threads && !message[0]; ++t) {
            thread_index.x = descending ? threads - 1 - t : t;
            body(args);
        }
    }
    return message[0] ? message : nullptr;
}

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
#define __shared__ static __attribute__((section(EMU_SHARED)))
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
