// Modules and kernels: a "cubin" names a shared object that the emulator has made of the kernel's text.
#pragma once
#include <dlfcn.h>

#include <sstream>
#include <string>

#include "queue.h"

struct Module {
    void* library;
    std::string entry;
    std::vector<size_t> sizes;  // of the arguments
    bool is_loaded = true;
};

// As the emulator's compiler.py makes them: grid, block, bytes of dynamic shared memory, schedule, seed, arguments ->
// what went wrong, or null.
typedef const char* (*Emulated)(const unsigned*, const unsigned*, size_t, int, uint64_t, void**);

struct Function {
    std::shared_ptr<Module> module;
    Emulated run;
    size_t static_bytes;
    size_t dynamic_bytes;  // that a block may have at most
};

enum { SHARED_BYTES = 48 << 10, SHARED_OPTIN_BYTES = 227 << 10, RANDOM_SCHEDULE = 3 };
static const char BLOB[] = "host kernel\n";  // then lines: path, entry point, sizes of arguments

static std::shared_ptr<Module> module_of(const char* image) {
    if (strncmp(image, BLOB, sizeof BLOB - 1)) return nullptr;
    std::istringstream lines(image + sizeof BLOB - 1);
    auto module = std::make_shared<Module>();
    std::string path;
    std::getline(lines, path);
    std::getline(lines, module->entry);
    for (size_t size; lines >> size;) module->sizes.push_back(size);
    module->library = dlopen(path.c_str(), RTLD_NOW);
    return module->library ? module : nullptr;
}

static Function* function_of(std::shared_ptr<Module> module) {
    const auto static_bytes = (size_t(*)())dlsym(module->library, "emulated_static_bytes");
    const auto run = (Emulated)dlsym(module->library, "emulated");
    if (!static_bytes || !run) return nullptr;
    const size_t fixed = static_bytes();
    return new Function{module, run, fixed, SHARED_BYTES - std::min<size_t>(fixed, SHARED_BYTES)};
}

struct Shape {
    unsigned grid[3], block[3];
    size_t shared;

    bool is_allowed(const Function& f) const {
        static const unsigned most[] = {0x7fffffff, 65535, 65535, 1024, 1024, 64};
        for (int i = 0; i < 6; ++i)
            if ((i < 3 ? grid[i] : block[i - 3]) - 1 >= most[i]) return false;
        return block[0] * block[1] * block[2] <= 1024 && shared <= f.dynamic_bytes;
    }
};

// A launch with the values that its arguments have now.
static Work launch_of(const Function& f, const Shape& shape, void** arguments, Queue& queue) {
    std::vector<std::vector<char>> values;
    for (size_t i = 0; i < f.module->sizes.size(); ++i)
        values.emplace_back((char*)arguments[i], (char*)arguments[i] + f.module->sizes[i]);
    return [f, shape, values, &queue]() mutable {
        if (!f.module->is_loaded) return queue.fail(LAUNCH_FAILED, "a kernel runs whose module was unloaded");
        std::vector<void*> pointers;
        for (auto& value : values) pointers.push_back(value.data());
        const int schedule = queue.is_lazy ? RANDOM_SCHEDULE : 0;
        const uint64_t seed = queue.is_lazy ? queue.random() >> 2 : 0;
        if (const char* said = f.run(shape.grid, shape.block, shape.shared, schedule, seed, pointers.data()))
            queue.fail(LAUNCH_FAILED, (f.module->entry + ": " + said).c_str());
    };
}
