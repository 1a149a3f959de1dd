cat > shared.py <<'END'
import multiprocessing
from multiprocessing import managers, shared_memory

def work(name):
    shared = shared_memory.SharedMemory(name=name)
    shared.buf[0] += 1
    shared.close()

if __name__ == '__main__':
    for method in ('fork', 'spawn', 'forkserver'):
        context = multiprocessing.get_context(method)
        shared = shared_memory.SharedMemory(create=True, size=5001)
        process = context.Process(target=work, args=(shared.name,))
        process.start()
        process.join()
        print(method, process.exitcode, shared.buf[0])
        shared.close()
        shared.unlink()
    with managers.SharedMemoryManager() as manager:
        words = manager.ShareableList([1, 'two', 3.0])
        print(list(words))
        words.shm.close()
    print(sum(multiprocessing.Array('i', 10)))
END
$AUDIT /usr/bin/python3 shared.py
echo "ended $?"
