"""The C++ of an exported CUDA unit that is the same for every program: sizes, grids, launches, and an optional main.

`GRID` says again, for a host without Python, what `cuda_plan.grid_of` and `combine_grid` say; a test holds them equal.
"""

from __future__ import annotations

from .cuda_plan import BLOCK, PARTIALS, ROWS_PER_CHUNK, WORK_PER_CHUNK

SIZES = """\
inline long long host_max(long long a, long long b) { return a > b ? a : b; }
inline long long host_min(long long a, long long b) { return a < b ? a : b; }
inline long long host_floordiv(long long a, long long b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }
inline long long host_ceildiv(long long a, long long b) { return -host_floordiv(-a, b); }
"""

GRID = f"""\
// blocks, threads of each, and rows of each chunk; the number of chunks depends on the sizes alone
struct host_grid {{ long long blocks, threads, rows; }};

inline long long host_chunks(long long rows, long long work, bool serial, bool vector, bool folds) {{
    work = host_max(1, work);
    if (serial || rows == 0) return 1;
    long long chunks;
    if (vector) {{
        const long long most = work == 1 || folds ? {ROWS_PER_CHUNK} : {BLOCK};
        chunks = host_ceildiv(rows, host_min(most, host_max(32, host_ceildiv(rows, {PARTIALS}))));
    }} else {{
        chunks = host_ceildiv(rows, host_max(1, {WORK_PER_CHUNK} / work));
    }}
    return folds ? host_min(chunks, {PARTIALS}) : chunks;
}}

inline host_grid host_cut(long long rows, long long work, long long chunks, bool vector, bool ordered) {{
    const long long per = host_ceildiv(rows, chunks), wanted = vector ? per : host_ceildiv(host_max(1, work), 2);
    if (ordered) return {{1, {BLOCK}, host_max(1, rows)}};
    long long threads = 32;
    while (threads < {BLOCK} && threads < wanted) threads *= 2;
    return {{chunks, threads, vector ? host_max(1, host_ceildiv(per, threads)) * threads : host_max(1, per)}};
}}

// a block for each element of short results, a thread for each element of long ones
inline long long host_combine_blocks(long long count) {{
    return count <= {PARTIALS} ? count : host_ceildiv(count, {BLOCK});
}}
"""

LAUNCH = """\
template <class Function>
int host_launch(Function* function, host_grid grid, void** arguments, cudaStream_t stream) {
    const dim3 blocks((unsigned)grid.blocks), threads((unsigned)grid.threads);
    return (int)cudaLaunchKernel(function, blocks, threads, arguments, 0, stream);
}

int host_copy(void* target, const void* source, long long bytes, cudaStream_t stream) {
    return bytes > 0 ? (int)cudaMemcpyAsync(target, source, bytes, cudaMemcpyDeviceToDevice, stream) : 0;
}
"""

# What only some programs need.
TURN = """\
__global__ void host_next_turn(long long* turn) {
    if (threadIdx.x == 0) ++*turn;
}
"""

READ = """\
// a scalar of the device that decides what is launched next: the host waits for it
template <class T>
int host_read(T* value, const void* source, cudaStream_t stream) {
    const int status = (int)cudaMemcpyAsync(value, source, sizeof(T), cudaMemcpyDeviceToHost, stream);
    return status ? status : (int)cudaStreamSynchronize(stream);
}
"""

