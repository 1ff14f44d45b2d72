// The driver's API: what CuPy takes from it, modules and kernels above all. Included by stand_in.cpp.
//
// Other than the runtime's, its functions work only on threads that have a context, and make none.
#pragma once

static int driver_call() { return queue.broken ? queue.broken : has_context ? OK : INVALID_CONTEXT; }

API int cuInit(unsigned) { return OK; }
API int cuDriverGetVersion(int* out) { return *out = VERSION, OK; }
API int cuGetExportTable(const void** out, const void*) { return *out = nullptr, NOT_FOUND; }  // NVRTC asks for one
API int cuGetErrorName(int error, const char** out) { return *out = error_name(error), OK; }
API int cuGetErrorString(int, const char** out) { return *out = "said by a stand-in for CUDA", OK; }
API int cuCtxGetCurrent(void** out) { return *out = has_context ? (void*)&queue : nullptr, OK; }
API int cuCtxSetCurrent(void* context) { return has_context = context, OK; }
API int cuCtxGetDevice(int* out) { return *out = 0, driver_call(); }

API int cuModuleLoadData(void** out, const void* image) {
    const std::lock_guard<std::recursive_mutex> held(lock);
    if (const int error = driver_call()) return error;
    if (const int error = queue.unsafe("loading a module")) return error;
    auto module = module_of((const char*)image);
    if (!module) {
        fprintf(stderr, "stand-in for CUDA: it runs no machine code of GPUs, only kernels of the emulator\n");
        return NO_BINARY_FOR_GPU;
    }
    return *out = modules.add(new std::shared_ptr<Module>(std::move(module))), OK;
}
API int cuModuleUnload(void* handle) {
    const std::lock_guard<std::recursive_mutex> held(lock);
    if (const int error = queue.unsafe("unloading a module")) return error;
    if (const int error = known(modules.has(handle), "a module")) return error;
    (*(std::shared_ptr<Module>*)handle)->is_loaded = false;
    modules.remove(handle);
    return OK;
}
API int cuModuleGetFunction(void** out, void* handle, const char* name) {
    const std::lock_guard<std::recursive_mutex> held(lock);
    if (const int error = driver_call()) return error;
    if (const int error = known(modules.has(handle), "a module")) return error;
    auto& module = *(std::shared_ptr<Module>*)handle;
    if (module->entry != name) return NOT_FOUND;
    return *out = function_of(module), *out ? OK : NOT_FOUND;
}

enum { ATTRIBUTE_SHARED_BYTES = 1, ATTRIBUTE_MAX_DYNAMIC_SHARED_BYTES = 8 };

API int cuFuncGetAttribute(int* out, int attribute, void* handle) {
    const std::lock_guard<std::recursive_mutex> held(lock);
    if (const int error = driver_call()) return error;
    const Function& f = *(Function*)handle;
    if (attribute == ATTRIBUTE_SHARED_BYTES) *out = f.static_bytes;
    else if (attribute == ATTRIBUTE_MAX_DYNAMIC_SHARED_BYTES) *out = f.dynamic_bytes;
    else return stand_in_missing("value of this attribute of a kernel");
    return OK;
}
API int cuFuncSetAttribute(void* handle, int attribute, int value) {
    const std::lock_guard<std::recursive_mutex> held(lock);
    if (const int error = driver_call()) return error;
    Function& f = *(Function*)handle;
    if (attribute != ATTRIBUTE_MAX_DYNAMIC_SHARED_BYTES) return stand_in_missing("attribute of a kernel");
    if (value < 0 || value + f.static_bytes > SHARED_OPTIN_BYTES) return INVALID_VALUE;
    return f.dynamic_bytes = value, OK;
}
API int cuLaunchKernel(
    void* handle, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared,
    void* stream, void** arguments, void**) {
    const std::lock_guard<std::recursive_mutex> held(lock);
    if (const int error = driver_call()) return error;
    if (const int error = usable(stream)) return error;
    const Function& f = *(Function*)handle;
    const Shape shape = {{gx, gy, gz}, {bx, by, bz}, shared};
    if (!shape.is_allowed(f)) return INVALID_VALUE;
    ++counts.launches;
    return submit(stream_of(stream), launch_of(f, shape, arguments, queue), "a kernel on the legacy stream");
}

// CuPy looks these up and never calls them for us.
#define MISSING(name) API int name() { return stand_in_missing(#name); }
MISSING(cuDevicePrimaryCtxRelease_v2)
MISSING(cuCtxCreate_v2)
MISSING(cuCtxDestroy_v2)
MISSING(cuLinkCreate_v2)
MISSING(cuLinkAddData_v2)
MISSING(cuLinkAddFile_v2)
MISSING(cuLinkComplete)
MISSING(cuLinkDestroy)
MISSING(cuModuleLoad)
MISSING(cuModuleGetGlobal_v2)
MISSING(cuLaunchCooperativeKernel)
MISSING(cuOccupancyMaxActiveBlocksPerMultiprocessor)
MISSING(cuOccupancyMaxPotentialBlockSize)
MISSING(cuStreamGetCtx)
