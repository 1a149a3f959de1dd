// Throws through frames with destructors, and leaves an object behind from a member function.
#include <cstdio>
#include <fcntl.h>
#include <stdexcept>
#include <sys/mman.h>
#include <unistd.h>

namespace ns {

struct Holder {
    ~Holder() { std::puts("unwound"); }

    int make(int depth)
    {
        Holder inner;
        if (depth > 0)
            return inner.make(depth - 1);
        int fd = shm_open("/shmaudit-throws", O_RDWR | O_CREAT | O_EXCL, 0600);
        if (fd == -1 || ftruncate(fd, 6061) != 0 || close(fd) != 0)
            return 1;
        throw std::runtime_error("thrown");
    }
};

} // namespace ns

int main()
{
    try {
        ns::Holder holder;
        return holder.make(3);
    } catch (const std::exception &error) {
        std::puts(error.what());
    }
    return 0;
}
