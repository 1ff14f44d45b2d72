// Runs the blocks of a grid one after the other; a block's threads are fibers of one host thread, which take turns at
// barriers. What a GPU would do wrong quietly ends the kernel with a sentence.
#pragma once
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include "stacks.h"
#include "watch.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define __shared__ static  // with red zones around each array
#define STACK_BYTES (256 << 10)
#else
#define __shared__ static __attribute__((section("emulated_shared")))
extern char __start_emulated_shared[] __attribute__((weak, visibility("hidden")));
extern char __stop_emulated_shared[] __attribute__((weak, visibility("hidden")));
#define STACK_BYTES (64 << 10)
#endif

struct dim3 { unsigned x, y, z; };
static dim3 threadIdx, blockIdx, blockDim, gridDim;

enum { GREEDY, REVERSED, ROUNDS, RANDOM };  // who takes turns when: see `warps_turn`
static int schedule;
static uint64_t random_state;

static unsigned below(unsigned limit) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((random_state >> 33) % limit);
}

// --- faults -----------------------------------------------------------------------------------------------------

static char fault_text[512];
static jmp_buf kernel_end;

template <class... Parts> [[noreturn]] static void fault(const char* format, Parts... parts) {
    snprintf(fault_text, sizeof fault_text, format, parts...);
    longjmp(kernel_end, 1);
}

// What the compiler's checks of alignment, bounds and divisors call.
struct Place { const char* file; unsigned line, column; };
#define CHECK(name, sentence)                                                                                     \
    extern "C" __attribute__((visibility("hidden"))) void __ubsan_handle_##name##_abort(Place* p, long long value) { \
        fault(sentence " at line %u; block (%u, %u, %u), thread (%u, %u, %u)", value, p->line, blockIdx.x,         \
              blockIdx.y, blockIdx.z, threadIdx.x, threadIdx.y, threadIdx.z);                                      \
    }
CHECK(type_mismatch_v1, "misaligned address %#llx")
CHECK(out_of_bounds, "index %lld is out of bounds of its array")
CHECK(divrem_overflow, "division of %lld by zero")

// --- fibers -----------------------------------------------------------------------------------------------------

enum Waits { READY, AT_BLOCK, AT_WARP, ENDED };

struct Copy { void* to; const void* from; size_t bytes; unsigned group; };

struct Fiber {
    Stack stack;
    void* memory;
    Waits waits;
    int line;       // of the barrier
    unsigned mask;  // lanes that it is a barrier of
    bool orders;    // what these lanes read and write; exchanges of values do not
    size_t given_bytes;
    uint64_t given[8];
    Copy* copies;  // that are under way
    unsigned copy_count, copy_capacity, copy_groups;
};

static Fiber* fibers;
static unsigned fiber_count, fiber_current, fiber_capacity;
static Stack scheduler;
static void (*thread_body)(void*);
static void* thread_argument;
static uint64_t published[32][32][8];  // per warp and lane, what it gave at the last barrier of its warp

static void place(unsigned index) {
    fiber_current = index;
    threadIdx = {index % blockDim.x, index / blockDim.x % blockDim.y, index / (blockDim.x * blockDim.y)};
}
UNWATCHED static void wait_at(Waits waits, int line, unsigned mask, bool orders = true) {
    Fiber& self = fibers[fiber_current];
    self.waits = waits;
    self.line = line;
    self.mask = mask;
    self.orders = orders;
    switch_stack(self.stack, scheduler);
}
static void fiber_main() {
    thread_body(thread_argument);
    if (fibers[fiber_current].copy_count)
        fault("thread %u ends before %u of its copies do", fiber_current, fibers[fiber_current].copy_count);
    wait_at(ENDED, 0, 0);
}

// Copies to shared memory that are done as late as a thread lets them: until then what they fill holds NaN.
UNWATCHED static void copy_later(void* to, const void* from, size_t bytes) {
    Fiber& self = fibers[fiber_current];
    if (self.copy_count == self.copy_capacity) {
        self.copy_capacity = self.copy_capacity * 2 + 16;
        self.copies = (Copy*)realloc(self.copies, self.copy_capacity * sizeof(Copy));
    }
    watch_copy_begins(CALLED_AT, to, from, bytes);
    memset(to, 0xff, bytes);
    self.copies[self.copy_count++] = {to, from, bytes, self.copy_groups};
}
UNWATCHED static void close_copies() { ++fibers[fiber_current].copy_groups; }
// Waits for all groups of copies that are closed but the last `left`.
UNWATCHED static void await_copies(unsigned left) {
    Fiber& self = fibers[fiber_current];
    unsigned kept = 0;
    for (unsigned i = 0; i < self.copy_count; ++i) {
        const Copy copy = self.copies[i];
        if (copy.group + left >= self.copy_groups) {
            self.copies[kept++] = copy;
            continue;
        }
        watch_copy_ends(CALLED_AT, copy.to, copy.bytes);
        memcpy(copy.to, copy.from, copy.bytes);
    }
    self.copy_count = kept;
}

