// Finds accesses to the same bytes that nothing orders, one of them a write. What orders those of
// - one thread: the thread; one warp: __syncwarp of both; one block: __syncthreads. Shuffles order nothing.
// - two blocks: a ticket. What was written before a fence (by the thread that wrote, or after a barrier by the one that
//   counts) and before an atomic operation is seen by a block that has counted later at that place, and fenced.
// Volatile accesses, like atomic ones, do not race with each other; they order nothing.
// A copy to shared memory is under way from its beginning until its thread waits for it.
#pragma once
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

struct Record {
    uintptr_t at;
    uint32_t block, interval, clock, fences;
    uint16_t thread;
    bool is_there, is_atomic, is_write, is_pending;
};

// Readers: the last; the last that was another lane of its warp, another warp of its block, or of another block.
struct Cell {
    Record writer, reader, lane, warp, block;
};

// The records of 1024 bytes: in words, until something smaller is read or written.
struct Page {
    uint64_t launch = 0;
    unsigned shift = 2;
    std::vector<Cell> cells;

    void refine() {
        std::vector<Cell> bytes(1024);
        for (unsigned i = 0; i < 1024; ++i) bytes[i] = cells[i >> 2];
        cells.swap(bytes);
        shift = 0;
    }
};

struct Release {
    uint32_t block, interval, fence_interval, fences;
    uint16_t thread;
    uint64_t moment;
    std::vector<uint32_t> fences_at_barrier;
};
struct Acquired {
    uintptr_t ticket;
    uint32_t interval;
    uint16_t thread;
    uint64_t moment;
};

static struct Races {
    unsigned thread = 0;  // that runs

    uint64_t launch = 0, moment = 0;
    uint32_t block = 0, interval = 0;
    struct Lane { uint32_t clocks[32], fences, fence_interval; uint64_t fenced; };
    std::vector<Lane> lanes;
    std::vector<uint32_t> fences_at_barrier;
    std::unordered_map<uintptr_t, std::unique_ptr<Page>> pages;
    std::map<uintptr_t, std::vector<Release>> releases;
    std::vector<Acquired> acquired;
    struct Race { Record before, now; int is_shared; };
    std::map<std::pair<uintptr_t, uintptr_t>, Race> found;

    void begin(unsigned threads) {
        ++launch;
        lanes.resize(threads);
        releases.clear();
        found.clear();
        if (pages.size() > 4096) pages.clear();
    }
    void begin_block(uint32_t number) {
        block = number;
        interval = 0;
        acquired.clear();
        for (unsigned i = 0; i < lanes.size(); ++i) {
            lanes[i] = {};
            lanes[i].clocks[i % 32] = 1;
        }
        fences_at_barrier.assign(lanes.size(), 0);
    }
    void block_barrier() {
        ++interval;
        for (unsigned i = 0; i < lanes.size(); ++i) fences_at_barrier[i] = lanes[i].fences;
    }
    void warp_barrier(unsigned first, unsigned mask) {
        uint32_t joined[32] = {};
        for (unsigned i = 0; i < 32; ++i)
            for (unsigned k = 0; k < 32 && (mask >> i & 1) && first + i < lanes.size(); ++k)
                joined[k] = std::max(joined[k], lanes[first + i].clocks[k]);
        for (unsigned i = 0; i < 32; ++i) {
            if (!(mask >> i & 1) || first + i >= lanes.size()) continue;
            memcpy(lanes[first + i].clocks, joined, sizeof joined);
            ++lanes[first + i].clocks[i];
        }
    }
    void fence() {
        Lane& self = lanes[thread];
        ++self.fences;
        self.fence_interval = interval;
        self.fenced = ++moment;
    }
    void atomic(uintptr_t at, uintptr_t place, size_t bytes, bool is_shared) {
        access(at, place, bytes, true, is_shared, true);
        if (is_shared) return;
        const Lane& self = lanes[thread];
        const uint32_t fenced = self.fences ? self.fence_interval : 0;
        acquired.push_back({place, interval, (uint16_t)thread, ++moment});
        releases[place].push_back({block, interval, fenced, self.fences, (uint16_t)thread, moment, fences_at_barrier});
    }

