// Every access of a kernel to memory: within an array, in order with what other threads do there, of something that was written.
//
// Kernels are compiled with -fsanitize=thread and -fsanitize=undefined, which only put calls into them; the functions called are
// those here, and no sanitizer's library takes part. For every element of a watched array it is kept who wrote it last and who read
// it since. Two threads of a block may touch an element, one of them writing, with a barrier between; threads of different blocks never.
#include "runtime.h"

#include <stdlib.h>
#include <string.h>

namespace emu {
unsigned watching = 1;

namespace {
struct Touch { unsigned launch, block, thread, epoch; };
struct Cell {
    Touch write, read;
    bool threads_read, blocks_read;       // several have read: threads of one block since its last barrier; blocks
};
struct Array {
    char name[64];
    const char *start, *end, *from, *to;  // elements; with what lies around them, which nobody may touch
    unsigned grain;
    Use use;
    Cell* cells;
};
constexpr unsigned MOST = 4096;
Array arrays[MOST];                       // by address
unsigned count, launches;

Array* find(const char* at) {
    unsigned low = 0, high = count;
    while (low < high) {
        const unsigned middle = (low + high) / 2;
        if (arrays[middle].to <= at) low = middle + 1; else high = middle;
    }
    return low < count && arrays[low].from <= at ? &arrays[low] : nullptr;
}

const char* said(Use use) { return use == SHARED ? "shared " : ""; }

void race(const Array& a, size_t element, const Touch& other, const char* does, const char* did) {
    if (other.block != block_index.x)
        return fail(0, "race: %s[%zu]: block %u %s what block %u %s in the same launch", a.name, element, block_index.x, does, other.block, did);
    fail(0, "race: %s%s[%zu]: thread %u %s what thread %u %s, without a barrier between (block %u)",
         said(a.use), a.name, element, thread_index.x, does, other.thread, did, block_index.x);
}

bool here(const Touch& t) { return t.block == block_index.x; }
bool mine(const Touch& t) { return here(t) && t.thread == thread_index.x; }
bool ordered(const Touch& t) { return mine(t) || here(t) && t.epoch < epoch; }
// Whether what was done counts here: shared memory begins anew with every block.
bool counts(const Array& a, const Touch& t) { return t.launch == launches && (a.use != SHARED || here(t)); }

void read(const Array& a, Cell& c, size_t element) {
    const bool written = counts(a, c.write);
    if (a.use == SHARED && !written) return fail(0, "shared %s[%zu]: thread %u reads what nothing wrote (block %u)", a.name, element, thread_index.x, block_index.x);
    if (written && !ordered(c.write)) return race(a, element, c.write, "reads", "wrote");
    if (counts(a, c.read)) {
        c.blocks_read |= !here(c.read);
        c.threads_read = here(c.read) && c.read.epoch == epoch && (c.threads_read || !mine(c.read));
    } else c.threads_read = c.blocks_read = false;
    c.read = {launches, block_index.x, thread_index.x, epoch};
}

void write(const Array& a, Cell& c, size_t element) {
    if (counts(a, c.write) && !ordered(c.write)) return race(a, element, c.write, "writes", "wrote");
    if (counts(a, c.read)) {
        const bool others = c.threads_read && c.read.epoch == epoch;
        if (c.blocks_read || others || !ordered(c.read)) return race(a, element, c.read, "writes", others ? "and others read" : "read");
    }
    c.write = {launches, block_index.x, thread_index.x, epoch};
}

void touch(const void* at, size_t bytes, bool writes) {
    const char* first = (const char*)at;
    Array* a = find(first);
    if (!a) return;
    const long size = a->grain, past = first - a->start, element = (past < 0 ? past - size + 1 : past) / size;
    if (first < a->start || first + bytes > a->end)
        return fail(0, "%s%s: %s outside of its bounds, at element %ld of %zu (block %u, thread %u)", said(a->use), a->name,
                    writes ? "written" : "read", element, (a->end - a->start) / (size_t)a->grain, block_index.x, thread_index.x);
    if (a->use == ERROR_WORD) return;
    const size_t last = (first + bytes - 1 - a->start) / a->grain;
    for (size_t e = element; e <= last; ++e) writes ? write(*a, a->cells[e], e) : read(*a, a->cells[e], e);
}
}  // namespace

void watch(const char* name, const void* start, size_t bytes, const void* from, const void* to, unsigned grain, Use use) {
    if (count == MOST) return fail(0, "more than %u arrays", MOST);
    unsigned place = count++;
    for (; place && arrays[place - 1].from > from; --place) arrays[place] = arrays[place - 1];
    Array& a = arrays[place];
    strncpy(a.name, name, sizeof a.name - 1);
    a.start = (const char*)start;
    a.end = a.start + bytes;
    a.from = (const char*)from;
    a.to = (const char*)to;
    a.grain = grain;
    a.use = use;
    a.cells = (Cell*)calloc(bytes / grain + 1, sizeof(Cell));
}

void watch_none() {
    for (unsigned n = 0; n < count; ++n) free(arrays[n].cells);
    count = 0;
    ++watching;
}

void new_launch() { ++launches; }
}  // namespace emu

// ---- what the compiler calls at every access
#define ACCESS(name, bytes, writes) extern "C" void __tsan_##name(void* at) { emu::touch(at, bytes, writes); }
#define SIZES(bytes) ACCESS(read##bytes, bytes, false) ACCESS(write##bytes, bytes, true) \
    ACCESS(unaligned_read##bytes, bytes, false) ACCESS(unaligned_write##bytes, bytes, true)
SIZES(1) SIZES(2) SIZES(4) SIZES(8) SIZES(16)
extern "C" void __tsan_read_range(void* at, size_t bytes) { emu::touch(at, bytes, false); }
extern "C" void __tsan_write_range(void* at, size_t bytes) { emu::touch(at, bytes, true); }
extern "C" void __tsan_init() {}
extern "C" void __tsan_func_entry(void*) {}
extern "C" void __tsan_func_exit() {}

// ---- and where the meaning of C++ ends; every description begins with the place in the text
struct Place { const char* file; unsigned line, column; };
#define UNDEFINED(name, text, ...) extern "C" void __ubsan_handle_##name(Place* place, ##__VA_ARGS__) { \
    emu::fail(place->line, "undefined behaviour: " text); }
UNDEFINED(add_overflow, "a sum overflows", void*, void*)
UNDEFINED(sub_overflow, "a difference overflows", void*, void*)
UNDEFINED(mul_overflow, "a product overflows", void*, void*)
UNDEFINED(negate_overflow, "a negation overflows", void*)
UNDEFINED(divrem_overflow, "a quotient by zero, or of the least integer by -1", void*, void*)
UNDEFINED(shift_out_of_bounds, "a shift by the width or more", void*, void*)
UNDEFINED(out_of_bounds, "an index outside of an array", void*)
UNDEFINED(type_mismatch_v1, "an address that is null or not aligned", void*)
UNDEFINED(pointer_overflow, "an address overflows", void*, void*)
extern "C" void __ubsan_handle_builtin_unreachable(Place* place) { emu::fail(place->line, "undefined behaviour: reached"); abort(); }
extern "C" void __ubsan_handle_missing_return(Place* place) { emu::fail(place->line, "undefined behaviour: no return"); abort(); }