static inline void block_barrier(int line) { wait_at(AT_BLOCK, line, 0); }
struct WarpBarrier {
    int line;
    void operator()(unsigned mask = 0xffffffffu) const { wait_at(AT_WARP, line, mask); }
};

// Hands a value of up to 64 bytes to the other lanes of the mask; after it, `given_by(lane)` reads theirs.
template <class T> UNWATCHED static void give(int line, unsigned mask, const T& value) {
    static_assert(sizeof(T) <= sizeof(Fiber::given), "at most 64 bytes a lane");
    memcpy(fibers[fiber_current].given, &value, sizeof(T));
    fibers[fiber_current].given_bytes = sizeof(T);
    wait_at(AT_WARP, line, mask, false);
}
template <class T> UNWATCHED static T given_by(unsigned lane) {
    const Fiber& self = fibers[fiber_current];
    const unsigned first = fiber_current / 32 * 32;
    if (!(self.mask >> lane & 1) || first + lane >= fiber_count)
        fault("line %d: thread %u reads lane %u, which takes no part", self.line, fiber_current, lane);
    T value;
    memcpy(&value, published[fiber_current / 32][lane], sizeof(T));
    return value;
}

// --- schedules --------------------------------------------------------------------------------------------------

static bool release_lanes(unsigned first, unsigned count, unsigned lane) {
    const Fiber& one = fibers[first + lane];
    for (unsigned i = 0; i < count; ++i) {
        const Fiber& other = fibers[first + i];
        const bool waits_too = other.waits == AT_WARP && other.line == one.line && other.mask == one.mask;
        if ((one.mask >> i & 1) && !waits_too) return false;
    }
    const unsigned mask = one.mask;
    if (one.orders) watch_warp_barrier(first, mask);
    for (unsigned i = 0; i < count; ++i) {
        if (!(mask >> i & 1)) continue;
        Fiber& released = fibers[first + i];
        memcpy(published[first / 32][i], released.given, released.given_bytes <= 8 ? 8 : sizeof(Fiber::given));
        released.waits = READY;
    }
    return true;
}

// Lets each lane that can run do so until it waits; else lets lanes pass a barrier of theirs. False: neither can be.
static bool warp_turn(unsigned warp) {
    const unsigned first = warp * 32, count = fiber_count - first < 32 ? fiber_count - first : 32;
    const unsigned order = schedule == RANDOM ? below(32) : schedule == REVERSED ? 31 : 0;
    bool moved = false;
    for (unsigned i = 0; i < 32; ++i) {
        const unsigned lane = i ^ order;
        if (lane >= count || fibers[first + lane].waits != READY) continue;
        place(first + lane);
        watch_thread(first + lane, fibers[first + lane].memory, STACK_BYTES);
        switch_stack(scheduler, fibers[first + lane].stack);
        watch_nobody();
        moved = true;
    }
    watch_turn();
    for (unsigned lane = 0; lane < count && !moved; ++lane)
        moved = fibers[first + lane].waits == AT_WARP && release_lanes(first, count, lane);
    return moved;
}

// GREEDY and REVERSED: a warp runs to the block's barrier before the next one starts. ROUNDS: each warp in turn, to
// its next barrier. RANDOM: any warp.
static bool warps_turn(unsigned warps) {
    const unsigned start = schedule == RANDOM ? below(warps) : 0;
    bool moved = false;
    for (unsigned i = 0; i < warps && !(moved && schedule == RANDOM); ++i) {
        const unsigned warp = schedule == REVERSED ? warps - 1 - i : (start + i) % warps;
        while (warp_turn(warp)) {
            moved = true;
            if (schedule >= ROUNDS) break;
        }
    }
    return moved;
}

static bool release_block() {
    for (unsigned i = 1; i < fiber_count; ++i) {
        const Fiber &one = fibers[0], &other = fibers[i];
        if (one.waits == other.waits && one.line == other.line && one.waits != AT_WARP) continue;
        static const char* const does[] = {"runs", "waits for its block", "waits for its warp", "has ended"};
        fault("barriers diverge in block (%u, %u, %u): thread 0 %s (line %d), thread %u %s (line %d)", blockIdx.x,
              blockIdx.y, blockIdx.z, does[one.waits], one.line, i, does[other.waits], other.line);
    }
    if (fibers[0].waits == AT_WARP) fault("thread 0 waits at line %d for lanes that are not there", fibers[0].line);
    if (fibers[0].waits == ENDED) return false;
    for (unsigned i = 0; i < fiber_count; ++i) fibers[i].waits = READY;
    watch_block_barrier();
    return true;
}

