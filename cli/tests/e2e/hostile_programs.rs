//! Programs that are none, or whose files claim what is not so: `run` ends in time as the program alone does, and what it has to
//! say holds no control byte.

use crate::build::{self, Variant};
use crate::check;
use crate::machine::prepare;
use crate::trial::{Shown, Trials, Verdict, need};

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    trials.add("hostile::programs_that_are_none", none);
    trials.add("hostile::programs_with_claims", claims);
}

/// `same WHAT PROGRAM…` compares what `env` makes of a program with what `run` does, with at most $ADDRESSES bytes of them.
const SAME: &str = r#"
runs=0
same() {
    what=$1; shift
    runs=$((runs + 1))
    [ "$1" != ./turns ] || cp turns kept
    timeout -s KILL 60 env "$@" > plain 2> plain.err < /dev/null
    wanted=$?
    [ "$1" != ./turns ] || mv kept turns
    ipcrm --all=shm; rm -rf session /dev/shm/*
    timeout -s KILL "$PATIENCE" prlimit --as=$ADDRESSES "$SHMAUDIT" run --library "$LIBRARY" -o session --report report -- "$@" \
        > out 2> err < /dev/null
    status=$?
    [ $status = $wanted ] || { echo "$what: ended $status, and alone $wanted"; head -c 300 err; exit 1; }
    cmp plain out || { echo "$what: another output"; exit 1; }
    ! grep -q panicked err || { echo "$what: panicked"; head -c 300 err; exit 1; }
    ! grep -a ^shmaudit err | LC_ALL=C tr -d '\n\t\040-\176\200-\377' | grep -q . || { echo "$what: a control byte"; exit 1; }
    ipcrm --all=shm; rm -rf /dev/shm/*
}
"#;

/// What can be named where a program ought to be.
fn none() -> Verdict {
    let script = r#"
mkfifo pipe
mkdir directory
ln -s loop loop
executable() { cat > "$1"; chmod 755 "$1"; }
same "a pipe" ./pipe
same "a directory" ./directory
same "a loop of links" ./loop
same "a device" /dev/zero
same "nothing" ./nosuch
printf 'a\033]0;x\007b' > "$(printf 'a\033]0;x\007b')"
same "a name with control bytes" "./$(printf 'a\033]0;x\007b')"
executable empty < /dev/null
same "an empty file" ./empty
for line in '#!' '#!\n' '#! \t \n' '#!/bin/sh' '#!/bin/sh\0\nexit 4\n' '#!/bin/sh -e\nfalse\n' '#!./script\n' '#!./pipe\n' '#!./directory\n' \
    '#!/dev/zero\n' '#!./nosuch\n' '#!a\033]0;x\007b\n' 'exit 5\n' '\177ELF' '\177ELF\002\001\001' '\177ELF\001\001\001'; do
    printf "$line" | executable script
    same "a script that begins $line" ./script
done
{ printf '#!/'; head -c 70000 /dev/zero | tr '\0' x; } | executable script
same "a long line" ./script
{ printf '#!/bin/sh '; head -c 70000 /dev/zero | tr '\0' x; printf '\nexit 6\n'; } | executable script
same "a long argument" ./script
for step in 1 2 3 4 5 6 7 8; do printf "%s./step%d\n" '#!' $((step + 1)) | executable step$step; done
printf '#!/bin/sh\nexit 7\n' | executable step9
same "a long way" ./step1
same "a longer way" ./step3
for length in 15 16 20 52 63 64 120 1000; do
    head -c $length "$LEAVES" | executable cut
    same "a program of $length bytes" ./cut
done
cp "$TURNS" turns
same "a program that becomes a pipe" ./turns
echo "$runs"
"#;
    told("hostile::programs_that_are_none", script, "4294967296", 36)
}

/// Programs that the kernel and the dynamic linker start as ever, since they do not look at what is wrong.
fn claims() -> Verdict {
    need("python3")?;
    let script = r#"
cat > claims.py <<'END'
import struct, sys
how, path = sys.argv[1:]
data = bytearray(open(path, 'rb').read())
def put(at, form, *values):
    struct.pack_into('<' + form, data, at, *values)
headers, = struct.unpack_from('<Q', data, 32)
count, = struct.unpack_from('<H', data, 56)
sections, = struct.unpack_from('<Q', data, 40)
number, = struct.unpack_from('<H', data, 60)
dynamic = next(at for at in range(headers, headers + 56 * count, 56) if struct.unpack_from('<I', data, at)[0] == 2)
offset, = struct.unpack_from('<Q', data, dynamic + 8)
entries = dict(reversed([struct.unpack_from('<QQ', data, offset + 16 * entry) for entry in range(20)]))
end, size = len(data), None
if how == 'sections in a hole':
    # As many as the first one says.
    put(40, 'Q', end); put(60, 'H', 0)
    data += bytes(64)
    put(end + 32, 'Q', 1 << 34)
    size = 1 << 41
elif how == 'many names by the section':
    for at in range(sections, sections + 64 * number, 64):
        if struct.unpack_from('<I', data, at + 4)[0] == 6:
            put(at + 24, 'QQ', end, 16 * 300000)
            link, = struct.unpack_from('<I', data, at + 40)
            put(sections + 64 * link + 24, 'QQ', end + 16 * 300000, 16)
    data += struct.pack('<QQ', 1, 1) * 300000 + b'\0libasan.so.8\0\0\0'
elif how in ('many names', 'long names'):
    # What is said of the place in the file is not what is mapped: of the address that the linker goes by.
    put(dynamic + 8, 'Q', end); put(dynamic + 32, 'Q', 1 << 40)
    loads = [struct.unpack_from('<IIQQQQ', data, at) for at in range(headers, headers + 56 * count, 56)]
    strings = entries[5]
    base = next(load[2] + strings - load[3] for load in loads if load[0] == 1 and 0 <= strings - load[3] < load[5])
    name = b'libasan.so.%d\0' if how == 'many names' else b'x' * 5000 + b'/libasan.so.%d\0'
    texts = [name % entry for entry in range(3000)]
    at = end + 16 * 3002 - base
    for text in texts:
        data += struct.pack('<QQ', 1, at)
        at += len(text)
    data += struct.pack('<QQQQ', 5, strings, 0, 0) + b''.join(texts)
elif how == 'a section without an end':
    put(dynamic + 8, 'Q', end); put(dynamic + 32, 'Q', 1 << 62)
    size = 1 << 41
elif how == 'a section nowhere':
    put(dynamic + 8, 'Q', (1 << 64) - 16); put(dynamic + 32, 'Q', (1 << 64) - 1)
file = open(path, 'wb')
file.write(data)
if size:
    file.truncate(size)
END
for how in 'sections in a hole' 'many names by the section' 'many names' 'long names' 'a section without an end' 'a section nowhere'; do
    cp "$LEAVES" program
    /usr/bin/python3 claims.py "$how" program || exit 97
    same "$how" ./program /a exit 3
    grep -q '/a of 1234 bytes' report || { echo "$how: not audited"; exit 1; }
done
echo "$runs"
"#;
    // What is mapped takes addresses only: it is the time that counts.
    told("hostile::programs_with_claims", script, "unlimited", 6)
}

fn told(trial: &str, script: &str, addresses: &str, least: u32) -> Verdict {
    need("prlimit")?;
    let leaves = build::own("leaves", &Variant::plain())?;
    let turns = build::own("turns", &Variant::of("gcc", &["-static"]))?;
    let (run, _) = prepare(trial, &format!("{SAME}{script}"))?;
    // A command that is not optimised takes its time.
    let patience = if cfg!(debug_assertions) { "60" } else { "20" };
    let ended =
        run.env("LEAVES", leaves).env("TURNS", turns).env("ADDRESSES", addresses).env("PATIENCE", patience).end()?;
    check!(ended.how() == "0", "ended {}:{}{}", ended.how(), Shown(&ended.stdout), Shown(&ended.stderr));
    let runs: u32 = ended.output().trim().parse()?;
    check!(runs >= least, "only {runs} programs");
    println!("{trial}: {runs} programs");
    Ok(())
}
