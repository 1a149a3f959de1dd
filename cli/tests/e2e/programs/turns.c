/* A program that puts a pipe in its own place, and ends. */
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    return argc == 1 && unlink(argv[0]) == 0 && mkfifo(argv[0], 0700) == 0 ? 3 : 1;
}
