"""Usage: blocks.py fork|spawn|forkserver. Two blocks, both written by a child; one is unlinked, one deliberately not."""

import multiprocessing
import sys
from multiprocessing import resource_tracker, shared_memory


def fill(name):
    block = shared_memory.SharedMemory(name=name)
    block.buf[0] = 7
    block.close()


if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    blocks = [
        shared_memory.SharedMemory("shmaudit-blocks-" + name, create=True, size=6073) for name in ("kept", "unlinked")
    ]
    for block in blocks:
        child = context.Process(target=fill, args=(block.name,))
        child.start()
        child.join()
        print(block.name, block.buf[0], child.exitcode)
        block.close()
    blocks[1].unlink()
    # Python's own tracker would remove the other at its end.
    resource_tracker.unregister(blocks[0]._name, "shared_memory")
