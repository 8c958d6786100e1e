// The threads of a block as fibers. A barrier or a warp shuffle is a rendezvous: a fiber that reaches it is put aside until all
// that it waits for have come. Found are barriers that not all threads reach, shuffles whose mask names threads that do not come,
// and rendezvous that never come about.
#include "runtime.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#ifndef __x86_64__
#include <ucontext.h>
#endif

namespace emu {
Index thread_index, block_index, block_size, grid_size;
unsigned epoch;

namespace {
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
Fiber fibers[MOST];
Fiber* running;
unsigned count, live;
bool meets, inside;                        // whether its threads meet; whether one of them runs now
jmp_buf outside;
char message[400];
void (*body)(void**);
void** arguments;
char* stacks;

// ---- fibers: on x86-64 a switch saves six registers; elsewhere the C library does it
void to_scheduler();
void run_body() {
    body(arguments);
    running->state = DONE;
    --live;
    to_scheduler();
}
#ifdef __x86_64__
void* scheduler;
extern "C" void emu_switch(void** save, void* to);
asm(".text\n.local emu_switch\nemu_switch:\n"
    "pushq %rbp\npushq %rbx\npushq %r12\npushq %r13\npushq %r14\npushq %r15\n"
    "movq %rsp,(%rdi)\nmovq %rsi,%rsp\n"
    "popq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbx\npopq %rbp\nret\n");
void to_scheduler() { emu_switch(&running->context, scheduler); }
void prepare(unsigned i) {
    void** top = (void**)(stacks + (i + 1) * STACK - 64 - i % 61 * 128);   // staggered, so that stacks share no cache sets
    *--top = nullptr;
    *--top = (void*)run_body;
    for (int saved = 0; saved < 6; ++saved) *--top = nullptr;
    fibers[i].context = top;
}
void resume(Fiber& f) { emu_switch(&scheduler, f.context); }
#else
ucontext_t scheduler, contexts[MOST];
void to_scheduler() { swapcontext(&contexts[running - fibers], &scheduler); }
void prepare(unsigned i) {
    getcontext(&contexts[i]);
    contexts[i].uc_stack.ss_sp = stacks + i * STACK;
    contexts[i].uc_stack.ss_size = STACK;
    contexts[i].uc_link = nullptr;
    makecontext(&contexts[i], run_body, 0);
}
void resume(Fiber& f) { swapcontext(&scheduler, &contexts[&f - fibers]); }
#endif
}  // namespace

// The thread that fails does not go on: what it would do next may be to write anywhere.
void fail(int site, const char* format, ...) {
    if (message[0]) return;
    va_list values;
    va_start(values, format);
    const int used = vsnprintf(message, sizeof message, format, values);
    va_end(values);
    const int left = used < (int)sizeof message ? (int)sizeof message - used : 0;
    if (site) snprintf(message + used, left, " (line %d, block %u, thread %u)", site, block_index.x, thread_index.x);
    if (inside && meets) to_scheduler();
    if (inside) longjmp(outside, 1);
}
bool failed() { return message[0]; }

// ---- rendezvous
void barrier(int site) {
    if (!meets) fail(site, "a barrier in a kernel that is said to have none");
    running->state = AT_BARRIER;
    running->site = site;
    to_scheduler();
}

uint64_t shuffle(unsigned mask, uint64_t value, unsigned source, int site) {
    if (!meets) fail(site, "a shuffle in a kernel that is said to have none");
    Fiber* me = running;
    me->state = AT_SHUFFLE;
    me->site = site;
    me->mask = mask;
    me->value = value;
    me->source = source;
    if (!(mask >> me->lane & 1)) fail(site, "shuffle: a thread is not in its own mask");
    to_scheduler();
    return me->value;
}

namespace {
void failed_at(unsigned i, const char* text) {
    thread_index.x = i;
    fail(fibers[i].site, "%s", text);
}

bool release_barrier() {
    const Fiber* first = nullptr;
    for (unsigned i = 0; i < count; ++i) {
        if (fibers[i].state != AT_BARRIER) continue;
        if (first && fibers[i].site != first->site) failed_at(i, "barrier divergence: threads wait at different barriers");
        if (!first) first = &fibers[i];
    }
    if (!first) return false;
    for (unsigned i = 0; i < count; ++i) {
        if (fibers[i].state == DONE) failed_at(first - fibers, "barrier divergence: some threads ended before a barrier");
        if (fibers[i].state == AT_SHUFFLE) return false;
    }
    for (unsigned i = 0; i < count; ++i) fibers[i].state = READY;
    ++epoch;
    return true;
}

bool release_warp(unsigned start) {
    const unsigned size = count - start < 32 ? count - start : 32;
    bool released = false;
    for (unsigned lane = 0; lane < size; ++lane) {
        Fiber& f = fibers[start + lane];
        if (f.state != AT_SHUFFLE) continue;
        bool complete = true;
        for (unsigned l = 0; l < 32; ++l) {
            if (!(f.mask >> l & 1)) continue;
            if (l >= size || fibers[start + l].state == DONE) failed_at(start + lane, "shuffle: the mask names a thread that is not there");
            else complete &= fibers[start + l].state == AT_SHUFFLE && fibers[start + l].site == f.site && fibers[start + l].mask == f.mask;
        }
        if (failed()) return false;
        if (!complete) continue;
        uint64_t values[32];
        for (unsigned l = 0; l < size; ++l) values[l] = fibers[start + l].value;
        const unsigned mask = f.mask;
        for (unsigned l = 0; l < size; ++l) {
            if (!(mask >> l & 1)) continue;
            Fiber& one = fibers[start + l];
            if (one.source >= size || !(mask >> one.source & 1)) failed_at(start + l, "shuffle: reads a thread outside of the mask");
            else one.value = values[one.source];
            one.state = READY;
        }
        released = true;
    }
    return released;
}

// Nothing goes on: threads that wait in a shuffle are named first, for they are why others wait in vain.
void stuck() {
    for (unsigned i = 0; i < count; ++i) if (fibers[i].state == AT_SHUFFLE) return failed_at(i, "divergent shuffle: threads of its mask wait elsewhere");
    for (unsigned i = 0; i < count; ++i) if (fibers[i].state == AT_BARRIER) return failed_at(i, "deadlock: threads wait for each other");
}
}  // namespace

// ---- launches
namespace {
void run_block(bool descending) {
    live = count;
    for (unsigned i = 0; i < count; ++i) {
        fibers[i] = Fiber{READY, 0, 0, i & 31, 0, 0, nullptr};
        prepare(i);
    }
    while (live && !failed()) {
        bool progress = false;
        for (unsigned n = 0; n < count; ++n) {
            const unsigned i = descending ? count - 1 - n : n;
            if (fibers[i].state != READY) continue;
            running = &fibers[i];
            thread_index.x = i;
            inside = true;
            resume(fibers[i]);
            inside = false;
            progress = true;
            if (failed()) return;
        }
        for (unsigned warp = 0; warp < count; warp += 32) progress |= release_warp(warp);
        progress |= live && release_barrier();
        if (!progress && live) return stuck();
    }
}
}  // namespace

const char* launch(const Kernel& kernel, unsigned blocks, unsigned threads, bool meet, bool descending, void** args) {
    if (!stacks) stacks = (char*)mmap(nullptr, MOST * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    message[0] = 0;
    if (threads > MOST || threads % 32) { fail(0, "a block of %u threads: not whole warps", threads); return message; }
    body = kernel.call;
    arguments = args;
    meets = meet;
    count = threads;
    block_size = {threads, 1, 1};
    grid_size = {blocks, 1, 1};
    new_launch();
    for (unsigned b = 0; b < blocks && !failed(); ++b) {
        block_index = {descending ? blocks - 1 - b : b, 0, 0};
        epoch = 0;
        if (kernel.shared) memset(kernel.shared, 0xff, kernel.shared_end - kernel.shared);
        if (meet) { run_block(descending); continue; }
        inside = true;
        for (volatile unsigned t = 0; t < threads && !setjmp(outside); ++t) {
            thread_index.x = descending ? threads - 1 - t : t;
            body(args);
        }
        inside = false;
    }
    return failed() ? message : nullptr;
}
}  // namespace emu
