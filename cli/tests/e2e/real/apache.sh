ip link set lo up
modules=/usr/lib/apache2/modules
mkdir htdocs
echo hello > htdocs/index.html
chmod -R a+rX .
cat > conf <<END
ServerRoot $WORK
ServerName localhost
Listen 127.0.0.1:8099
PidFile $WORK/pid
DefaultRuntimeDir $WORK
DocumentRoot $WORK/htdocs
ErrorLog $WORK/error.log
ScoreBoardFile $WORK/scoreboard
User nobody
Group nogroup
$(for module in mpm_event authz_core slotmem_shm socache_shmcb proxy proxy_http proxy_balancer lbmethod_byrequests; do
    echo "LoadModule ${module}_module $modules/mod_$module.so"
done)
<Proxy balancer://pool>
BalancerMember http://127.0.0.1:8099
</Proxy>
ProxyPass /pool/ balancer://pool/
END
$AUDIT /usr/sbin/apache2 -f "$WORK/conf" -DFOREGROUND &
server=$!
soon get http://127.0.0.1:8099/index.html > /dev/null
for path in index.html pool/index.html; do get "http://127.0.0.1:8099/$path"; done
kill -TERM "$(cat pid)"
wait $server
echo "ended $?"
