//! Sessions that somebody has damaged, cut, or put something else into: every command that reads them ends in time, with a
//! report or a refusal, follows no link, writes over nothing, and gives no control byte to a terminal.

use crate::build::{self, Variant};
use crate::machine::prepare;
use crate::trial::{Shown, Trials, Verdict, need};
use crate::{check, fail};

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    trials.add("hostile::damaged_sessions", damaged);
    trials.add("hostile::sessions_with_something_else", something_else);
    trials.add("hostile::files_with_holes", holes);
    trials.add("hostile::recorder_replaced_by_a_link", replaced);
}

/// Makes `session` of a program with an escape sequence in its arguments, and says how a reader is run.
const SESSION: &str = r#"
"$SHMAUDIT" run --library "$LIBRARY" -o session --report /dev/null -- "$LEAVES" "/$(printf 'a\033]0;x\007b')" many 3 > /dev/null 2>&1
[ -s session/session.json ] || exit 98
runs=0
export XDG_STATE_HOME=$PWD/home
mkdir -p home/shmaudit
limits=--as=4294967296
# What a terminal would show: with at most 4 GiB of addresses, in time, and no control byte but the newline and the tab.
reads() {
    what=$1; shift
    runs=$((runs + 1))
    timeout -s KILL "$PATIENCE" prlimit $limits "$SHMAUDIT" "$@" > out 2> err < /dev/null
    status=$?
    [ $status -le 2 ] || { echo "$what: $*: ended $status"; head -c 300 err; exit 1; }
    ! grep -q panicked err || { echo "$what: $*: panicked"; head -c 300 err; exit 1; }
    if LC_ALL=C tr -d '\n\t\040-\176\200-\377' < out | grep -q . || LC_ALL=C tr -d '\n\t\040-\176\200-\377' < err | grep -q .; then
        echo "$what: $*: a control byte"; exit 1
    fi
}
# Those that ask for names.
names() { for words in "report" "report --format json" "log"; do reads "$1" $words "$2"; done; }
# Every command that reads sessions, and each way in which it writes, one after another.
turn=0
all() {
    for words in "report" "report --format json" "log" "ls --session" "top --once --session" "clean"; do
        reads "$1" $words "$2"
    done
    turn=$((turn + 1))
    case $((turn % 6)) in
    0) words="report --format html" ;;
    1) words="report --format sarif" ;;
    2) words="report --growth" ;;
    3) words="report --format perfetto" ;;
    4) words="log --syscalls" ;;
    5) words="log --format json" ;;
    esac
    reads "$1" $words "$2"
    reads "$1" diff session "$2"
    reads "$1" diff --format json "$2" session
    [ -d "$2" ] || return 0
    mv "$2" home/shmaudit/one
    reads "$1" sessions
    reads "$1" sessions --json
    mv home/shmaudit/one "$2"
}
"#;

/// Damage by a generator with a fixed beginning: each file of the session, its head and all over, and cut.
fn damaged() -> Verdict {
    need("prlimit")?;
    let script = r#"
cat > damage.py <<'END'
import json, random, sys
path, round = sys.argv[1], int(sys.argv[2])
random.seed(path.rsplit('/', 1)[-1] + str(round))
data = bytearray(open(path, 'rb').read())
if not data:
    data = bytearray(random.randbytes(64 * random.randrange(1, 200)))
elif path.endswith('json') and round % 2:
    # What is right JSON, with other values.
    values = [-1, 0, 2**63, 2**64, 1e300, None, True, '', '\x1b]0;x\x07', 'x' * 70000, [], {}, [[]] * 50, {'Raw': [27]}]
    def spoil(value):
        if random.random() < 0.04:
            return random.choice(values)
        if isinstance(value, dict):
            return {key: spoil(item) for key, item in value.items()}
        return [spoil(item) for item in value] if isinstance(value, list) else value
    whole = json.loads(data)
    data = {key: spoil(value) if key != 'schema' else value for key, value in whole.items()}
    data = bytearray(json.dumps(data).encode())
else:
    # Half of the damage in what is read first, and where something is.
    used = [at for at in range(0, len(data), 64) if any(data[at:at + 64])]
    for _ in range(random.choice([1, 8, 200])):
        at = random.randrange(min(4096, len(data))) if random.random() < 0.5 else random.choice(used) + random.randrange(64)
        if at < len(data):
            data[at] = random.choice([0, 1, 27, 127, 128, 255, random.randrange(256)])
    if random.random() < 0.3:
        del data[random.randrange(len(data)):]
open(path, 'wb').write(data)
END
for file in session.json recorder.shmaudit units processes modules; do
    for round in $(seq "$ROUNDS"); do
        rm -rf spoiled
        cp -r session spoiled
        [ -e spoiled/$file ] || : > spoiled/$file
        /usr/bin/python3 damage.py spoiled/$file "$round" || exit 97
        all "$file, round $round" spoiled
    done
done
echo "$runs"
"#;
    need("python3")?;
    let rounds = std::env::var("SHMAUDIT_ROUNDS").unwrap_or_else(|_| "5".to_string());
    told("hostile::damaged", script, &rounds)
}

