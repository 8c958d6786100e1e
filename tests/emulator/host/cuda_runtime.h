// What an exported unit uses of CUDA's runtime, on the CPU: memory is the host's, a launch runs at once by the emulator.
#pragma once
#define EMU_SHARED "emu_shared"
#include <stdlib.h>

#include "../emulator.h"

extern "C" char __start_emu_shared[] __attribute__((weak)), __stop_emu_shared[] __attribute__((weak));

#define __shared__ static __attribute__((section(EMU_SHARED)))
#define __align__(bytes) __attribute__((aligned(bytes)))
typedef int cudaError_t;
typedef struct emu_stream* cudaStream_t;
typedef int* cudaEvent_t;
enum { cudaSuccess = 0, cudaErrorInvalidValue = 1, cudaErrorLaunchFailure = 719, cudaErrorUnknown = 999 };
enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice };
struct dim3 {
    unsigned x, y = 1, z = 1;
    explicit dim3(unsigned size) : x(size) {}
};

static const char* emu_problem = "";
static inline const char* cudaGetErrorString(cudaError_t status) { return status == cudaErrorLaunchFailure ? emu_problem : "failed"; }
static inline cudaError_t cudaMalloc(void** place, size_t bytes) { return posix_memalign(place, 256, bytes + 1) ? cudaErrorUnknown : cudaSuccess; }
template <class T> static inline cudaError_t cudaMalloc(T** place, size_t bytes) { return cudaMalloc((void**)place, bytes); }
static inline cudaError_t cudaFree(void* place) { free(place); return cudaSuccess; }
static inline cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind) { memmove(to, from, bytes); return cudaSuccess; }
static inline cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t) { return cudaMemcpy(to, from, bytes, kind); }
static inline cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t) { memset(to, value, bytes); return cudaSuccess; }
static inline cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
static inline cudaError_t cudaEventCreate(cudaEvent_t*) { return cudaSuccess; }
static inline cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) { return cudaSuccess; }
static inline cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaSuccess; }
static inline cudaError_t cudaEventElapsedTime(float* time, cudaEvent_t, cudaEvent_t) { *time = 0; return cudaSuccess; }
template <class T> static inline cudaError_t cudaGetSymbolAddress(void** place, T& symbol) { *place = (void*)&symbol; return cudaSuccess; }

namespace emu {
template <class... A> struct Launched {
    static inline void (*function)(A...);
    static void run(void** args) { apply(function, args, std::index_sequence_for<A...>()); }
};
}  // namespace emu

template <class... A>
static cudaError_t cudaLaunchKernel(void (*function)(A...), dim3 blocks, dim3 threads, void** args, size_t, cudaStream_t) {
    if (!blocks.x || !threads.x || threads.x > 1024) return cudaErrorInvalidValue;
    emu::Launched<A...>::function = function;
    const emu::Kernel kernel = {&emu::Launched<A...>::run, __start_emu_shared, __stop_emu_shared};
    const char* problem = emu::launch(kernel, blocks.x, threads.x, true, false, args);
    if (problem) emu_problem = problem;
    return problem ? cudaErrorLaunchFailure : cudaSuccess;
}
