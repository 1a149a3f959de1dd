$AUDIT stress-ng --shm 2 --shm-sysv 2 --mremap 2 --verify --timeout ${LONG:+3}3 --quiet --temp-path "$WORK" 2>&1
echo "ended $?"
