#!/bin/sh
# Runs the C scenarios, and what else of the trials is C, as another machine's programs, by qemu's user mode, and prints a table.
#   cross.sh MACHINE LIBRARY TRIALS [COMMAND]
# TRIALS is the test binary; COMMAND, the other machine's, reads the journal of one program. The kernel is told of qemu in a user namespace of this script's own; the machine's settings, its
# /dev/shm and its segments are not touched. Ends with 1 if a trial fails that is not known to be beyond qemu.
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

machine=$1 library=$2 trials=$3
# Only a static one: the loader of another would try to preload the library into qemu itself.
for qemu in "qemu-$machine-static" "qemu-$machine"; do
  path=$(command -v "$qemu" || :)
  [ -n "$path" ] && ! readelf -l "$path" | grep -q INTERP && break
  path=
done
[ -n "$path" ] || { echo "make cross needs qemu-user-static" >&2; exit 2; }
compiler=$machine-linux-gnu-gcc
command -v "$compiler" >/dev/null || { echo "make cross needs gcc-$machine-linux-gnu" >&2; exit 2; }

log=$(mktemp)
if [ -n "${4:-}" ]; then
  work=$(mktemp -d)
  $compiler -g -o "$work/leak_sysv" "${0%/*}/leak_sysv.c" -lrt
  QEMU_LD_PREFIX=/usr/$machine-linux-gnu LD_PRELOAD= unshare --user --map-root-user --mount --ipc sh "$0" --inside "$path" \
    sh -c 'export SHMAUDIT_OPTIONS="log=off:report=off:journal=$1/j"
      mkdir "$1/j" && env LD_PRELOAD="$2" "$1/leak_sysv" >/dev/null && "$3" --version && "$3" report "$1/j"' \
    - "$work" "$library" "$4" >"$work/said" 2>&1 || :
  if grep -q '^shmaudit: ERROR: sysv-leak: .* made by leak_sysv' "$work/said"; then echo "the command reads a journal: ok"; else
    echo "the command reads a journal: FAILED"; sed 's/^/  /' "$work/said"; fi
  rm -r "$work"
fi
trap 'rm -f "$log"' EXIT
SHMAUDIT_CC=$compiler SHMAUDIT_LIB=$library QEMU_LD_PREFIX=/usr/$machine-linux-gnu SHMAUDIT_TRIAL_SECONDS=${SHMAUDIT_TRIAL_SECONDS:-60} \
  unshare --user --map-root-user --mount --ipc sh "$0" --inside "$path" "$trials" "${SHMAUDIT_SCENARIOS:-scenarios::}" >"$log" 2>&1 || :

# Per scenario the five trials; of those that failed, the first line of what they say, and why that is qemu's, where it is.
awk -v known="${0%/*}/cross.known" '
  BEGIN {
    while ((getline line < known) > 0) { at = index(line, ": "); if (at && line !~ /^#/) why[substr(line, 1, at - 1)] = substr(line, at + 2) }
    printf "%-26s %-6s %-10s %-8s %-7s %-7s\n", "scenario", "plain", "preloaded", "linked", "stderr", "log"
  }
  /^test scenarios::/ {
    split($2, part, "::"); name = part[2]; mode = part[3]
    if (!(name in seen)) { seen[name] = 1; names[++count] = name }
    result[name, mode] = $4 == "ok" ? "ok" : $4 == "ignored" ? "skipped" : "FAILED"
    if ($4 == "FAILED") failed[name] = 1
  }
  /^---- scenarios::/ { split($2, part, "::"); current = part[2] "," part[3]; next }
  current != "" && NF { if (!(part[2] in said)) said[part[2]] = part[3] ": " $0; current = "" }
  END {
    # In the order of their names.
    for (i = 2; i <= count; i++) for (j = i; j > 1 && names[j - 1] > names[j]; j--) { t = names[j]; names[j] = names[j - 1]; names[j - 1] = t }
    for (i = 1; i <= count; i++) {
      name = names[i]
      printf "%-26s %-6s %-10s %-8s %-7s %-7s", name, result[name, "plain"], result[name, "preloaded"], result[name, "linked"], result[name, "all_on_stderr"], result[name, "log_in_file"]
      if (name in failed) {
        if (name in why) { printf " %s", why[name]; beyond++ } else { printf " ! %s", said[name]; bad++ }
      } else { good++; if (name in why) printf " (known no more: %s)", why[name] }
      print ""
    }
    printf "%d scenarios as expected, %d beyond qemu, %d failed\n", good, beyond, bad
    exit bad > 0 || count == 0
  }' "$log" || { [ -z "${CROSS_LOG:-}" ] || cp "$log" "$CROSS_LOG"; exit 1; }
