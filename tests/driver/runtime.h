// The runtime's API: devices, memory, streams, events, captures. Included by stand_in.cpp.
#pragma once

static const int VERSION = CUDA == 12 ? 12090 : 13000;

// --- devices ----------------------------------------------------------------------------------------------------

API int cudaDriverGetVersion(int* out) { return *out = VERSION, OK; }
API int cudaGetDeviceCount(int* out) { return *out = 1, OK; }
API int cudaGetDevice(int* out) { return *out = 0, OK; }
API int cudaSetDevice(int device) {
    Call call;
    TRY(device ? INVALID_DEVICE : OK);
    return OK;
}
API int cudaGetLastError() {
    const int error = last_error;
    last_error = OK;
    return error;
}
API int cudaPeekAtLastError() { return last_error; }
API int cudaDeviceCanAccessPeer(int* out, int, int) { return *out = 0, OK; }
API int cudaDeviceGetPCIBusId(char* out, int length, int device) {
    TRY(device ? INVALID_DEVICE : OK);
    snprintf(out, length, "0000:01:00.0");
    return OK;
}
API int cudaDeviceGetAttribute(int* out, int attribute, int device) {
    TRY(device ? INVALID_DEVICE : OK);
    static const std::map<int, int> values = {
        {1, 1024}, {2, 1024}, {3, 1024}, {4, 64}, {5, 0x7fffffff}, {6, 65535}, {7, 65535}, {8, SHARED_BYTES}, {10, 32},
        {12, 65536}, {13, 1785000}, {15, 1}, {16, 132}, {17, 0}, {19, 1}, {20, 0}, {31, 1}, {36, 2619000}, {37, 5120},
        {38, 50 << 20}, {39, 2048}, {40, 3}, {41, 1}, {69, 1 << 28}, {70, 131072}, {71, 65000}, {72, 2097120}, {75, 9},
        {76, 0}, {81, 228 << 10}, {82, 65536}, {87, 2}, {96, 0}, {97, SHARED_OPTIN_BYTES}, {115, 0},
    };  // numbered as cudaDeviceAttr
    const auto found = values.find(attribute);
    TRY(found == values.end() ? stand_in_missing("value of this attribute") : OK);
    return *out = found->second, OK;
}
template <class T> static void put(void* properties, size_t offset, std::initializer_list<T> values) {
    memcpy((char*)properties + offset, values.begin(), values.size() * sizeof(T));
}
#if CUDA == 12
#define PROPERTIES cudaGetDeviceProperties_v2
enum { PROPERTIES_BYTES = 1032, MULTIPROCESSORS = 388, ADDRESSING = 604, PER_MULTIPROCESSOR = 624 };
#else  // without clock rates and some modes
#define PROPERTIES cudaGetDeviceProperties
enum { PROPERTIES_BYTES = 1008, MULTIPROCESSORS = 384, ADDRESSING = 588, PER_MULTIPROCESSOR = 604 };
#endif
API int PROPERTIES(void* out, int device) {  // cudaDeviceProp, by its offsets
    TRY(device ? INVALID_DEVICE : OK);
    memset(out, 0, PROPERTIES_BYTES);
    strcpy((char*)out, "Stand-in for an H100");
    put<size_t>(out, 288, {Memory::TOTAL, SHARED_BYTES});                          // totalGlobalMem ...
    put<int>(out, 304, {65536, 32});                                               // regsPerBlock, warpSize
    put<int>(out, 320, {1024, 1024, 1024, 64, 0x7fffffff, 65535, 65535});          // maxThreadsPerBlock ...
    put<size_t>(out, 352, {64 << 10});                                             // totalConstMem
    put<int>(out, 360, {9, 0});                                                    // major, minor
    put<int>(out, MULTIPROCESSORS, {132});                                         // multiProcessorCount
    put<int>(out, CUDA == 12 ? 400 : 392, {1});                                    // canMapHostMemory
    if (CUDA == 12) put<int>(out, 348, {1785000});                                 // clockRate
    if (CUDA == 12) put<int>(out, ADDRESSING, {1, 2619000, 5120, 50 << 20});       // unifiedAddressing, memoryClockRate ...
    else put<int>(out, ADDRESSING, {1, 5120, 50 << 20});                           // without memoryClockRate
    put<int>(out, PER_MULTIPROCESSOR, {2048});                                     // maxThreadsPerMultiProcessor
    put<size_t>(out, CUDA == 12 ? 640 : 624, {228 << 10});                         // sharedMemPerMultiprocessor
    put<int>(out, CUDA == 12 ? 648 : 632, {65536});                                // regsPerMultiprocessor
    put<size_t>(out, CUDA == 12 ? 696 : 672, {SHARED_OPTIN_BYTES});                // sharedMemPerBlockOptin
    put<int>(out, CUDA == 12 ? 712 : 688, {32});                                   // maxBlocksPerMultiProcessor
    return OK;
}
API int cudaDeviceSynchronize() {
    Call call;
    TRY(queue.waits_for_all("synchronising the device"));
    queue.run_all();
    TRY(queue.broken);
    return OK;
}

