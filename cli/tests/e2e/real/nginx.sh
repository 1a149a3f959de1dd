ip link set lo up
mkdir html
echo hello > html/index.html
chmod -R a+rX .
cat > conf <<END
daemon off; pid $WORK/pid; error_log $WORK/error.log; worker_processes 2; user nobody nogroup;
events { worker_connections 64; }
http {
    access_log off;
    limit_req_zone \$binary_remote_addr zone=limits:1m rate=1000r/s;
    proxy_cache_path $WORK/cache keys_zone=pages:1m;
    client_body_temp_path $WORK/body; proxy_temp_path $WORK/proxy;
    fastcgi_temp_path $WORK/fcgi; uwsgi_temp_path $WORK/uwsgi; scgi_temp_path $WORK/scgi;
    server { listen 127.0.0.1:8098; root $WORK/html; limit_req zone=limits burst=50; location / { } }
}
END
$AUDIT /usr/sbin/nginx -p "$WORK" -c "$WORK/conf" -e "$WORK/error.log" &
server=$!
soon get http://127.0.0.1:8098/index.html > /dev/null
for _ in 1 2 3; do get http://127.0.0.1:8098/index.html; done
kill -QUIT "$(cat pid)"
wait $server
echo "ended $?"