/// Links, pipes, directories and endless files where the session's own ought to be.
fn something_else() -> Verdict {
    need("prlimit")?;
    let script = r#"
mkdir elsewhere
for file in session.json recorder.shmaudit units processes modules; do
    for what in link loop pipe directory zero; do
        rm -rf spoiled
        cp -r session spoiled
        [ -e spoiled/$file ] && cp spoiled/$file elsewhere/$file || head -c 8192 /dev/urandom > elsewhere/$file
        rm -f spoiled/$file
        case $what in
        link) ln -s "$PWD/elsewhere/$file" spoiled/$file ;;
        loop) ln -s $file spoiled/$file ;;
        pipe) mkfifo spoiled/$file ;;
        directory) mkdir spoiled/$file ;;
        zero) ln -s /dev/zero spoiled/$file ;;
        esac
        touch -d '2 days ago' elsewhere/$file
        before=$(stat -c '%i %s %y %x %b' elsewhere/$file)
        all "$file a $what" spoiled
        mv spoiled home/shmaudit/one
        cp -r session home/shmaudit/two
        reads "$file a $what" sessions --prune
        reads "$file a $what" sessions --prune --older-than 0s --larger-than 0
        rm -rf home/shmaudit/*
        [ "$before" = "$(stat -c '%i %s %y %x %b' elsewhere/$file)" ] || { echo "$file a $what: followed"; exit 1; }
    done
done
echo "$runs"
"#;
    told("hostile::something_else", script, "0")
}

/// Files of any size that take no room on the disk: a session's parts, and programs whose sections are a terabyte of nothing. The
/// reader may have all addresses that there are, but neither the time to look at them all nor much memory of its own.
fn holes() -> Verdict {
    need("prlimit")?;
    need("python3")?;
    need("objcopy")?;
    let script = r#"
limits="--data=536870912 --cpu=$PROCESSOR"
cat > holes.py <<'END'
import struct, sys
HUGE = 1 << 40
how, path = sys.argv[1], sys.argv[2]
file = open(path, 'r+b')
if how == 'words':
    for pair in sys.argv[3:]:
        word, value = pair.split('=')
        file.seek(int(word) * 8)
        file.write(struct.pack('<Q', int(value, 0)))
    sys.exit()
# A section, moved to where nothing ends it.
data = file.read()
how, _, packing = how.partition('/')
table, size, count, names = struct.unpack_from('<Q', data, 40) + struct.unpack_from('<HHH', data, 58)
heads = [list(struct.unpack_from('<IIQQQQIIQQ', data, table + size * number)) for number in range(count)]
name = lambda head: data[heads[names][4] + head[0]:].split(b'\0')[0].decode()
number = next(number for number, head in enumerate(heads) if name(head) == how)
head = heads[number]
part = bytearray(data[head[4]:head[4] + head[5]])
if how in ('.debug_info', '.debug_line'):
    part[:4] = struct.pack('<I', 0xffffffef)
if packing:
    # A claim, and what a stream begins with.
    head[2] |= 0x800
    packing, claim = packing.split('/')
    part = struct.pack('<IIQQ', {'zlib': 1, 'zstd': 2}[packing], 0, 1 << int(claim), 1)
    part += b'\x78\x9c' if packing == 'zlib' else struct.pack('<IBBI', 0xfd2fb528, 0x80, 0x50, 1 << int(claim))
head[4:6] = [(len(data) + 4095) & ~4095, HUGE // 24 * 24]
file.seek(head[4])
file.write(part)
file.seek(table + size * number)
file.write(struct.pack('<IIQQQQIIQQ', *head))
file.truncate(head[4] + head[5])
END
holes() { /usr/bin/python3 holes.py "$@" || exit 97; }
for file in units processes modules; do
    rm -rf spoiled
    cp -r session spoiled
    truncate -s 1T spoiled/$file || exit 97
    # Where the ring has come to, and how many module records are stored.
    holes words spoiled/recorder.shmaudit 64=0x80000000000 107=0x80000000
    all "$file with a hole" spoiled
done
rm -rf spoiled
cp -r session spoiled
holes words spoiled/recorder.shmaudit 64=0x80000000000 88=0xffffffffff 96=0xffffffffff 107=0xffffffffff 108=0x80000000000
all "a head beyond everything" spoiled
# A journal whose ring is a terabyte: its place and length are words 14 and 15.
head -c 4096 session/recorder.shmaudit > spoiled.shmaudit
holes words spoiled.shmaudit 106=0 14=4096 15=0x10000000000 64=0x400000000 \
    4=4096 5=8192 6=4096 7=8192 8=4096 9=8192 10=4096 11=8192 12=4096 13=0x10000000000 72=0xffffffffff
truncate -s 1025G spoiled.shmaudit
all "a journal of a terabyte" spoiled.shmaudit
cp "$LEAVES" program
objcopy --remove-section=.note.gnu.build-id program whole || exit 97
cp whole program
rm -rf session
"$SHMAUDIT" run --library "$LIBRARY" -o session --report /dev/null -- ./program /a many 3 > /dev/null 2>&1
[ -s session/session.json ] || exit 98
sections=".debug_info .debug_line .debug_abbrev .debug_str .debug_line_str .debug_rnglists .symtab .strtab .dynsym .dynstr .shstrtab"
for section in $sections; do
    cp whole program
    holes $section program
    names "$section with a hole" session
done
# What is said to be compressed: a claim takes no memory, and a stream of nothing has an end.
for section in .debug_info .debug_str; do
    for packing in zlib/20 zlib/30 zstd/20 zstd/30; do
        cp whole program
        holes $section/$packing program
        names "$section, packed as $packing, with a hole" session
    done
done
echo "$runs"
"#;
    told("hostile::holes", script, "0")
}

fn told(trial: &str, script: &str, rounds: &str) -> Verdict {
    // Optimised, for the sections of what is in several places.
    let leaves = build::own("leaves", &Variant::plain().and(&["-O2"]))?;
    let (run, _) = prepare(trial, &format!("{SESSION}{script}"))?;
    // A command that is not optimised takes its time.
    let (patience, processor) = if cfg!(debug_assertions) { ("300", "60") } else { ("20", "5") };
    let run = run.env("LEAVES", leaves).env("ROUNDS", rounds).env("PATIENCE", patience).env("PROCESSOR", processor);
    let ended = run.end()?;
    let (output, how) = (ended.output(), ended.how());
    if how != "0" {
        fail!("ended {how}:{}{}", Shown(&ended.stdout), Shown(&ended.stderr));
    }
    let runs: u32 = output.trim().parse()?;
    check!(runs >= 30, "only {runs} runs");
    println!("{trial}: {runs} readings of what somebody has spoiled");
    Ok(())
}

/// A program that puts a link to a file in the place of its session's recorder: nothing is punched into that file.
fn replaced() -> Verdict {
    let script = r#"
head -c 20000000 /dev/urandom > victim
before=$(sha256sum victim)
for how in 'ln -s' ln; do
    rm -rf session
    "$SHMAUDIT" run --library "$LIBRARY" -o session --report report -- sh -c "rm session/recorder.shmaudit; $how \"\$PWD/victim\" session/recorder.shmaudit"
    [ "$before" = "$(sha256sum victim)" ] || { echo "$how: written over"; exit 1; }
done
echo whole
"#;
    let (run, _) = prepare("hostile::replaced", script)?;
    let ended = run.end()?;
    check!(ended.output() == "whole\n", "ended {}:{}{}", ended.how(), Shown(&ended.stdout), Shown(&ended.stderr));
    Ok(())
}
