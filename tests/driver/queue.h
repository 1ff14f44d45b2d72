// Streams, events and captures. Work of a stream is done in its order, either as soon as it is queued ("eager") or when
// somebody waits, in any order between streams that CUDA allows ("lazy", by a seed).
#pragma once
#include <time.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "errors.h"

using Work = std::function<void()>;
using Nodes = std::vector<Work>;

struct Mark {  // a point in a stream's work
    bool is_reached = false;
    double milliseconds = 0;
};
using MarkPointer = std::shared_ptr<Mark>;

struct Entry {
    Work work;            // or
    MarkPointer reaches;  // or
    MarkPointer awaits;
};

enum CaptureMode { GLOBAL, THREAD_LOCAL, RELAXED };

struct Capture {
    CaptureMode mode;
    std::thread::id thread;
    Nodes nodes = {};
    bool is_broken = false;
};

struct Stream {
    explicit Stream(bool is_blocking) : is_blocking(is_blocking) {}
    const bool is_blocking;  // work of the legacy stream and its own wait for each other
    std::deque<Entry> entries;
    std::unique_ptr<Capture> capture;
    bool is_destroyed = false;
};

struct Event {
    bool is_timed;
    MarkPointer mark;  // the latest; null: never recorded
    Stream* captured = nullptr;
};

struct Queue {
    std::vector<Stream*> streams;  // in the order in which they were made
    Stream legacy{true};
    bool is_lazy = false;
    std::mt19937_64 random;
    int broken = 0;  // an error that stays: all work is refused after it

    // --- what runs ----------------------------------------------------------------------------------------------
    void push(Stream& stream, Work work) {
        order_with_legacy(stream);
        stream.entries.push_back({std::move(work), nullptr, nullptr});
        advance();
    }
    MarkPointer mark(Stream& stream) {
        order_with_legacy(stream);
        auto made = std::make_shared<Mark>();
        stream.entries.push_back({nullptr, made, nullptr});
        advance();
        return made;
    }
    void await(Stream& stream, MarkPointer mark) {
        order_with_legacy(stream);
        stream.entries.push_back({nullptr, nullptr, std::move(mark)});
        advance();
    }
    template <class Done> void run_until(Done done) {
        while (!broken && !done()) {
            std::vector<Stream*> ready;
            for (Stream* s : all())
                if (!s->entries.empty() && (!s->entries.front().awaits || s->entries.front().awaits->is_reached))
                    ready.push_back(s);
            if (ready.empty()) return fail(FAILED, "streams wait for each other");
            step(*ready[is_lazy ? random() % ready.size() : 0]);
        }
    }
    void run_all() {
        run_until([this] { return is_idle(); });
    }
    void run(Stream& stream) {
        run_until([&] { return stream.entries.empty(); });
    }
    void fail(int error, const char* what) {
        fprintf(stderr, "stand-in for CUDA: %s\n", what);
        broken = error;
    }

    // --- captures -----------------------------------------------------------------------------------------------
    // What is not allowed while some thread captures, unless it said that it is.
    int unsafe(const char* what) {
        bool is_refused = false;
        for (Stream* s : all()) {
            Capture* c = s->capture.get();
            if (!c || c->mode == RELAXED || (c->mode == THREAD_LOCAL && c->thread != std::this_thread::get_id())) continue;
            c->is_broken = is_refused = true;
        }
        return is_refused ? said(CAPTURE_UNSUPPORTED, what) : OK;
    }
    // What would wait for a stream that captures.
    int waits_for(Stream& stream, const char* what) {
        if (!stream.capture) return OK;
        stream.capture->is_broken = true;
        return said(CAPTURE_UNSUPPORTED, what);
    }
    int waits_for_all(const char* what) {
        int error = OK;
        for (Stream* s : all())
            if (waits_for(*s, what)) error = CAPTURE_UNSUPPORTED;
        return error;
    }
    // What comes on the legacy stream while a stream that waits for it captures.
    int is_implicit(Stream& stream, const char* what) {
        if (&stream != &legacy) return OK;
        for (Stream* s : streams)
            if (s->capture && s->is_blocking) {
                s->capture->is_broken = true;
                return said(CAPTURE_IMPLICIT, what);
            }
        return OK;
    }
    int said(int error, const char* what) {
        fprintf(stderr, "stand-in for CUDA: %s during capture\n", what);
        return error;
    }

    bool knows(Stream* stream) const {
        return stream == &legacy || std::find(streams.begin(), streams.end(), stream) != streams.end();
    }
    void destroy(Stream* stream) {  // once its work is done
        stream->is_destroyed = true;
        streams.erase(std::find(streams.begin(), streams.end(), stream));
        if (stream->entries.empty()) delete stream;
        else dying.push_back(stream);
    }

   private:
    std::vector<Stream*> dying;  // destroyed, with work left

    std::vector<Stream*> all() {
        std::vector<Stream*> result{&legacy};
        result.insert(result.end(), streams.begin(), streams.end());
        result.insert(result.end(), dying.begin(), dying.end());
        return result;
    }
    bool is_idle() {
        for (Stream* s : all())
            if (!s->entries.empty()) return false;
        return true;
    }
    void order_with_legacy(Stream& stream) {
        if (&stream == &legacy) {
            for (Stream* s : streams)
                if (s->is_blocking && !s->entries.empty()) join(legacy, *s);
        } else if (stream.is_blocking && !legacy.entries.empty()) {
            join(stream, legacy);
        }
    }
    void join(Stream& later, Stream& earlier) {
        auto made = std::make_shared<Mark>();
        earlier.entries.push_back({nullptr, made, nullptr});
        later.entries.push_back({nullptr, nullptr, made});
    }
    void advance() {
        if (!is_lazy) run_all();
    }
    void step(Stream& stream) {
        const Entry entry = std::move(stream.entries.front());
        stream.entries.pop_front();
        if (entry.work) entry.work();
        if (entry.reaches) {
            timespec now;
            clock_gettime(CLOCK_MONOTONIC, &now);
            entry.reaches->is_reached = true;
            entry.reaches->milliseconds = now.tv_sec * 1e3 + now.tv_nsec / 1e6;
        }
        if (stream.is_destroyed && stream.entries.empty()) {
            dying.erase(std::find(dying.begin(), dying.end(), &stream));
            delete &stream;
        }
    }
};
