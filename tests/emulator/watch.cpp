// Watches what kernels do to memory. Compilers that instrument for ThreadSanitizer call `__tsan_*` at each access; here
// these say which accesses race (races.h) and what they would cost a GPU (traffic.h).
#include <link.h>
#include <stdint.h>

#include "races.h"
#include "traffic.h"

static struct Range {
    uintptr_t first = 0, end = 0;
    bool has(uintptr_t p) const { return first <= p && p < end; }
} module_range, stack_range, fixed_range, sized_range;

static bool is_running, is_racing = true;
static uint64_t most_blocks = ~0ull, block_count;
static unsigned own_thread;
static std::string told;

enum Kind { READ, WRITE };

// Where the library is that holds this place.
static Range library_of(const void* inside) {
    struct Search { uintptr_t inside; Range found; } search = {(uintptr_t)inside, {}};
    dl_iterate_phdr([](dl_phdr_info* info, size_t, void* given) {
        Search& search = *(Search*)given;
        uintptr_t end = info->dlpi_addr;
        for (int i = 0; i < info->dlpi_phnum; ++i)
            if (info->dlpi_phdr[i].p_type == PT_LOAD)
                end = std::max<uintptr_t>(end, info->dlpi_addr + info->dlpi_phdr[i].p_vaddr + info->dlpi_phdr[i].p_memsz);
        if (!Range{info->dlpi_addr, end}.has(search.inside)) return 0;
        search.found = {info->dlpi_addr, end};
        return 1;
    }, &search);
    return search.found;
}
static Range range(const void* p, size_t bytes) { return {(uintptr_t)p, (uintptr_t)p + bytes}; }

// Shared 1, global 0, a thread's own or the emulator's -1.
static int space_of(uintptr_t p) {
    if (fixed_range.has(p) || sized_range.has(p)) return 1;
    return stack_range.has(p) || module_range.has(p) ? -1 : 0;
}

static void access(const void* at, const void* p, size_t bytes, Kind kind, bool is_volatile = false) {
    if (!is_running) return;
    const int space = space_of((uintptr_t)p);
    if (space < 0) return;
    for (size_t done = 0; done < bytes; done += 16) {
        const unsigned part = bytes - done < 16 ? bytes - done : 16;
        const uintptr_t place = (uintptr_t)p + done;
        traffic.access((uintptr_t)at, own_thread % 32, place, part, kind == WRITE, space);
        if (is_racing) races.access((uintptr_t)at, place, part, kind == WRITE, space, is_volatile);
    }
}

extern "C" {

void watch_options(uint64_t blocks, int with_races) { most_blocks = blocks; is_racing = with_races; }

void watch_launch(uint64_t blocks, unsigned threads, const void* inside) {
    module_range = library_of(inside);
    block_count = blocks;
    is_running = false;
    traffic.begin();
    races.begin(threads);
}

// Whether it is one of those to run: spread over the grid, the first among them.
bool watch_block(uint64_t block, const void* fixed, size_t fixed_bytes, const void* sized, size_t sized_bytes) {
    const uint64_t step = most_blocks < block_count ? (block_count + most_blocks - 1) / most_blocks : 1;
    if (block % step) return false;
    fixed_range = range(fixed, fixed_bytes);
    sized_range = range(sized, sized_bytes);
    races.begin_block((uint32_t)block);
    return true;
}

void watch_thread(unsigned thread, const void* stack, size_t stack_bytes) {
    own_thread = thread;
    stack_range = range(stack, stack_bytes);
    is_running = true;
    races.thread = thread;
}
void watch_nobody() { is_running = false; }
void watch_turn() { traffic.end_turn(); }
void watch_block_barrier() { races.block_barrier(); }
void watch_warp_barrier(unsigned first, unsigned mask) { races.warp_barrier(first, mask); }
void watch_fence() { races.fence(); }
void watch_atomic(const void* at, const void* p, size_t bytes) {
    if (is_running && is_racing) races.atomic((uintptr_t)at, (uintptr_t)p, bytes, space_of((uintptr_t)p) == 1);
}
void watch_copy_begins(const void* at, const void* to, const void* from, size_t bytes) {
    access(at, from, bytes, READ);
    access(at, to, bytes, WRITE);
    if (is_running && is_racing) races.pending((uintptr_t)at, (uintptr_t)to, bytes, true);
}
void watch_copy_ends(const void* at, const void* to, size_t bytes) {
    if (!is_running || !is_racing) return;
    races.pending((uintptr_t)at, (uintptr_t)to, bytes, false);
    races.access((uintptr_t)at, (uintptr_t)to, bytes, true, 1, false);
}

// Lines of words, places in code being offsets into the kernel's library; of the last launch.
const char* watch_told() {
    told = races.told(module_range.first) + traffic.told(module_range.first);
    return told.c_str();
}

#define ACCESSES(bytes)                                                                                    \
    void __tsan_read##bytes(void* p) { access(__builtin_return_address(0), p, bytes, READ); }              \
    void __tsan_write##bytes(void* p) { access(__builtin_return_address(0), p, bytes, WRITE); }            \
    void __tsan_unaligned_read##bytes(void* p) { access(__builtin_return_address(0), p, bytes, READ); }    \
    void __tsan_unaligned_write##bytes(void* p) { access(__builtin_return_address(0), p, bytes, WRITE); }  \
    void __tsan_volatile_read##bytes(void* p) { access(__builtin_return_address(0), p, bytes, READ, true); } \
    void __tsan_volatile_write##bytes(void* p) { access(__builtin_return_address(0), p, bytes, WRITE, true); }
ACCESSES(1)
ACCESSES(2)
ACCESSES(4)
ACCESSES(8)
ACCESSES(16)
void __tsan_read_range(void* p, size_t bytes) { access(__builtin_return_address(0), p, bytes, READ); }
void __tsan_write_range(void* p, size_t bytes) { access(__builtin_return_address(0), p, bytes, WRITE); }
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_init() {}
}
