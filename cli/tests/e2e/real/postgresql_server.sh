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