// --- memory -----------------------------------------------------------------------------------------------------

static int taken(void** out, size_t bytes, bool is_host, const char* what) {
    Call call;
    TRY(queue.broken);
    TRY(queue.unsafe(what));
    *out = bytes ? memory.take(bytes, is_host) : nullptr;
    TRY(bytes && !*out ? OUT_OF_MEMORY : OK);
    return OK;
}
static int given_back(void* pointer, bool is_host, const char* what) {  // waits for all work, as CUDA's do
    Call call;
    if (!pointer) return OK;
    TRY(queue.unsafe(what));
    queue.run_all();
    TRY(memory.give_back(pointer, is_host) ? OK : INVALID_VALUE);
    TRY(queue.broken);
    return OK;
}
API int cudaMalloc(void** out, size_t bytes) { return taken(out, bytes, false, "an allocation"); }
API int cudaHostAlloc(void** out, size_t bytes, unsigned) { return taken(out, bytes, true, "an allocation"); }
API int cudaFree(void* pointer) { return given_back(pointer, false, "freeing memory"); }
API int cudaFreeHost(void* pointer) { return given_back(pointer, true, "freeing memory"); }
API int cudaMemGetInfo(size_t* free, size_t* total) {
    Call call;
    TRY(queue.broken);
    *free = Memory::TOTAL - memory.device_bytes;
    return *total = Memory::TOTAL, OK;
}
API int cudaPointerGetAttributes(void* out, const void* pointer) {  // {type, device, device pointer, host pointer}
    Call call;
    const Block* block = memory.of(pointer, 1);
    const void* own = block ? pointer : nullptr;
    put<int>(out, 0, {!block ? 0 : block->is_host ? 1 : 2, block ? 0 : -2});
    put<const void*>(out, 8, {own, block && !block->is_host ? nullptr : pointer});
    return OK;
}

// A copy is allowed where device memory is where `kind` says, and only there: 1 host to device, 2 back, 3 within.
static bool fits(const void* target, const void* source, size_t bytes, int kind) {
    const Block *to = memory.of(target, bytes), *from = memory.of(source, bytes);
    const bool writes = to && !to->is_host, reads = from && !from->is_host;
    return kind == 4 || (writes == (kind == 1 || kind == 3) && reads == (kind == 2 || kind == 3));
}
API int cudaMemcpyAsync(void* target, const void* source, size_t bytes, int kind, void* handle) {
    Call call;
    TRY(usable(handle));
    if (!bytes) return OK;
    Stream& stream = stream_of(handle);
    TRY(fits(target, source, bytes, kind) ? OK : INVALID_VALUE);
    (kind == 1 ? counts.copies_in : counts.copies_out) += kind == 1 || kind == 2;
    Work copy = [=] { memcpy(target, source, bytes); };
    if (kind == 1 && !memory.of(source, bytes) && !stream.capture) {  // pageable: the source is free to change
        std::vector<char> now((const char*)source, (const char*)source + bytes);
        copy = [=] { memcpy(target, now.data(), bytes); };
    }
    TRY(submit(stream, copy, "a copy on the legacy stream"));
    if (kind == 2 && !memory.of(target, bytes) && !stream.capture) queue.run(stream);  // pageable: there on return
    TRY(queue.broken);
    return OK;
}
API int cudaMemcpy(void* target, const void* source, size_t bytes, int kind) {
    Call call;
    TRY(queue.unsafe("a copy"));
    TRY(cudaMemcpyAsync(target, source, bytes, kind, nullptr));
    queue.run(queue.legacy);
    TRY(queue.broken);
    return OK;
}
API int cudaMemsetAsync(void* target, int value, size_t bytes, void* handle) {
    Call call;
    TRY(usable(handle));
    const Block* block = memory.of(target, bytes);
    TRY(block && !block->is_host ? OK : INVALID_VALUE);
    TRY(submit(stream_of(handle), [=] { memset(target, value, bytes); }, "filling memory on the legacy stream"));
    return OK;
}

