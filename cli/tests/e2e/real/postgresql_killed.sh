server "$AUDIT"
kill -KILL "$(head -n 1 data/postmaster.pid)"
wait $server 2> /dev/null
echo "ended $?"
gone() { ! pgrep -x postgres > /dev/null; }
soon gone
# What the kernel has, for the report to be compared with.
{ awk 'NR > 1 { print $4 }' /proc/sysvipc/shm; stat -c %s /dev/shm/PostgreSQL.*; } | sort -n > left
wc -l < left
# What the session tells of them, suppressing nothing: at once, while the next server runs, and after it.
told() { [ ! -d session ] || "$WORK/shmaudit" report session --no-built-in --format json > "$1"; }
told told.left

server "$AUDIT_AGAIN"
sql 'select 42'
told told.restarted
kill -INT "$(head -n 1 data/postmaster.pid)"
wait $server
echo "ended $?"
told told.stopped
[ ! -d again ] || "$WORK/shmaudit" log again > again.log
