#!/bin/sh
# Runs the C scenarios as another machine's programs, by qemu's user mode, and prints tables: with pages of 4 KiB, with pages of
# 64 KiB, and programs of musl.
#   cross.sh --check MACHINE                         says in a line what is missing, and ends with 2
#   cross.sh MACHINE LIBRARY TRIALS [COMMAND]
# TRIALS is the test binary; COMMAND, the other machine's, reads the journal of one program. The kernel is told of qemu in a user
# namespace of this script's own; the machine's settings, its /dev/shm and its segments are not touched. Ends with 1 if a trial
# fails that is not known to be beyond qemu.
set -eu

if [ "${1:-}" = --inside ]; then
  # mask: the ELF header's version, type and padding may be anything.
  mount -t tmpfs tmpfs /dev/shm
  mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
  printf '%s' ":cross:M::\\x7fELF\\x02\\x01\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x02\\x00\\xb7\\x00:\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xfe\\xff\\xff\\xff:$2:P" \
    > /proc/sys/fs/binfmt_misc/register
  shift 2
  exec "$@"
fi

[ "$1" = --check ] && check=1 && shift || check=
machine=$1
here=$(cd "${0%/*}" && pwd)
export CROSS="$machine"
needs() { echo "make cross needs $1" >&2; exit 2; }

# Only a static one: the loader of another would try to preload the library into qemu itself.
qemu=
for name in "qemu-$machine-static" "qemu-$machine"; do
  path=$(command -v "$name" || :)
  if [ -n "$path" ] && ! readelf -l "$path" 2>/dev/null | grep -q INTERP; then qemu=$path; break; fi
done
[ -n "$qemu" ] || needs "a static qemu: apt install qemu-user-static"
program=$(mktemp)
trap 'rm -rf "$program" "${log:-}" "${work:-}"' EXIT
echo 'int main(void) { return 0; }' | "$here/cross-cc" -x c -o "$program" - 2>/dev/null ||
  needs "a compiler for $machine: apt install gcc-$machine-linux-gnu, or, beside gcc-multilib, clang binutils-$machine-linux-gnu libc6-dev-arm64-cross libgcc-12-dev-arm64-cross"
export QEMU_LD_PREFIX=/usr/$machine-linux-gnu
inside() { LD_PRELOAD= unshare --user --map-root-user --mount --ipc sh "$0" --inside "$qemu" "$@"; }
inside "$program" 2>/dev/null || needs "to make user namespaces, and a kernel of 6.7 or later, which has binfmt_misc in them"
if [ -n "$check" ]; then
  [ -d "$(rustc --print target-libdir --target "$machine-unknown-linux-gnu" 2>/dev/null)" ] ||
    needs "Rust's library for $machine: rustup target add $machine-unknown-linux-gnu"
  exit 0
fi

library=$2 trials=$3 failed=0
log=$(mktemp)
work=$(mktemp -d)

