server "$AUDIT"
"$PROGRAMS/pgbench" -h "$WORK" -U pg -i -q postgres 2> /dev/null
"$PROGRAMS/pgbench" -h "$WORK" -U pg -n -t ${LONG:+20}50 -c 4 postgres | grep 'actually processed'
sql 'select sum(aid), count(distinct bid) from pgbench_accounts'
sql 'create table t as select g, g % 7 as r from generate_series(1, 100000) g; create index on t (r); analyze t;
     select r, count(*), sum(g) from t group by r order by r'
kill -INT "$(head -n 1 data/postmaster.pid)"
wait $server
echo "ended $?"
