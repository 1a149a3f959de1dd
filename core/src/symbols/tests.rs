//! Programs made by the compilers that are here, compared with binutils' addr2line.

mod damage;
mod separate;
mod units;

use super::{Files, Frame, LoadedModule, Symbols};
use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A directory of its own, removed at the end.
struct Room(PathBuf);

impl Room {
    fn new() -> Room {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("shmaudit-symbols-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Room(path.canonicalize().unwrap())
    }

    /// Runs a tool here; `None` where it is not installed or does not know an option.
    fn run(&self, command: &str) -> Option<String> {
        let mut words = command.split_whitespace();
        let done = Command::new(words.next()?).args(words).current_dir(&self.0).env("LC_ALL", "C").output().ok()?;
        done.status.success().then(|| String::from_utf8_lossy(&done.stdout).into_owned())
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> Rc<[u8]> {
        std::fs::read(self.0.join(name)).unwrap().into()
    }

    /// Addresses and sizes of functions, by name.
    fn functions(&self, file: &str) -> HashMap<String, (u64, u64)> {
        let mut found = HashMap::new();
        for line in self.run(&format!("nm -S {file}")).unwrap_or_default().lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            let hex = |word: &str| u64::from_str_radix(word, 16).unwrap_or(0);
            match *words {
                [address, size, "t" | "T" | "W", name] => found.insert(name.into(), (hex(address), hex(size))),
                [address, "t" | "T", name] => found.insert(name.into(), (hex(address), 0)),
                _ => None,
            };
        }
        found
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Files by the path they are asked for.
#[derive(Clone, Default)]
struct Fake(HashMap<Vec<u8>, Rc<[u8]>>);

impl Fake {
    fn with(mut self, path: &str, bytes: Rc<[u8]>) -> Fake {
        self.0.insert(path.into(), bytes);
        self
    }
}

impl Files for Fake {
    type Bytes = Rc<[u8]>;
    fn open(&mut self, path: &[u8]) -> Option<Rc<[u8]>> {
        self.0.get(path).cloned()
    }
}

fn whole(path: &str) -> [LoadedModule; 1] {
    [LoadedModule { path: path.into(), start: 0, end: u64::MAX, ..LoadedModule::default() }]
}

/// Function, base name of the file and line of each frame.
fn brief(frames: &[Frame]) -> Vec<(String, String, u32)> {
    let base = |file: &String| file.rsplit('/').next().unwrap_or_default().to_string();
    let brief = |frame: &Frame| {
        (
            frame.function.clone().unwrap_or_default(),
            frame.file.as_ref().map_or(String::new(), base),
            frame.line.unwrap_or(0),
        )
    };
    frames.iter().map(brief).collect()
}

/// Compares all addresses of the functions that are `chosen` with addr2line's answers; how many there were; 1 without it.
fn compare(room: &Room, file: &str, chosen: impl Fn(&str) -> bool) -> usize {
    let bytes = room.read(file);
    let mut symbols = Symbols::new(Fake::default().with("/a", bytes));
    let ours: Vec<u64> = room
        .functions(file)
        .iter()
        .filter(|(name, _)| chosen(name))
        .flat_map(|(_, &(start, size))| start..start + size)
        .collect();
    let mut input = format!("-fipaC -e {file}");
    ours.iter().for_each(|address| input.push_str(&format!(" {address:#x}")));
    let Some(theirs) = room.run(&format!("addr2line {input}")) else { return 1 };
    let mut theirs = theirs.lines().peekable();
    for &address in &ours {
        let mut expected = Vec::new();
        while let Some(line) = theirs.next() {
            let line = line.split(" (discriminator").next().unwrap();
            let line = line.strip_prefix(" (inlined by) ").or(line.split_once(": ").map(|(_, rest)| rest)).unwrap();
            let (function, place) = line.rsplit_once(" at ").unwrap();
            let (path, number) = place.rsplit_once(':').unwrap();
            let path = Path::new(path).file_name().unwrap().to_string_lossy();
            expected.push((function.to_string(), path.replace("??", ""), number.parse().unwrap_or(0)));
            if !theirs.peek().is_some_and(|next| next.starts_with(" (inlined")) {
                break;
            }
        }
        let frames = symbols.resolve(&whole("/a"), address, true);
        assert_eq!(brief(frames), expected, "{file} {address:#x}");
        assert!(frames.iter().all(|frame| frame.offset == address && frame.module.as_deref() == Some("/a")));
        assert!(frames.iter().rev().enumerate().all(|(at, frame)| frame.inlined == (at > 0)));
    }
    ours.len()
}

const C: &str = "#include \"sub/part.h\"
volatile int sink;
static inline __attribute__((always_inline)) void inner(int x) {
    sink = x;
    __asm__ volatile(\"mark: nop\");
}
static inline __attribute__((always_inline)) void middle(int x) {
    sink = 1;
    inner(x + 1);
}
__attribute__((noinline)) int outer(int x) {
    middle(x);
    return part(x) + sink;
}
__attribute__((noreturn, noinline)) void gone(void) {
    __builtin_trap();
}
__attribute__((noinline)) void last_call(void) {
    gone();
}
int main(int argc, char **argv) {
    if (argc > 9) last_call();
    return outer(argc);
}
";

fn c_room() -> Room {
    let room = Room::new();
    room.write("a.c", C);
    std::fs::create_dir(room.0.join("sub")).unwrap();
    room.write("sub/part.h", "static int part(int x) {\n    int y = x * 3;\n    return y;\n}\n");
    room
}

/// All but `part`: addr2line says `a.c` for the first rows of a line table that are of another file.
fn mine(name: &str) -> bool {
    ["outer", "main", "last_call", "gone"].contains(&name)
}

#[test]
fn c_programs_of_every_make() {
    let room = c_room();
    for options in [
        "-O0 -gdwarf-5 -pie",
        "-O0 -gdwarf-4 -no-pie",
        "-O2 -gdwarf-4 -pie -fPIE",
        "-O2 -gdwarf-5 -no-pie",
        "-O2 -g -gz=zlib",
        "-O2 -gdwarf-4 -gz=zlib-gnu",
        "-O2 -gdwarf-4 -gz=zlib",
        "-O2 -g -ffunction-sections -Wl,--gc-sections",
        "-O1 -gdwarf-2 -gstrict-dwarf",
        "-O2 -g -m32 -nostdlib -static -Wl,-emain",
        "-O2 -g -gsplit-dwarf -O0",
    ] {
        if room.run(&format!("gcc {options} a.c -o a")).is_none() {
            continue;
        }
        if options.contains("split") {
            // The frames of split debug information are elsewhere; functions and lines are there still.
            let at = room.functions("a")["outer"].0;
            let mut symbols = Symbols::new(Fake::default().with("/a", room.read("a")));
            assert_eq!(brief(symbols.resolve(&whole("/a"), at, true)), [("outer".into(), "a.c".into(), 11)]);
            continue;
        }
        assert!(compare(&room, "a", mine) > 0, "{options}");
    }
}

#[test]
fn zstd_sections() {
    let room = c_room();
    if room.run("gcc -O2 -g a.c -o plain").is_none()
        || room.run("objcopy --compress-debug-sections=zstd plain a").is_none()
    {
        return;
    }
    compare(&room, "a", mine);
}

#[test]
fn calls_inlined_into_each_other() {
    let room = c_room();
    for options in ["-O2 -gdwarf-5", "-O2 -gdwarf-4", "-O0 -g"] {
        if room.run(&format!("gcc {options} a.c -o a")).is_none() {
            return;
        }
        let mark = room.functions("a")["mark"].0;
        let mut symbols = Symbols::new(Fake::default().with("/a", room.read("a")));
        let frames = symbols.resolve(&whole("/a"), mark, true);
        let file = room.0.join("a.c").to_str().unwrap().to_string();
        assert!(frames.iter().all(|frame| frame.file.as_ref() == Some(&file)));
        let place = |function: &str, line| (function.to_string(), "a.c".to_string(), line);
        assert_eq!(brief(frames), [place("inner", 5), place("middle", 9), place("outer", 12)]);
        assert_eq!(frames.iter().map(|frame| frame.inlined).collect::<Vec<_>>(), [true, true, false]);
        // The header was found relative to the directory of the compilation.
        let part = room.functions("a").get("part").map(|part| part.0);
        if let Some(part) = part {
            let file = room.0.join("sub/part.h").to_str().unwrap().to_string();
            assert_eq!(symbols.resolve(&whole("/a"), part, true)[0].file, Some(file));
        }
    }
}

#[test]
fn a_return_address_is_looked_up_at_its_call() {
    let room = c_room();
    if room.run("gcc -O2 -g -fcf-protection=none a.c -o a").is_none() {
        return;
    }
    // The call is the function's last instruction: what follows it is another function.
    let (start, size) = room.functions("a")["last_call"];
    let bias = 0x5555_0000_0000;
    let modules = [LoadedModule {
        path: b"/a".to_vec(),
        start: bias,
        end: bias + 0x1_0000_0000,
        bias,
        ..LoadedModule::default()
    }];
    let mut symbols = Symbols::new(Fake::default().with("/a", room.read("a")));
    let frames = symbols.resolve(&modules, bias + start + size, false);
    assert_eq!(brief(frames), [("last_call".into(), "a.c".into(), 19)]);
    assert_eq!(frames[0].offset, start + size - 1);
    // Outside of every module only the address is known.
    let nowhere = symbols.resolve(&modules, 0x1000, false);
    assert_eq!(nowhere, [Frame { offset: 0xFFF, ..Frame::default() }]);
}

#[test]
fn cpp_names() {
    let room = Room::new();
    room.write(
        "a.cc",
        "volatile int sink;
namespace ns {
template <typename T> struct box {
    T value;
    template <int N> __attribute__((noinline)) T times(T x) { sink = N; return value * x; }
    bool operator<(const box &other) const { return value < other.value; }
};
namespace { __attribute__((noinline)) int hidden(int x) { sink = x; return x; } }
__attribute__((noinline)) auto lambda(int x) { auto f = [x](int y) { sink = y; return x + y; }; return f(3); }
}
int main(int argc, char **) {
    ns::box<long> a{argc}, b{2};
    return a.times<7>(2) + (a < b) + ns::hidden(argc) + ns::lambda(argc);
}
",
    );
    for options in ["-O0 -gdwarf-5", "-O2 -gdwarf-4", "-O2 -gdwarf-5", "-O0 -gdwarf-4"] {
        if room.run(&format!("g++ {options} a.cc -o a")).is_none() {
            return;
        }
        let functions = room.functions("a");
        let mut symbols = Symbols::new(Fake::default().with("/a", room.read("a")));
        let mut name = |part: &str| {
            let (_, &(at, _)) =
                functions.iter().find(|(name, _)| name.contains(part) && !name.contains("clE")).unwrap();
            symbols.resolve(&whole("/a"), at, true).last().unwrap().function.clone().unwrap()
        };
        assert_eq!(name("boxIlE5timesILi7EEEll"), "long ns::box<long>::times<7>(long)");
        assert_eq!(name("hiddenEi"), "ns::(anonymous namespace)::hidden(int)");
        assert_eq!(name("lambdaEi"), "ns::lambda(int)");
        assert_eq!(name("main"), "main");
        // Where gcc gives no linkage name, addr2line gives one of two calls the other's.
        compare(&room, "a", |name| name == "main" || name.contains("boxI"));
    }
}

#[inline(never)]
fn marker() -> u32 {
    line!()
}

#[test]
fn rust_names_without_their_hash() {
    struct Disk;
    impl Files for Disk {
        type Bytes = Vec<u8>;
        fn open(&mut self, path: &[u8]) -> Option<Vec<u8>> {
            std::fs::read(core::str::from_utf8(path).ok()?).ok()
        }
    }
    // This program itself.
    let exe = std::env::current_exe().unwrap().to_str().unwrap().to_string();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let bias = maps.lines().find(|line| line.ends_with(&exe)).unwrap().split('-').next().unwrap();
    let bias = u64::from_str_radix(bias, 16).unwrap();
    let modules = [LoadedModule { path: exe.into(), start: bias, end: u64::MAX, bias, ..LoadedModule::default() }];
    let mut symbols = Symbols::new(Disk);
    let at = core::hint::black_box(marker as fn() -> u32) as usize as u64;
    let frames = symbols.resolve(&modules, at, true);
    assert_eq!(frames.last().unwrap().function.as_deref(), Some("shmaudit_core::symbols::tests::marker"));
    assert!(frames[0].file.as_ref().unwrap().ends_with("/symbols/tests.rs"));
    assert!(frames[0].line.unwrap().abs_diff(marker()) <= 2);
}

#[test]
fn a_stripped_library_has_its_dynamic_symbols() {
    let room = c_room();
    if room.run("gcc -O2 -g -shared -fPIC a.c -o full.so").is_none() || room.run("strip -o a.so full.so").is_none() {
        return;
    }
    let functions = room.functions("full.so");
    let mut symbols = Symbols::new(Fake::default().with("/a.so", room.read("a.so")));
    let (start, size) = functions["outer"];
    let mut at = |address| brief(symbols.resolve(&whole("/a.so"), address, true))[0].0.clone();
    assert_eq!(at(start), "outer");
    assert_eq!(at(start + size - 1), "outer");
    // Between functions there is none.
    assert_eq!(at(functions["main"].0 + functions["main"].1 + 100_000), "");
}
