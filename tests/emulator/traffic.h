// What accesses of warps to memory cost: wavefronts in shared memory, sectors of global memory.
#pragma once
#include <stdint.h>
#include <stdio.h>

#include <algorithm>
#include <string>
#include <unordered_map>
#include <vector>

// The same access of the lanes of a warp. Which those are: each lane's n-th time at that place since its last barrier.
struct Request {
    uint32_t mask;
    uintptr_t places[32];
};

// All accesses of one kind at one place in the code, and what they came to in this launch.
struct Site {
    uintptr_t at = 0;
    unsigned bytes = 0;
    bool is_write = false;
    int is_shared = 0;
    uint64_t requests = 0, units = 0, ideal = 0, worst = 0;  // units: wavefronts, or sectors

    std::vector<Request> now;
    uint32_t counts[32] = {};

    void add(unsigned lane, uintptr_t place) {
        const uint32_t number = counts[lane]++;
        if (number == now.size()) now.push_back({});
        now[number].mask |= 1u << lane;
        now[number].places[lane] = place;
    }
    void end() {
        for (const Request& request : now) {
            const uint64_t before = units;
            is_shared ? count_wavefronts(request) : count_sectors(request);
            ++requests;
            worst = std::max(worst, units - before);
        }
        now.clear();
        std::fill(counts, counts + 32, 0);
    }

    // 32 banks of 4 bytes; 8 bytes a lane go by half warps, 16 by quarters.
    void count_wavefronts(const Request& request) {
        const unsigned lanes = bytes <= 4 ? 32 : 128 / bytes;
        for (unsigned first = 0; first < 32; first += lanes) {
            uintptr_t words[64];
            unsigned count = 0, banks[32] = {}, most = 0;
            for (unsigned lane = first; lane < first + lanes; ++lane)
                if (request.mask >> lane & 1)
                    for (unsigned byte = 0; byte < bytes; byte += 4) words[count++] = (request.places[lane] + byte) / 4;
            if (!count) continue;
            std::sort(words, words + count);
            count = std::unique(words, words + count) - words;
            for (unsigned i = 0; i < count; ++i) most = std::max(most, ++banks[words[i] % 32]);
            units += most;
            ideal += (count + 31) / 32;
        }
    }
    void count_sectors(const Request& request) {
        std::pair<uintptr_t, uintptr_t> parts[32];
        uintptr_t sectors[64];
        unsigned count = 0, sector_count = 0;
        for (unsigned lane = 0; lane < 32; ++lane) {
            if (!(request.mask >> lane & 1)) continue;
            const uintptr_t first = request.places[lane], end = first + bytes;
            parts[count++] = {first, end};
            sectors[sector_count++] = first / 32;
            if ((end - 1) / 32 != first / 32) sectors[sector_count++] = (end - 1) / 32;
        }
        std::sort(sectors, sectors + sector_count);
        units += std::unique(sectors, sectors + sector_count) - sectors;
        std::sort(parts, parts + count);
        uintptr_t touched = 0, upto = 0;
        for (unsigned i = 0; i < count; ++i) {
            if (parts[i].second <= upto) continue;
            touched += parts[i].second - std::max(parts[i].first, upto);
            upto = parts[i].second;
        }
        ideal += (touched + 31) / 32;
    }
};

static struct Traffic {
    std::unordered_map<uintptr_t, unsigned> numbers;
    std::vector<Site> sites;
    std::vector<unsigned> active;
    struct { uintptr_t key; unsigned number; } recent[1024];

    void begin() {
        numbers.clear();
        sites.clear();
        active.clear();
        for (auto& entry : recent) entry = {};
    }
    unsigned number_of(uintptr_t key) {
        auto& entry = recent[key % 1021];
        if (entry.key == key) return entry.number;
        const auto found = numbers.emplace(key, sites.size());
        if (found.second) sites.emplace_back();
        entry = {key, found.first->second};
        return entry.number;
    }
    void access(uintptr_t at, unsigned lane, uintptr_t place, unsigned bytes, bool is_write, int is_shared) {
        const unsigned number = number_of(at * 4 + is_write * 2 + is_shared);
        Site& site = sites[number];
        if (site.now.empty()) {
            active.push_back(number);
            site.at = at;
            site.bytes = bytes;
            site.is_write = is_write;
            site.is_shared = is_shared;
        }
        site.add(lane, place);
    }
    void end_turn() {
        for (const unsigned number : active) sites[number].end();
        active.clear();
    }
    std::string told(uintptr_t module) const {
        std::string result;
        char line[256];
        for (const Site& s : sites) {
            snprintf(line, sizeof line, "site %lx %s %s %lu %lu %lu %lu\n", (unsigned long)(s.at - module),
                     s.is_shared ? "shared" : "global", s.is_write ? "write" : "read", (unsigned long)s.requests,
                     (unsigned long)s.units, (unsigned long)s.ideal, (unsigned long)s.worst);
            result += line;
        }
        return result;
    }
} traffic;
