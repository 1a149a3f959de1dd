cat > sums.c <<'END'
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    enum { COUNT = 1 << 16 };
    int rank, size, *window;
    int *mine = malloc(COUNT * sizeof(int)), *all = malloc(COUNT * sizeof(int));
    MPI_Win shared;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    for (int i = 0; i < COUNT; i++)
        mine[i] = rank + i;
    MPI_Allreduce(mine, all, COUNT, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    MPI_Win_allocate_shared(4096, 4, MPI_INFO_NULL, MPI_COMM_WORLD, &window, &shared);
    window[0] = rank;
    MPI_Win_fence(0, shared);
    MPI_Win_free(&shared);
    if (rank == 0)
        printf("%d %d %d\n", size, all[0], all[COUNT - 1]);
    MPI_Finalize();
    return 0;
}
END
mpicc -g -o sums sums.c || exit 97
cat > each.sh <<'END'
for backend in sysv posix mmap; do
    mpirun --oversubscribe -np 2 --mca plm isolated --mca btl self,vader --mca btl_vader_backing_directory /dev/shm \
        --mca shmem $backend ./sums 2>> errors
    echo "$backend $?"
done
END
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 HOME="$WORK" TMPDIR="$WORK"
$AUDIT sh each.sh
echo "ended $?"
tail -n 5 errors >&2
