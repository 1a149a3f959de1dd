/* A program that lives as long as somebody writes lines to it: for each it leaks an object, a descriptor and an attachment,
 * and answers. Removes what it made at its end. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

static void leak(int number)
{
    char name[64];

    snprintf(name, sizeof name, "/shmaudit-grows-%d", number);
    if (shm_open(name, O_CREAT | O_EXCL | O_RDWR, 0600) == -1)
        perror(name);
}

static void attach(int id)
{
    if (shmat(id, NULL, 0) == (void *)-1)
        perror("shmat");
}

static void clean(int number)
{
    int id = shmget(IPC_PRIVATE, 4096 + number, 0600);
    void *p = shmat(id, NULL, 0);

    shmctl(id, IPC_RMID, NULL);
    shmdt(p);
}

int main(void)
{
    int id = shmget(IPC_PRIVATE, 4321, 0600), number = 0;

    while (getchar() != EOF) {
        leak(number);
        attach(id);
        clean(number);
        printf("%d\n", ++number);
        fflush(stdout);
    }
    while (number-- > 0) {
        char name[64];

        snprintf(name, sizeof name, "/shmaudit-grows-%d", number);
        shm_unlink(name);
    }
    shmctl(id, IPC_RMID, NULL);
    return 0;
}
