#!/bin/sh
# Runs programs of other Debian releases under the library, each in a root of its own made by debootstrap.
# Usage: roots.sh /path/to/libshmaudit.so [release...]   Needs root, debootstrap and Debian's mirror. The roots stay in
# target/roots for the next time. Ends with a line of counts; status 1 when something failed.
set -u
library=$1
shift
releases=${*:-bullseye trixie sid}
here=$(cd "$(dirname "$0")" && pwd)
roots=$here/../target/roots
mkdir -p "$roots"
passed=0 failed=0 skipped=0

# Segments and mounts of its own: nothing of the machine's is seen or touched.
if [ -z "${SHMAUDIT_ROOTS_APART:-}" ] && [ "$(id -u)" = 0 ]; then
  SHMAUDIT_ROOTS_APART=1 exec unshare --ipc --mount "$0" "$library" "$@"
fi

if [ "$(id -u)" != 0 ] || ! command -v debootstrap >/dev/null; then
  echo "roots: skipped: needs root and debootstrap"
  echo "roots: 0 passed, 0 failed, 1 skipped"
  exit 0
fi

# verdict NAME STATUS: counts and says one result.
verdict() {
  if [ "$2" = 0 ]; then passed=$((passed + 1)); echo "ok   $1"; else failed=$((failed + 1)); echo "FAIL $1"; fi
}

# forget_segments: removes what a scenario left in this script's own IPC namespace.
forget_segments() {
  for id in $(awk 'NR > 1 { print $2 }' /proc/sysvipc/shm); do ipcrm -m "$id"; done
}

# same ROOT NAME COMMAND...: the command plain and audited in the root; output and status must not differ.
same() {
  root=$1 name=$2
  shift 2
  chroot "$root" "$@" >"$roots/plain" 2>"$roots/plain.err"
  plain=$?
  chroot "$root" env SHMAUDIT_OPTIONS=log=off:report=off LD_PRELOAD=/libshmaudit.so "$@" >"$roots/audited" 2>"$roots/audited.err"
  audited=$?
  [ "$plain" = "$audited" ] && cmp -s "$roots/plain" "$roots/audited" && cmp -s "$roots/plain.err" "$roots/audited.err"
  verdict "$name" $?
}

for release in $releases; do
  root=$roots/$release
  if [ ! -e "$root/.made" ]; then
    rm -rf "$root"
    if ! debootstrap --variant=minbase --include=gcc,libc6-dev,python3-minimal,perl "$release" "$root" \
      >"$roots/$release.log" 2>&1; then
      echo "roots: $release: debootstrap failed: see $roots/$release.log"
      skipped=$((skipped + 1))
      continue
    fi
    touch "$root/.made"
  fi
  cp "$library" "$root/libshmaudit.so"
  mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"
  mountpoint -q "$root/dev/shm" || { mkdir -p "$root/dev/shm"; mount -t tmpfs tmpfs "$root/dev/shm"; }
  libc=$(chroot "$root" ldd --version | sed -n '1s/.* //p')
  same "$root" "$release (glibc $libc): true" /bin/true
  same "$root" "$release: perl" perl -e 'print join(",", map { $_ * 2 } 1 .. 5), "\n"; exit 3'
  same "$root" "$release: python3" python3 -c 'import sys; print(sys.version_info[0])'
  same "$root" "$release: sh, pipes, command substitution" sh -c 'echo "$(ls / | wc -l)" | cat; (exit 4)'
  for scenario in posix_shm sysv_shm leak_posix leak_sysv fork_child_cleans errno_kept dup_family atexit_cleans threads_churn; do
    cp "$here/$scenario.c" "$root/tmp/"
    libraries=$(sed -n 's/^libs: //p' "$here/$scenario.expect")
    # shellcheck disable=SC2086
    if ! chroot "$root" gcc -std=gnu11 -g -o "/tmp/$scenario" "/tmp/$scenario.c" $libraries -lrt -lpthread; then
      verdict "$release: $scenario does not compile" 1
      continue
    fi
    rm -f "$root"/dev/shm/*
    chroot "$root" "/tmp/$scenario" >"$roots/plain" 2>/dev/null
    plain=$?
    rm -f "$root"/dev/shm/*
    forget_segments
    chroot "$root" env SHMAUDIT_OPTIONS=log=off:report=/tmp/report LD_PRELOAD=/libshmaudit.so "/tmp/$scenario" \
      >"$roots/audited" 2>/dev/null
    audited=$?
    [ "$plain" = "$audited" ] && cmp -s "$roots/plain" "$roots/audited"
    same=$?
    if [ "$same" = 0 ] && grep -q '^[ps].*-leak error' "$here/$scenario.expect"; then
      grep -q "$(sed -n 's/^\([ps][a-z]*-leak\) .*/\1/p' "$here/$scenario.expect" | head -n 1)" "$root/tmp/report"
      same=$?
    fi
    verdict "$release: $scenario" "$same"
    rm -f "$root/tmp/report"
    forget_segments
  done
  umount "$root/dev/shm" "$root/proc"
done
echo "roots: $passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
