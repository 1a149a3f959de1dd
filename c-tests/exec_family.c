/*
 * Every exec function, in a forked child that replaces itself: by the list and by the vector, with and without an
 * environment, with more arguments than registers hold, and failing. The arguments must arrive unchanged. Each image
 * makes and removes one object of its own: nothing is left, and nobody's report says otherwise.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAME "/shmaudit-exec_family"
#define SIZE 7001

extern char **environ;

static int image(int argc, char **argv)
{
    int fd = shm_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600);

    if (fd == -1 || ftruncate(fd, SIZE) == -1 || close(fd) == -1 || shm_unlink(NAME) == -1) {
        perror("image");
        return 1;
    }
    for (int i = 1; i < argc; i++)
        printf("%s%s", argv[i], i + 1 < argc ? " " : "\n");
    printf("  mark: %s\n", getenv("EXEC_MARK") ? getenv("EXEC_MARK") : "none");
    fflush(stdout);
    return 0;
}

static void finish(pid_t pid, const char *what)
{
    int status;

    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        printf("%s: ended badly\n", what);
}

int main(int argc, char **argv)
{
    char self[4096];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);

    if (length < 0)
        return 1;
    self[length] = '\0';
    if (argc > 1)
        return image(argc, argv);

    char mark[] = "EXEC_MARK=here";
    char *vector[] = {argv[0], "vector", "2", "3", "4", "5", "6", "7", "8", NULL};
    char *variables[64];
    int count = 0;

    for (char **variable = environ; *variable && count < 62; variable++)
        variables[count++] = *variable;
    variables[count++] = mark;
    variables[count] = NULL;

    for (int which = 0; which < 8; which++) {
        pid_t pid = fork();

        if (pid == 0) {
            switch (which) {
            case 0: execl(self, "self", "execl", "2", (char *)NULL); break;
            case 1: execl(self, "self", "execl", "2", "3", "4", "5", "6", "7", "8", "9", (char *)NULL); break;
            case 2: execlp(self, "self", "execlp", "2", "3", "4", "5", (char *)NULL); break;
            case 3: execle(self, "self", "execle", "2", "3", "4", "5", "6", "7", (char *)NULL, variables); break;
            case 4: execv(self, vector); break;
            case 5: execve(self, vector, variables); break;
            case 6: execvp(self, vector); break;
            case 7: execvpe(self, vector, variables); break;
            }
            _exit(9);
        }
        finish(pid, "child");
    }
    errno = 0;
    int result = execl("/nowhere/at/all", "x", "1", "2", "3", "4", "5", "6", (char *)NULL);
    printf("execl: %d %s\n", result, strerror(errno));
    result = execle("/nowhere/at/all", "x", (char *)NULL, environ);
    printf("execle: %d %s\n", result, strerror(errno));
    result = execlp("no-such-program-anywhere", "x", (char *)NULL);
    printf("execlp: %d %s\n", result, strerror(errno));
    return 0;
}
