// Stands for CUDA in tests, for a process in which CuPy drives one device that is not there: memory of the host for
// memory of the device, kernels by the emulator. It is neither NVIDIA's nor fast, has the functions that CuPy calls for
// this package and no others, and refuses what CUDA documents that it refuses. `redirect.py` leads CuPy's calls here.
//
// Functions and their errors are those of the CUDA Runtime API and CUDA Driver API reference manuals of CUDA 12, and of
// CUDA 13 where the macro CUDA is 13: the number in the name of CuPy's wheel.
#include <mutex>
#include <set>

#include "memory.h"
#include "kernels.h"

struct Graph { Nodes nodes; };
struct GraphExec { std::shared_ptr<Nodes> nodes; };

struct Counts { long launches, replays, captures, copies_in, copies_out, streams, events, graphs, modules; };

// What handles stand for; one that was destroyed is told from one that is there.
template <class T> struct Handles {
    std::set<void*> live;
    void* add(T* made) { return *live.insert(made).first; }
    bool has(void* handle) const { return live.count(handle); }
    bool remove(void* handle) {
        if (!live.erase(handle)) return false;
        delete (T*)handle;
        return true;
    }
};

static std::recursive_mutex lock;
static Memory memory;
static Queue queue;
static Counts counts;
static Handles<Event> events;
static Handles<Graph> graphs;
static Handles<GraphExec> execs;
static Handles<std::shared_ptr<Module>> modules;
static thread_local bool has_context;
static thread_local int last_error;

// Serves one call at a time.
struct Call {
    std::lock_guard<std::recursive_mutex> held{lock};
    Call() { has_context = true; }
};

static Stream& stream_of(void* handle) {  // 0 and 1 are the legacy stream
    return (uintptr_t)handle <= 1 ? queue.legacy : *(Stream*)handle;
}
static int known(bool is_known, const char* what) {
    if (!is_known) fprintf(stderr, "stand-in for CUDA: %s is used that is not there\n", what);
    return is_known ? OK : INVALID_HANDLE;
}

static int usable(void* handle) {
    if (queue.broken) return queue.broken;
    return known(queue.knows(&stream_of(handle)), "a stream");
}

// Runs work in its turn, or records it.
static int submit(Stream& stream, Work work, const char* what) {
    if (const int error = queue.is_implicit(stream, what)) return error;
    if (stream.capture) {
        if (stream.capture->is_broken) return CAPTURE_INVALIDATED;
        stream.capture->nodes.push_back(std::move(work));
        return OK;
    }
    queue.push(stream, std::move(work));
    return queue.broken;
}

#define API extern "C" __attribute__((visibility("default")))
#define TRY(...)                                                          \
    do {                                                                  \
        if (const int error_ = (__VA_ARGS__)) return last_error = error_; \
    } while (0)

API int stand_in_missing(const char* name) {
    fprintf(stderr, "stand-in for CUDA: there is no %s\n", name);
    return last_error = NOT_SUPPORTED;
}

#include "runtime.h"
#include "driver.h"

// --- for tests ------------------------------------------------------------------------------------------------------

// Whether work waits for somebody who waits for it, and then by which seed it runs.
API void stand_in_order(int is_lazy, uint64_t seed) {
    Call call;
    queue.run_all();
    queue.is_lazy = is_lazy;
    queue.random.seed(seed);
}
// Allocations that still succeed; -1: all.
API void stand_in_allocations_left(long count, int is_host) {
    Call call;
    memory.left[is_host] = count;
}
// Launches, replays, captures, copies in and out; streams, events, graphs and modules that are there; bytes of the device
// and of page-locked memory.
API void stand_in_counts(long* out) {
    Call call;
    counts.events = events.live.size();
    counts.graphs = graphs.live.size() + execs.live.size();
    counts.modules = modules.live.size();
    memcpy(out, &counts, sizeof counts);
    out[sizeof counts / sizeof *out] = memory.device_bytes;
    out[sizeof counts / sizeof *out + 1] = memory.host_bytes;
}
