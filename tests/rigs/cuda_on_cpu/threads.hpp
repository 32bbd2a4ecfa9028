// Runs blocks one after the other, each by several threads of the processor.
#pragma once
#include <memory>
#include <mutex>
#include <pthread.h>
#include <string>
#include <thread>
#include <vector>

#define __shared__ static  // one block runs at a time
__shared__ float4* dynamic_shared;
static dim3 blockDim{1, 1, 1};

// Where the threads of a block wait for one another. All of them have to come to the same place,
// which CUDA wants and does not check: what else happens is up to the GPU.
class Barrier {
public:
    explicit Barrier(unsigned threads) : places{Places(threads), Places(threads)}
    {
        pthread_barrier_init(&barrier, nullptr, threads);
    }
    ~Barrier() { pthread_barrier_destroy(&barrier); }

    void wait(const char* place)
    {
        thread_local unsigned turn = 0;
        // Before anyone writes here again, all have passed the next barrier, so have read.
        Places& now = places[turn++ % 2];
        now[threadIdx.x] = place;
        pthread_barrier_wait(&barrier);
        for (const char* other : now)
            if (std::strcmp(other, now[0]) != 0)
                throw std::string("some threads wait at ") + now[0] + ", others at " + other;
    }

private:
    using Places = std::vector<const char*>;
    pthread_barrier_t barrier;
    Places places[2];
};

static std::unique_ptr<Barrier> barrier;

#define LINE_AS_TEXT_(line) #line
#define LINE_AS_TEXT(line) LINE_AS_TEXT_(line)
#define __syncthreads() barrier->wait(__FILE__ ":" LINE_AS_TEXT(__LINE__))

// Return what was wrong; nullptr where nothing was.
template <class Kernel>
const char* run_grid(dim3 grid, unsigned threads, unsigned shared, Kernel kernel)
{
    static std::mutex one_launch_at_a_time;
    const std::lock_guard<std::mutex> lock(one_launch_at_a_time);
    static thread_local std::string failure;
    failure.clear();
    blockDim = {threads, 1, 1};
    std::vector<float4> memory((shared + 15) / 16);
    dynamic_shared = memory.data();
    barrier = std::make_unique<Barrier>(threads);
    const auto work = [&](unsigned thread, std::string& failure) {
        threadIdx = {thread, 0, 0};
        gridDim = grid;
        try {
            for (unsigned long long n = 0; n < blocks_of(grid); ++n) {
                blockIdx = block_number(n, grid);
                kernel();
                barrier->wait("the end");
            }
        } catch (const std::string& divergence) {
            failure = divergence;
        }
    };
    std::vector<std::string> failures(threads);
    std::vector<std::thread> block;
    for (unsigned thread = 0; thread < threads; ++thread)
        block.emplace_back(work, thread, std::ref(failures[thread]));
    for (std::thread& thread : block)
        thread.join();
    failure = failures[0];
    return failure.empty() ? nullptr : failure.c_str();
}