# table TITLE FILTER [PART]: runs the trials of this name. Per scenario what its trials gave, of a PART only where one did not pass;
# of those that failed, the first line of what they say, and why that is qemu's or the part's, where it is.
table() {
  SHMAUDIT_CC=$here/cross-cc SHMAUDIT_MUSL_CC=$here/cross-musl-cc SHMAUDIT_LIB=$library \
    SHMAUDIT_TRIAL_SECONDS=${SHMAUDIT_TRIAL_SECONDS:-60} inside "$trials" "$2" >"$log" 2>&1 || :
  [ -z "${CROSS_LOG:-}" ] || { echo "$1"; cat "$log"; } >>"$CROSS_LOG"
  awk -v known="$here/cross.known" -v title="$1" -v part="${3:-}" '
    BEGIN {
      while ((getline line < known) > 0) { at = index(line, ": "); if (at && line !~ /^#/) why[substr(line, 1, at - 1)] = substr(line, at + 2) }
      if (!part) printf "%-26s %-6s %-10s %-8s %-7s %-7s\n", "scenario", "plain", "preloaded", "linked", "stderr", "log"
    }
    function parts(path, piece) { split(path, piece, "::"); if (piece[1] == "scenarios") { name = piece[2]; mode = piece[3] } else { name = piece[3]; mode = piece[2] } }
    /^test (scenarios|libcs)::/ {
      parts($2)
      if (!(name in seen)) { seen[name] = 1; names[++count] = name }
      result[name, mode] = $4 == "ok" ? "ok" : $4 == "ignored" ? "skipped" : "FAILED"
      if ($4 == "FAILED") failed[name] = 1
      if ($4 == "ignored") passed_over++
    }
    /^---- (scenarios|libcs)::/ { parts($2); current = name; how = mode; next }
    current != "" && NF { if (!(current in said)) said[current] = how ": " $0; current = "" }
    END {
      # In the order of their names.
      for (i = 2; i <= count; i++) for (j = i; j > 1 && names[j - 1] > names[j]; j--) { t = names[j]; names[j] = names[j - 1]; names[j - 1] = t }
      for (i = 1; i <= count; i++) {
        name = names[i]
        line = part ? sprintf("%-26s", name) : sprintf("%-26s %-6s %-10s %-8s %-7s %-7s", name, result[name, "plain"], result[name, "preloaded"], result[name, "linked"], result[name, "all_on_stderr"], result[name, "log_in_file"])
        if (name in failed) {
          because = name " (" part ")" in why ? why[name " (" part ")"] : why[name]
          if (because) { line = line " " because; beyond++ } else { line = line " ! " said[name]; bad++ }
        } else { good++; if (name in why && !part) line = line " (known no more: " why[name] ")" }
        if (!part || name in failed) print line
      }
      printf "%s: %d scenarios as expected, %d beyond qemu, %d failed", title, good, beyond, bad
      if (passed_over) printf ", %d trials skipped", passed_over
      print ""
      exit bad > 0 || count == 0
    }' "$log" || failed=1
}

if [ -n "${4:-}" ]; then
  "$here/cross-cc" -g -o "$work/leak_sysv" "$here/leak_sysv.c" -lrt
  inside sh -c 'export SHMAUDIT_OPTIONS="log=off:report=off:journal=$1/j"
      mkdir "$1/j" && env LD_PRELOAD="$2" "$1/leak_sysv" >/dev/null && "$3" --version && "$3" report "$1/j"' \
    - "$work" "$library" "$4" >"$work/said" 2>&1 || :
  if grep -q '^shmaudit: ERROR: sysv-leak: .* made by leak_sysv' "$work/said"; then echo "the command reads a journal: ok"; else
    echo "the command reads a journal: FAILED"; sed 's/^/  /' "$work/said"; failed=1; fi
fi
[ -z "${CROSS_LOG:-}" ] || : >"$CROSS_LOG"
table "$machine, pages of 4 KiB" "${SHMAUDIT_SCENARIOS:-scenarios::}"
if echo '#include <unistd.h>
int main(void) { return sysconf(_SC_PAGESIZE) != 65536; }' | "$here/cross-cc" -x c -o "$program" - && QEMU_PAGESIZE=65536 inside "$program" 2>/dev/null; then
  export QEMU_PAGESIZE=65536
  table "$machine, pages of 64 KiB" "${SHMAUDIT_SCENARIOS:-::preloaded}" "64 KiB"
  unset QEMU_PAGESIZE
else
  echo "$machine, pages of 64 KiB: skipped: needs a qemu whose option -p sets them, as those before 8.2 do"
fi
# A root with the package musl-dev of the other machine: this one, or where it was unpacked.
export CROSS_MUSL="${CROSS_MUSL:-}"
if [ -e "$CROSS_MUSL/lib/$machine-linux-musl/libc.so" ]; then
  QEMU_LD_PREFIX=$CROSS_MUSL/
  table "$machine, musl" "${SHMAUDIT_SCENARIOS:-libcs::musl::}" musl
else
  echo "$machine, musl: skipped: needs musl-dev:arm64, or CROSS_MUSL=DIRECTORY where it was unpacked"
fi
exit "$failed"