static void run_fibers() {
    for (unsigned i = 0; i < fiber_count; ++i) {
        begin_stack(fibers[i].stack, fibers[i].memory, STACK_BYTES, fiber_main);
        fibers[i].waits = READY;
        fibers[i].copy_count = fibers[i].copy_groups = 0;
    }
    do {
        while (warps_turn((fiber_count + 31) / 32)) {}
    } while (release_block());
}

static void reserve_fibers(unsigned threads) {
    fiber_count = threads;
    if (threads <= fiber_capacity) return;
    fibers = (Fiber*)realloc(fibers, threads * sizeof(Fiber));
    for (; fiber_capacity < threads; ++fiber_capacity) {
        fibers[fiber_capacity] = {};
        fibers[fiber_capacity].memory = malloc(STACK_BYTES);
    }
}

// --- grids ------------------------------------------------------------------------------------------------------

#define GUARD 64
static char* dynamic_shared;
static size_t dynamic_bytes;

static void reserve_shared(size_t bytes) {
    free(dynamic_shared);
    dynamic_bytes = bytes;
    void* memory = nullptr;
#ifdef __SANITIZE_ADDRESS__
    if (posix_memalign(&memory, 256, bytes + !bytes)) abort();
#else
    if (posix_memalign(&memory, 256, bytes + GUARD)) abort();
#endif
    dynamic_shared = (char*)memory;
}

// False: nobody wants it run.
static bool begin_block(uint64_t index) {
#ifdef __SANITIZE_ADDRESS__
    memset(dynamic_shared, 0xff, dynamic_bytes);
    return true;
#else
    memset(dynamic_shared, 0xff, dynamic_bytes + GUARD);
    if (__start_emulated_shared != __stop_emulated_shared)
        memset(__start_emulated_shared, 0xff, __stop_emulated_shared - __start_emulated_shared);
    return watch_block(index, __start_emulated_shared, __stop_emulated_shared - __start_emulated_shared, dynamic_shared,
                       dynamic_bytes);
#endif
}

static void end_block() {
#ifndef __SANITIZE_ADDRESS__
    for (unsigned i = 0; i < GUARD; ++i)
        if ((unsigned char)dynamic_shared[dynamic_bytes + i] != 0xff)
            fault("block (%u, %u, %u) wrote past its %zu bytes of dynamic shared memory", blockIdx.x, blockIdx.y,
                  blockIdx.z, dynamic_bytes);
#endif
}

static size_t static_shared_bytes() {
#ifdef __SANITIZE_ADDRESS__
    return 0;
#else
    return __stop_emulated_shared - __start_emulated_shared;
#endif
}

static uint64_t coprime(uint64_t count, uint64_t candidate) {
    for (;; ++candidate) {
        uint64_t a = candidate, b = count;
        while (b) { const uint64_t rest = a % b; a = b; b = rest; }
        if (a == 1) return candidate;
    }
}

template <class Body> static void run_blocks(bool has_barriers, Body& body) {
    const uint64_t count = (uint64_t)gridDim.x * gridDim.y * gridDim.z;
    const uint64_t stride = schedule == RANDOM ? coprime(count, 1 + below(1 << 20)) : 1;
    const uint64_t start = schedule == RANDOM ? below(1 << 20) % count : 0;
    for (uint64_t turn = 0; turn < count; ++turn) {
        const uint64_t index = schedule == REVERSED ? count - 1 - turn : (start + turn * stride) % count;
        blockIdx = {(unsigned)(index % gridDim.x), (unsigned)(index / gridDim.x % gridDim.y),
                    (unsigned)(index / ((uint64_t)gridDim.x * gridDim.y))};
        if (!begin_block(index)) continue;
        if (has_barriers) {
            run_fibers();
        } else {
            for (unsigned z = 0; z < blockDim.z; ++z)
                for (unsigned y = 0; y < blockDim.y; ++y)
                    for (unsigned x = 0; x < blockDim.x; ++x) { threadIdx = {x, y, z}; body(); }
        }
        end_block();
    }
}

// What went wrong, or null.
template <class Body>
static const char* run_grid(dim3 grid, dim3 block, size_t shared, int order, uint64_t seed, bool has_barriers, Body body) {
    gridDim = grid;
    blockDim = block;
    schedule = order;
    random_state = seed;
    thread_body = [](void* argument) { (*(Body*)argument)(); };
    thread_argument = &body;
    reserve_shared(shared);
    reserve_fibers(block.x * block.y * block.z);
    if (setjmp(kernel_end)) return fault_text;
    watch_launch((uint64_t)grid.x * grid.y * grid.z, fiber_count, fault_text);
    run_blocks(has_barriers, body);
    return nullptr;
}

#define DYNAMIC_SHARED(type, name) type* name = (type*)dynamic_shared
