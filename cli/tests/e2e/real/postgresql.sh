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
"$PROGRAMS/pgbench" -h "$WORK" -U pg -i -q postgres 2> /dev/null
"$PROGRAMS/pgbench" -h "$WORK" -U pg -n -t ${LONG:+20}50 -c 4 postgres | grep 'actually processed'
sql 'select sum(aid), count(distinct bid) from pgbench_accounts'
sql 'create table t as select g, g % 7 as r from generate_series(1, 100000) g; create index on t (r); analyze t;
     select r, count(*), sum(g) from t group by r order by r'
kill -INT "$(head -n 1 data/postmaster.pid)"
wait $server
echo "ended $?"
