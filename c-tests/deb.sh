#!/bin/sh
# Checks a Debian package: lintian, and in fresh roots made by debootstrap that it installs, works, and goes without a trace.
# Usage: deb.sh PACKAGE.deb VERSION [release...]   Needs root, lintian, debootstrap and Debian's mirror. Without releases:
# Debian 12, and the newest that debootstrap can make. Ends with a line of counts; status 1 when something failed.
set -u
package=$(realpath "$1") version=$2
shift 2
here=$(cd "$(dirname "$0")" && pwd)
roots=$here/../target/roots
mkdir -p "$roots"
passed=0 failed=0 skipped=0

# Segments and mounts of its own: nothing of the machine's is seen or touched, and all mounts end with it.
if [ -z "${SHMAUDIT_ROOTS_APART:-}" ] && [ "$(id -u)" = 0 ]; then
  SHMAUDIT_ROOTS_APART=1 exec unshare --ipc --mount "$0" "$package" "$version" "$@"
fi

verdict() {
  if [ "$2" = 0 ]; then passed=$((passed + 1)); echo "ok   $1"; else failed=$((failed + 1)); echo "FAIL $1"; fi
}

if command -v lintian >/dev/null; then
  # A package that no archive has has no bug to close.
  lintian --fail-on error --suppress-tags initial-upload-closes-no-bugs "$package"
  verdict "lintian" $?
else
  echo "deb: lintian skipped: needs lintian"
  skipped=$((skipped + 1))
fi

if [ "$(id -u)" != 0 ] || ! command -v debootstrap >/dev/null; then
  echo "deb: roots skipped: needs root and debootstrap"
  echo "deb: $passed passed, $failed failed, $((skipped + 1)) skipped"
  [ "$failed" = 0 ]
  exit
fi

# A root that nothing was done in: kept as a tarball, unpacked for each check.
fresh() {
  root=$roots/fresh-$1
  rm -rf "$root"
  if [ ! -e "$roots/$1.tar" ]; then
    debootstrap --variant=minbase "$1" "$root" >"$roots/$1.log" 2>&1 && tar -C "$root" -cf "$roots/$1.tar" . || return 1
    return 0
  fi
  mkdir "$root" && tar -C "$root" -xf "$roots/$1.tar"
}

# Every file and link, but what dpkg and the loader keep for themselves.
files() {
  (cd "$root" && find . -xdev \( -path ./var/lib/dpkg -o -path ./var/lib/apt -o -path ./var/cache -o -path ./var/log \
    -o -path ./tmp -o -path ./etc/ld.so.cache \) -prune -o -printf '%y %m %p %l\n' | LC_ALL=C sort)
}

# Programs are built here: none of the roots has a compiler.
gcc -g -o "$roots/leak" "$here/leak_posix.c" || exit 1

check() {
  release=$1
  mount -t proc proc "$root/proc" && mount -t tmpfs tmpfs "$root/dev/shm"
  cp "$package" "$roots/leak" "$root/tmp/"
  name=$(. "$root/etc/os-release" && echo "$PRETTY_NAME")
  files >"$roots/before"
  chroot "$root" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
    "/tmp/$(basename "$package")" >"$roots/apt.log" 2>&1
  verdict "$name: installs" $?
  chroot "$root" dpkg --verify shmaudit
  verdict "$name: files are whole" $?
  [ "$(chroot "$root" shmaudit --version)" = "shmaudit $version" ]
  verdict "$name: the command says its version" $?
  chroot "$root" ldconfig -p | grep -q 'libshmaudit\.so\.0 .*x86-64'
  verdict "$name: the loader knows the library" $?
  chroot "$root" env LD_PRELOAD=libshmaudit.so.0 SHMAUDIT_OPTIONS=log=off /tmp/leak >/dev/null 2>"$roots/report"
  grep -q 'ERROR: posix-leak: .* made by leak' "$roots/report" && grep -q 'main leak_posix.c:' "$roots/report"
  verdict "$name: finds a leak by the library's name" $?
  chroot "$root" shmaudit ls --orphans | grep -q '/shmaudit-leak_posix .*orphan'
  verdict "$name: lists what it left" $?
  chroot "$root" shmaudit clean --apply --min-age 0s >/dev/null 2>&1 && [ ! -e "$root/dev/shm/shmaudit-leak_posix" ]
  verdict "$name: removes it" $?
  chroot "$root" env DEBIAN_FRONTEND=noninteractive apt-get purge -y shmaudit >"$roots/apt.log" 2>&1
  verdict "$name: is removed" $?
  files >"$roots/after"
  diff "$roots/before" "$roots/after"
  verdict "$name: leaves nothing behind" $?
  chroot "$root" ldconfig -p | grep -q libshmaudit
  [ $? = 1 ]
  verdict "$name: the loader has forgotten it" $?
  umount "$root/dev/shm" "$root/proc"
  rm -rf "$root"
}

if [ $# -gt 0 ]; then
  for release in "$@"; do
    if fresh "$release"; then check "$release"; else echo "deb: $release: see $roots/$release.log"; skipped=$((skipped + 1)); fi
  done
else
  for release in sid forky trixie; do
    if fresh "$release"; then check "$release"; break; fi
    echo "deb: $release: debootstrap failed: see $roots/$release.log"
    skipped=$((skipped + 1))
  done
  if fresh bookworm; then check bookworm; else skipped=$((skipped + 1)); fi
fi
echo "deb: $passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
