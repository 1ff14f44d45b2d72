// Memory of the device, and page-locked memory of the host. Fresh memory holds NaN; what is read or written around a
// block of the device ends the process, where it leaves the pages of the block.
#pragma once
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <iterator>
#include <map>

struct Block {
    char *mapped, *start;
    size_t mapped_bytes, bytes;
    bool is_host;
};

struct Memory {
    std::map<uintptr_t, Block> blocks;  // by where they start
    size_t device_bytes = 0, host_bytes = 0;
    long left[2] = {-1, -1};  // allocations of the device, and of the host, before all are refused; -1: no end

    // Null where there is no memory left.
    void* take(size_t bytes, bool is_host) {
        if (left[is_host] == 0) return nullptr;
        if (left[is_host] > 0) --left[is_host];
        if (!is_host && device_bytes + bytes > TOTAL) return nullptr;
        const size_t page = sysconf(_SC_PAGESIZE), padded = (bytes + ALIGNED - 1) / ALIGNED * ALIGNED;
        const size_t inner = (padded + page - 1) / page * page;
        char* mapped = (char*)mmap(nullptr, inner + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (mapped == MAP_FAILED) return nullptr;
        mprotect(mapped + page, inner, PROT_READ | PROT_WRITE);
        char* start = mapped + page + inner - padded;  // ends where its pages do
        memset(start, 0xff, padded);
        blocks[(uintptr_t)start] = {mapped, start, inner + 2 * page, bytes, is_host};
        (is_host ? host_bytes : device_bytes) += bytes;
        return start;
    }
    bool give_back(void* start, bool is_host) {
        const auto found = blocks.find((uintptr_t)start);
        if (found == blocks.end() || found->second.is_host != is_host) return false;
        const Block& block = found->second;
        (is_host ? host_bytes : device_bytes) -= block.bytes;
        munmap(block.mapped, block.mapped_bytes);
        blocks.erase(found);
        return true;
    }
    // The block that holds these bytes; null if none does.
    const Block* of(const void* pointer, size_t bytes) const {
        auto next = blocks.upper_bound((uintptr_t)pointer);
        if (next == blocks.begin()) return nullptr;
        const Block& block = std::prev(next)->second;
        return (const char*)pointer + bytes <= block.start + block.bytes ? &block : nullptr;
    }

    static constexpr size_t TOTAL = size_t(80) << 30, ALIGNED = 512;
};