    static bool covers(const Release& release, const Record& r) {
        if (release.block != r.block) return false;
        if (r.interval < release.fence_interval) return true;
        if (r.thread == release.thread) return r.fences < release.fences;
        return r.interval < release.interval && r.fences < release.fences_at_barrier[r.thread];
    }
    bool is_seen(const Acquired& ticket) const {
        const Lane &self = lanes[thread], &other = lanes[ticket.thread];
        if (ticket.thread != thread && ticket.interval == interval) return false;
        return self.fenced > ticket.moment || (other.fenced > ticket.moment && other.fence_interval < interval);
    }
    bool is_ordered_by_ticket(const Record& r, uintptr_t place) const {
        for (const Acquired& ticket : acquired) {
            if (r.is_atomic && ticket.ticket == place && (ticket.thread == thread || ticket.interval < interval)) return true;
            if (!is_seen(ticket)) continue;
            for (const Release& release : releases.at(ticket.ticket))
                if (release.moment < ticket.moment && covers(release, r)) return true;
        }
        return false;
    }
    bool is_ordered(const Record& r, uintptr_t place, int is_shared) const {
        if (r.block != block) return is_shared || is_ordered_by_ticket(r, place);
        if (r.is_pending) return false;
        if (r.interval != interval || r.thread == thread) return true;
        return r.thread / 32 == thread / 32 && lanes[thread].clocks[r.thread % 32] >= r.clock;
    }
    void against(const Record& r, const Record& now, uintptr_t place, int is_shared) {
        if (!r.is_there || (r.is_atomic && now.is_atomic) || is_ordered(r, place, is_shared)) return;
        found.emplace(std::pair(r.at, now.at), Race{r, now, is_shared});
    }

    Page& page_of(uintptr_t place) {
        std::unique_ptr<Page>& page = pages[place >> 10];
        if (!page) page = std::make_unique<Page>();
        if (page->launch != launch) {
            page->launch = launch;
            page->shift = 2;
            page->cells.assign(256, {});
        }
        return *page;
    }
    // Calls use(cell, place) for the cells of these bytes.
    template <class Use> void each_cell(uintptr_t place, size_t bytes, Use use) {
        for (const uintptr_t end = place + bytes; place < end;) {
            Page& page = page_of(place);
            if (page.shift && (place % 4 || end - place < 4)) page.refine();
            use(page.cells[(place & 1023) >> page.shift]);
            place += 1 << page.shift;
        }
    }
    Record record(uintptr_t at, bool is_write, bool is_atomic) const {
        const Lane& self = lanes[thread];
        return {at, block, interval, self.clocks[thread % 32], self.fences, (uint16_t)thread, true, is_atomic, is_write, false};
    }
    void access(uintptr_t at, uintptr_t place, size_t bytes, bool is_write, int is_shared, bool is_atomic) {
        const Record now = record(at, is_write, is_atomic);
        uintptr_t here = place;
        each_cell(place, bytes, [&](Cell& cell) {
            against(cell.writer, now, here, is_shared);
            if (is_write) {
                for (const Record* reader : {&cell.reader, &cell.lane, &cell.warp, &cell.block}) against(*reader, now, here, is_shared);
                if (!cell.writer.is_pending) cell.writer = now;
            } else {
                remember(cell, now);
            }
        });
    }
    static void remember(Cell& cell, const Record& now) {
        const Record& last = cell.reader;
        if (last.is_there && last.block != now.block) {
            cell.block = last;
            cell.lane = cell.warp = {};
        } else if (last.is_there && last.thread / 32 != now.thread / 32) {
            cell.warp = last;
            cell.lane = {};
        } else if (last.is_there && last.thread != now.thread) {
            cell.lane = last;
        }
        cell.reader = now;
    }
    // Of a copy that begins or ends.
    void pending(uintptr_t at, uintptr_t place, size_t bytes, bool begins) {
        Record now = record(at, true, false);
        now.is_pending = begins;
        each_cell(place, bytes, [&](Cell& cell) { cell.writer = now; });
    }
    std::string told(uintptr_t module) const {
        std::string result;
        char line[512];
        for (const auto& [key, race] : found) {
            const Record &a = race.before, &b = race.now;
            snprintf(line, sizeof line, "race %s %lx %s %u %u %lx %s %u %u\n", race.is_shared ? "shared" : "global",
                     (unsigned long)(a.at - module), name(a), a.block, a.thread, (unsigned long)(b.at - module), name(b),
                     b.block, b.thread);
            result += line;
        }
        return result;
    }
    static const char* name(const Record& r) {
        return r.is_pending ? "copy" : r.is_atomic ? "atomic" : r.is_write ? "write" : "read";
    }
} races;
