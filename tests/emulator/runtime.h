// What generated kernels and the emulator's runtime share.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace emu {

struct Index { unsigned x, y, z; };
extern Index thread_index, block_index, block_size, grid_size;

struct Kernel {
    void (*call)(void**);
    char *shared, *shared_end;
};

// ---- rendezvous (threads.cpp)
void barrier(int site);
uint64_t shuffle(unsigned mask, uint64_t value, unsigned source, int site);
const char* launch(const Kernel& kernel, unsigned blocks, unsigned threads, bool meet, bool descending, void** args);
void fail(int site, const char* format, ...);
bool failed();

// ---- memory (memory.cpp)
enum Use { BUFFER, ERROR_WORD, SHARED };
void watch(const char* name, const void* start, size_t bytes, const void* from, const void* to, unsigned grain, Use use);
void watch_none();
void new_launch();
extern unsigned epoch;                    // barriers that the running block has passed
extern unsigned watching;                 // changes whenever nothing is watched any more

// A shared array with room around it that belongs to nobody.
constexpr unsigned MARGIN = 256;
template <class T, int N> struct Shared {
    char front[MARGIN];
    T at[N];
    char behind[MARGIN];
    T* watched(const char* name, unsigned& known) {
        if (known != watching) watch(name, at, sizeof at, this, this + 1, sizeof(T), SHARED);
        known = watching;
        return at;
    }
};
}  // namespace emu
