tests=
for method in fork spawn ${LONG:+forkserver}; do
    tests="$tests test.test_multiprocessing_$method.WithProcessesTestSharedMemory"
    [ -z "${LONG:-}" ] || tests="$tests test.test_multiprocessing_$method.WithProcessesTestSharedCTypes"
done
$AUDIT /usr/bin/python3 -m unittest $tests > tests.log 2>&1
echo "ended $?"
grep -E '^(Ran|OK|FAILED)' tests.log | sed 's/ in .*//'
tail -n 30 tests.log >&2
