cat > both.sh <<'END'
gst-launch-1.0 -q videotestsrc num-buffers=100 ! video/x-raw,width=160,height=120,framerate=25/1 ! shmsink socket-path=socket \
    shm-size=2000000 wait-for-connection=true &
sink=$!
count=0
until [ -S socket ]; do count=$((count + 1)); [ $count -lt 200 ] || exit 97; sleep 0.05; done
gst-launch-1.0 -q shmsrc socket-path=socket num-buffers=30 ! video/x-raw,width=160,height=120,framerate=25/1,format=I420 ! \
    filesink location=frames
echo "source $?"
kill -INT $sink
wait $sink
echo "sink ended"
END
export HOME="$WORK"
$AUDIT sh both.sh
echo "ended $?"
[ "$(stat -c %s frames)" -gt 28800 ] && echo frames