// --- streams ----------------------------------------------------------------------------------------------------

API int cudaStreamCreateWithPriority(void** out, unsigned flags, int) {
    Call call;
    TRY(queue.broken);
    Stream* made = new Stream{flags != 1};  // cudaStreamNonBlocking
    queue.streams.push_back(made);
    ++counts.streams;
    return *out = made, OK;
}
API int cudaStreamCreateWithFlags(void** out, unsigned flags) { return cudaStreamCreateWithPriority(out, flags, 0); }
API int cudaStreamCreate(void** out) { return cudaStreamCreateWithFlags(out, 0); }
API int cudaStreamDestroy(void* handle) {
    Call call;
    TRY((uintptr_t)handle > 1 ? known(queue.knows((Stream*)handle), "a stream") : INVALID_HANDLE);
    queue.destroy((Stream*)handle);
    --counts.streams;
    return OK;
}
API int cudaStreamSynchronize(void* handle) {
    Call call;
    TRY(usable(handle));
    TRY(queue.waits_for(stream_of(handle), "synchronising a stream"));
    TRY(queue.is_implicit(stream_of(handle), "synchronising the legacy stream"));
    queue.run(stream_of(handle));
    TRY(queue.broken);
    return OK;
}
API int cudaStreamQuery(void* handle) {
    Call call;
    TRY(usable(handle));
    TRY(queue.waits_for(stream_of(handle), "asking a stream"));
    return stream_of(handle).entries.empty() ? OK : NOT_READY;
}
API int cudaStreamGetPriority(void* handle, int* out) {
    TRY(usable(handle));
    return *out = 0, OK;
}
API int cudaStreamGetFlags(void* handle, unsigned* out) {
    TRY(usable(handle));
    return *out = !stream_of(handle).is_blocking, OK;
}

// --- events -----------------------------------------------------------------------------------------------------

API int cudaEventCreateWithFlags(void** out, unsigned flags) {
    Call call;
    TRY(queue.broken);
    return *out = events.add(new Event{!(flags & 2), nullptr}), OK;  // cudaEventDisableTiming
}
API int cudaEventCreate(void** out) { return cudaEventCreateWithFlags(out, 0); }
API int cudaEventDestroy(void* event) {
    Call call;
    TRY(known(events.remove(event), "an event"));
    return OK;
}
API int cudaEventRecord(void* handle, void* stream_handle) {
    Call call;
    TRY(usable(stream_handle));
    TRY(known(events.has(handle), "an event"));
    Stream& stream = stream_of(stream_handle);
    Event& event = *(Event*)handle;
    TRY(queue.is_implicit(stream, "an event on the legacy stream"));
    event.captured = stream.capture ? &stream : nullptr;
    if (stream.capture) return OK;
    event.mark = queue.mark(stream);
    TRY(queue.broken);
    return OK;
}
API int cudaStreamWaitEvent(void* stream_handle, void* handle, unsigned) {
    Call call;
    TRY(usable(stream_handle));
    TRY(known(events.has(handle), "an event"));
    Stream& stream = stream_of(stream_handle);
    Event& event = *(Event*)handle;
    if (event.captured || stream.capture) {  // one stream a capture is all that there is here
        TRY(event.captured == &stream ? OK : stand_in_missing("capture of several streams"));
        return OK;
    }
    if (event.mark) queue.await(stream, event.mark);
    TRY(queue.broken);
    return OK;
}
API int cudaEventQuery(void* handle) {
    Call call;
    TRY(known(events.has(handle), "an event"));
    Event& event = *(Event*)handle;
    TRY(event.captured ? CAPTURED_EVENT : queue.broken);
    return !event.mark || event.mark->is_reached ? OK : NOT_READY;
}
API int cudaEventSynchronize(void* handle) {
    Call call;
    TRY(known(events.has(handle), "an event"));
    Event& event = *(Event*)handle;
    TRY(event.captured ? CAPTURED_EVENT : queue.broken);
    if (const MarkPointer mark = event.mark) queue.run_until([&] { return mark->is_reached; });
    TRY(queue.broken);
    return OK;
}
API int cudaEventElapsedTime(float* out, void* start_handle, void* end_handle) {
    Call call;
    TRY(known(events.has(start_handle) && events.has(end_handle), "an event"));
    const Event &start = *(Event*)start_handle, &end = *(Event*)end_handle;
    TRY(start.is_timed && end.is_timed && start.mark && end.mark ? OK : INVALID_HANDLE);
    TRY(start.mark->is_reached && end.mark->is_reached ? OK : NOT_READY);
    return *out = float(end.mark->milliseconds - start.mark->milliseconds), OK;
}
API int cudaEventElapsedTime_v2(float* out, void* start, void* end) { return cudaEventElapsedTime(out, start, end); }

