server() {
    $AS_NOBODY $1 "$PROGRAMS/postgres" -D "$WORK/data" -c unix_socket_directories="$WORK" -c listen_addresses= -c fsync=off \
        -c parallel_setup_cost=0 -c parallel_tuple_cost=0 -c min_parallel_table_scan_size=0 2>> server.log &
    server=$!
    soon "$PROGRAMS/pg_isready" -q -h "$WORK"
}
sql() { "$PROGRAMS/psql" -h "$WORK" -U pg -At postgres -c "$1"; }
PROGRAMS=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
AS_NOBODY="setpriv --reuid=65534 --regid=65534 --clear-groups"
chmod 777 "$WORK"
$AS_NOBODY "$PROGRAMS/initdb" -D "$WORK/data" -U pg -A trust > initdb.log 2>&1 || exit 97

server "$AUDIT"
kill -KILL "$(head -n 1 data/postmaster.pid)"
wait $server 2> /dev/null
echo "ended $?"
gone() { ! pgrep -x postgres > /dev/null; }
soon gone
# What the kernel has, for the report to be compared with.
{ awk 'NR > 1 { print $4 }' /proc/sysvipc/shm; stat -c %s /dev/shm/PostgreSQL.*; } | sort -n > left
wc -l < left

server "$AUDIT_AGAIN"
sql 'select 42'
kill -INT "$(head -n 1 data/postmaster.pid)"
wait $server
echo "ended $?"
[ ! -d again ] || "$WORK/shmaudit" log again > again.log
