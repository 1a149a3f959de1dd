// Leaves segments behind from inlined, templated, overloaded and nested functions: the report must name them all, innermost
// first, where each call stands.
#include <cstddef>
#include <functional>
#include <string>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <vector>

#define APART __attribute__((noinline))
#define INTO __attribute__((always_inline)) inline

namespace outer {

INTO int make(std::size_t size)
{
    return shmget(IPC_PRIVATE, size, IPC_CREAT | 0600);
}

namespace {

APART int hidden(std::size_t size)
{
    return make(size) + 1;
}

} // namespace

inline namespace v2 {

template <typename Kind, int Step>
struct Maker {
    Kind start;

    INTO int once(std::size_t size) const
    {
        return make(size + static_cast<std::size_t>(start));
    }

    APART int twice(std::size_t size) const
    {
        int first = once(size);
        int second = once(size + Step);
        return first < second ? second : first;
    }

    APART int operator()(std::size_t size) const { return twice(size) + 0 * Step; }
};

} // namespace v2

template <typename... Sizes>
APART int all(const Sizes &...sizes)
{
    int last = 0;
    for (auto &&each : { std::function<int()>([&] { return make(static_cast<std::size_t>(sizes)); })... })
        last += each();
    return last;
}

class Base {
public:
    virtual ~Base() {}
    virtual int run(std::size_t size) = 0;
};

class Derived final : public Base {
public:
    explicit Derived(std::string name) : name_(std::move(name)) { self_ = make(7001); }
    ~Derived() override { make(7003); }
    APART int run(std::size_t size) override
    {
        auto by_size = [this](std::size_t size) APART { return make(size + name_.size()); };
        return by_size(size);
    }

private:
    std::string name_;
    int self_;
};

} // namespace outer

APART static int through(outer::Base &base)
{
    return base.run(7005) + 1;
}

int main()
{
    outer::Maker<long, 6> maker{ 3 };
    std::vector<int> made;
    made.push_back(maker(7007));
    made.push_back(outer::hidden(7027));
    made.push_back(outer::all(7019, 7021L));
    {
        outer::Derived derived("four");
        made.push_back(through(derived));
    }
    return made.size() == 4 ? 0 : 1;
}