// --- captures and graphs ----------------------------------------------------------------------------------------

API int cudaStreamBeginCapture(void* handle, int mode) {
    Call call;
    TRY(usable(handle));
    Stream& stream = stream_of(handle);
    TRY(&stream == &queue.legacy ? CAPTURE_UNSUPPORTED : stream.capture ? ILLEGAL_STATE : OK);
    stream.capture.reset(new Capture{(CaptureMode)mode, std::this_thread::get_id()});
    ++counts.captures;
    return OK;
}
API int cudaStreamEndCapture(void* handle, void** out) {
    Call call;
    TRY(usable(handle));
    *out = nullptr;
    Stream& stream = stream_of(handle);
    TRY(stream.capture ? OK : ILLEGAL_STATE);
    const bool is_own = stream.capture->mode == RELAXED || stream.capture->thread == std::this_thread::get_id();
    TRY(is_own ? OK : CAPTURE_WRONG_THREAD);
    const std::unique_ptr<Capture> ended = std::move(stream.capture);
    TRY(ended->is_broken ? CAPTURE_INVALIDATED : OK);
    return *out = graphs.add(new Graph{std::move(ended->nodes)}), OK;
}
API int cudaStreamIsCapturing(void* handle, int* out) {
    Call call;
    TRY(usable(handle));
    TRY(queue.is_implicit(stream_of(handle), "asking the legacy stream"));
    const Capture* capture = stream_of(handle).capture.get();
    return *out = !capture ? 0 : capture->is_broken ? 2 : 1, OK;
}
API int cudaGraphInstantiate(void** out, void* graph, unsigned long long) {
    Call call;
    TRY(queue.broken);
    TRY(known(graphs.has(graph), "a graph"));
    return *out = execs.add(new GraphExec{std::make_shared<Nodes>(((Graph*)graph)->nodes)}), OK;
}
API int cudaGraphLaunch(void* handle, void* stream_handle) {
    Call call;
    TRY(usable(stream_handle));
    TRY(known(execs.has(handle), "a graph"));
    Stream& stream = stream_of(stream_handle);
    TRY(stream.capture ? stand_in_missing("graph within a graph") : OK);
    ++counts.replays;
    const std::shared_ptr<Nodes> nodes = ((GraphExec*)handle)->nodes;
    const Work work = [nodes] { for (const Work& node : *nodes) node(); };
    TRY(submit(stream, work, "a graph on the legacy stream"));
    return OK;
}
API int cudaGraphUpload(void*, void* stream_handle) {
    Call call;
    TRY(usable(stream_handle));
    return OK;
}
API int cudaGraphDestroy(void* graph) {
    Call call;
    TRY(known(graphs.remove(graph), "a graph"));
    return OK;
}
API int cudaGraphExecDestroy(void* exec) {
    Call call;
    TRY(known(execs.remove(exec), "a graph"));
    return OK;
}
