/* A descriptor of an object that has no name any more goes through a socket to a process that never opened anything.
 * The report must say that the mapping made there reaches beyond the object: what a descriptor is, the kernel says.
 */
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAME "/shmaudit-fd_passed"
#define SIZE 4096

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

union room {
    struct cmsghdr head;
    char bytes[CMSG_SPACE(sizeof(int))];
};

static void pass(int over, int fd)
{
    union room room;
    char byte = 0;
    struct iovec vector = {&byte, 1};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = &room, .msg_controllen = sizeof room};
    memset(&room, 0, sizeof room);
    room.head.cmsg_len = CMSG_LEN(sizeof fd);
    room.head.cmsg_level = SOL_SOCKET;
    room.head.cmsg_type = SCM_RIGHTS;
    memcpy(CMSG_DATA(&room.head), &fd, sizeof fd);
    need(sendmsg(over, &message, 0) == 1, "sendmsg");
}

static int receive(int over)
{
    union room room;
    char byte;
    int fd;
    struct iovec vector = {&byte, 1};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = &room, .msg_controllen = sizeof room};
    need(recvmsg(over, &message, 0) == 1, "recvmsg");
    memcpy(&fd, CMSG_DATA(&room.head), sizeof fd);
    return fd;
}

static void child(int over)
{
    int fd = receive(over);
    char *addr = mmap(NULL, 2 * SIZE, PROT_READ, MAP_SHARED, fd, 0);
    need(addr != MAP_FAILED, "mmap");
    need(addr[0] == 'x', "what is mapped");
    need(munmap(addr, 2 * SIZE) == 0, "munmap");
    need(close(fd) == 0, "close");
    exit(0);
}

int main(void)
{
    int pair[2], status;
    need(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "socketpair");
    pid_t pid = fork();
    need(pid != -1, "fork");
    if (pid == 0)
        child(pair[1]);

    int fd = shm_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1, "shm_open");
    need(ftruncate(fd, SIZE) == 0, "ftruncate");
    need(pwrite(fd, "x", 1, 0) == 1, "pwrite");
    need(shm_unlink(NAME) == 0, "shm_unlink");
    pass(pair[0], fd);
    need(close(fd) == 0, "close");
    need(waitpid(pid, &status, 0) == pid && status == 0, "waitpid");
    puts("passed on");
    return 0;
}