MAIN = """\
#ifdef PULLBACK_MAIN
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vector>

namespace {
struct host_array { const char *name, *dtype; long long itemsize, count; };

const char* host_given(int count, char** words, const char* name) {
    const size_t length = strlen(name);
    for (int k = 1; k < count; ++k)
        if (!strncmp(words[k], name, length) && words[k][length] == '=') return words[k] + length + 1;
    return nullptr;
}

// the bytes of a file, or numbers between 0 and 1 (integers: 0)
bool host_fill(std::vector<char>& bytes, const host_array& array, const char* path) {
    const bool wide = !strcmp(array.dtype, "float64");
    if (path) {
        FILE* file = fopen(path, "rb");
        const bool whole = file && fread(bytes.data(), 1, bytes.size(), file) == bytes.size();
        if (file) fclose(file);
        return whole;
    }
    if (strncmp(array.dtype, "float", 5)) return true;
    for (size_t at = 0; at < bytes.size() / array.itemsize; ++at) {
        const double value = (double)((at + 1) * 0x9e3779b97f4a7c15ull >> 11) * 0x1p-53;
        const float narrow = (float)value;
        memcpy(bytes.data() + at * array.itemsize, wide ? (const void*)&value : (const void*)&narrow, array.itemsize);
    }
    return true;
}

// the first number, and into a file where one is named
bool host_show(const std::vector<char>& bytes, const host_array& array, const char* path) {
    double first = 0;
    if (array.count && !strcmp(array.dtype, "float64")) memcpy(&first, bytes.data(), 8);
    if (array.count && !strcmp(array.dtype, "float32")) {
        float narrow;
        memcpy(&narrow, bytes.data(), 4);
        first = narrow;
    }
    printf("%s: %s, %lld elements, the first %.17g\\n", array.name, array.dtype, array.count, first);
    if (!path) return true;
    FILE* file = fopen(path, "wb");
    const bool whole = file && fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
    return file && fclose(file) == 0 && whole;
}

int host_failed(const char* what) {
    fprintf(stderr, "%s\\n", what);
    return 1;
}
}  // namespace

int main(int count, char** words) {
@SIZES@
    const host_array arrays[] = {@ARRAYS@};
    const int inputs = @INPUTS@, all = (int)(sizeof arrays / sizeof arrays[0]) - 1;
    std::vector<void*> places(all + 1, nullptr);
    for (int k = 0; k < all; ++k) {
        std::vector<char> bytes(arrays[k].count * arrays[k].itemsize);
        if (k < inputs && !host_fill(bytes, arrays[k], host_given(count, words, arrays[k].name)))
            return host_failed("an input file cannot be read, or is too short");
        if (cudaMalloc(&places[k], bytes.size() + 256) != cudaSuccess) return host_failed("out of device memory");
        cudaMemcpy(places[k], bytes.data(), bytes.size(), cudaMemcpyHostToDevice);
    }
    void* workspace = nullptr;
    const size_t space = @NAME@_workspace(@SIZE_NAMES@);
    if (cudaMalloc(&workspace, space) != cudaSuccess) return host_failed("out of device memory");
    const int turns = host_given(count, words, "repeat") ? atoi(host_given(count, words, "repeat")) : 1;
    cudaEvent_t begin, end;
    cudaEventCreate(&begin);
    cudaEventCreate(&end);
    int status = 0;
    for (int turn = -1; turn < turns && !status; ++turn) {      // the first call loads the kernels
        if (turn == 0) cudaEventRecord(begin, 0);
        status = @NAME@_run(@CALL@);
    }
    cudaEventRecord(end, 0);
    if (!status) status = (int)cudaEventSynchronize(end);
    if (status) return host_failed(cudaGetErrorString((cudaError_t)status));
    if (const char* text = @NAME@_failure(workspace, 0)) return host_failed(text);
    float milliseconds = 0;
    cudaEventElapsedTime(&milliseconds, begin, end);
    for (int k = inputs; k < all; ++k) {
        std::vector<char> bytes(arrays[k].count * arrays[k].itemsize);
        cudaMemcpy(bytes.data(), places[k], bytes.size(), cudaMemcpyDeviceToHost);
        if (!host_show(bytes, arrays[k], host_given(count, words, arrays[k].name)))
            return host_failed("a result file cannot be written");
    }
    if (turns > 0) printf("%d calls of %.6f ms\\n", turns, milliseconds / turns);
    for (void* place : places) cudaFree(place);
    cudaFree(workspace);
    return 0;
}
#endif
"""
