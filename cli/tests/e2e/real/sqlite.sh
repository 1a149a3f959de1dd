umask 077
cat > writers.py <<'END'
import os, sqlite3, subprocess, sys
path = "/dev/shm/shmaudit-real.db"
rows = int(sys.argv[1])
database = sqlite3.connect(path, timeout=60)
if len(sys.argv) > 2:
    for row in range(rows):
        database.execute("insert into t values (?)", (row,))
        database.commit()
else:
    print(database.execute("pragma journal_mode = wal").fetchone())
    database.execute("create table t (a)")
    database.commit()
    writers = [subprocess.Popen([sys.executable, __file__, sys.argv[1], "x"]) for _ in range(3)]
    print([writer.wait() for writer in writers])
    print(database.execute("select count(*), sum(a) from t").fetchone())
database.close()
if len(sys.argv) == 2:
    os.unlink(path)
END
$AUDIT /usr/bin/python3 writers.py "${LONG:+5}50"; echo $?
