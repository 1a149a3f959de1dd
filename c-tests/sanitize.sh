#!/bin/sh
# Builds with the compiler's own sanitizers and runs what they then watch, with a line for each part.
#   sanitize.sh [PART…]
# heart    the core's tests under AddressSanitizer and LeakSanitizer
# threads  the ring and the registry on real threads under ThreadSanitizer
# edge     the C scenarios with the library linked to them, its own loads and stores watched by ThreadSanitizer and then by
#          AddressSanitizer
# All of them where none is named. What a part needs and is not there, it says; with SHMAUDIT_REQUIRE_ALL=1 that is a failure.
# The programs run in namespaces of their own. Ends with 1 if anything was reported.
set -eu
cd "$(dirname "$0")/.."

cargo=${CARGO:-cargo}
built=$(realpath -m "${CARGO_TARGET_DIR:-target}")/sanitize
machine=$(rustc -vV | sed -n 's/^host: //p')
runtimes=$(rustc --print target-libdir)
scenarios=$PWD/c-tests
failed=0

# Cargo, with everything that it compiles instrumented but what runs while it compiles.
sanitized() {
  sanitizer=$1 command=$2
  shift 2
  RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=$sanitizer -Cunsafe-allow-abi-mismatch=sanitizer --cfg sanitizer=\"$sanitizer\"" \
    "$cargo" "$command" --profile sanitize --target "$machine" --target-dir "$built/$sanitizer" "$@"
}

runtime() {
  echo "$runtimes/librustc-stable_rt.$(echo "$1" | cut -c1)san.a"
}

skip() {
  echo "sanitize: $1: skipped: needs $2"
  [ "${SHMAUDIT_REQUIRE_ALL:-}" != 1 ] || failed=1
}

has_runtime() {
  [ -e "$(runtime "$2")" ] || { skip "$1" "$(runtime "$2"), which rustup's toolchains have" && return 1; }
}

heart() {
  has_runtime heart address || return 0
  sanitized address test -p shmaudit-core --lib --test interleavings --test threads || failed=1
}

threads() {
  has_runtime threads thread || return 0
  TSAN_OPTIONS="suppressions=$PWD/core/tests/threads/tsan.supp" \
    sanitized thread test -p shmaudit-core --test threads -- --test-threads=1 || failed=1
}

# Runs a program in namespaces of its own, so that nobody else's memory is in its way and nothing of its own stays.
apart() {
  timeout -s KILL 120 unshare --ipc --mount sh -c 'mount -t tmpfs tmpfs /dev/shm && exec "$@"' sh "$@" </dev/null
}

# A program three ways: as it is; with the sanitizer's runtime; with that and the library. Only the library is instrumented:
# what the scenarios do among themselves is theirs.
link() {
  runtime="-nodefaultlibs -rdynamic -Wl,--whole-archive $(runtime "$3") -Wl,--no-whole-archive"
  libraries='-lpthread -ldl -lm -lrt -lc -lgcc -lgcc_s'
  mkdir -p plain bare audited
  gcc -g -w "$1" -o "plain/$2" -lpthread -ldl -lm -lrt
  gcc -g -w "$1" -o "bare/$2" $runtime $libraries
  gcc -g -w "$1" -o "audited/$2" $runtime -Wl,--no-as-needed ./libshmaudit.so.0 "-Wl,-rpath,$PWD" $libraries
}

# Runs a program in its directory until its last child has ended, and prints its status; the rest is in files beside it.
ends() {
  (
    cd "$1"
    shift
    { apart "$@" 2>err && echo 0 >status || echo $? >status; } | cat >out
    cat status
  )
}

# Called before the runtime is up; and one whose descriptors the runtime itself writes to.
beyond_address='constructor_early own_malloc preinit_call closes_all_fds'
beyond_thread=

# A scenario under a sanitizer: it must end as it does with the runtime alone, print the same, and nothing may be reported.
scenario() {
  link "$1" "$2" "$3"
  plain=$(ends plain "./$2")
  bare=$(ends bare "./$2")
  eval "known=\$beyond_$3"
  if [ "$bare" != "$plain" ] || grep -q "$reported" bare/err || echo " $known " | grep -q " $2 "; then
    beyond="$beyond $2"
    return 0
  fi
  # While a thread forks, the runtime can take little; a line of the log is much.
  if grep -qE '(fork|clone|posix_spawn|system|popen) ?\(' "$1"; then log=off; else log=stderr; fi
  audited=$(SHMAUDIT_OPTIONS=log=$log ends audited "./$2")
  tried=$((tried + 1))
  if [ "$audited" != "$bare" ] || ! cmp bare/out audited/out || grep -q "$reported" audited/err; then
    echo "sanitize: $3: $2 ends with $audited, $bare without the library; said:"
    grep -v '^shmaudit\[' audited/err | head -n 60
    failed=1
  fi
}

edge() {
  for tool in gcc unshare timeout realpath; do
    command -v $tool >/dev/null || { skip edge $tool && return 0; }
  done
  apart true 2>/dev/null || { skip edge 'the right to make namespaces and to mount there' && return 0; }
  for sanitizer in thread address; do
    has_runtime edge $sanitizer || continue
    sanitized $sanitizer build -p shmaudit --features wrong || { failed=1 && continue; }
    work=$built/$sanitizer/edge
    mkdir -p "$work"
    (
      cd "$work"
      ln -sf "$built/$sanitizer/$machine/sanitize/libshmaudit.so" libshmaudit.so.0
      # A report ends a program with 66. What the C library's start-up leaves is not ours.
      export TSAN_OPTIONS=exitcode=66 ASAN_OPTIONS=exitcode=66:detect_leaks=0
      tried=0 beyond= failed=0 reported='\(WARNING\|ERROR\): [A-Za-z]*Sanitizer\|Sanitizer:DEADLYSIGNAL\|Sanitizer: CHECK failed'
      for program in "$scenarios"/*.c "$scenarios/../cli/tests/e2e/programs/together.c"; do
        scenario "$program" "$(basename "$program" .c)" $sanitizer
      done
      # What would be wrong is reported.
      case $sanitizer in thread) wrong=races-in-hook ;; address) wrong=reads-beyond ;; esac
      ended=$(SHMAUDIT_WRONG=$wrong ends audited ./together)
      if [ "$ended" != 66 ] || ! grep -q 'wrong.rs' audited/err; then
        echo "sanitize: $sanitizer: $wrong is not reported: it ended with $ended"
        failed=1
      fi
      echo "sanitize: edge, ${sanitizer}: $tried programs; beyond the runtime itself:${beyond:- none}"
      exit $failed
    ) || failed=1
  done
}

for part in ${*:-threads edge heart}; do
  case $part in
    threads|edge|heart) $part ;;
    *) echo "sanitize: no part '$part': there are threads, edge and heart" >&2 && exit 2 ;;
  esac
done
exit $failed
