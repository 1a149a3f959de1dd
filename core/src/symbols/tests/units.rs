//! Functions that only their own file knows: which file that is, with debug information and without.

use std::collections::BTreeSet;

use super::*;

const HALF: &str = "int HALF_other(void);\n\
    static int __attribute__((noinline)) init(int x) { return HALF_other() + x; }\n\
    static inline int __attribute__((always_inline)) inlined(int x) { return HALF_other() * x; }\n\
    int HALF_entry(int x) { return init(x) + inlined(x) + 1; }\n";

const CPP: &str = "int other();\n\
    namespace { __attribute__((noinline)) int hidden() { return other() + 1; } struct H { int f(); }; \n\
      __attribute__((noinline)) int H::f() { return other() + 2; } }\n\
    namespace n { static __attribute__((noinline)) int init() { return other() + 3; }\n\
      struct S { S(int); static int s(); int m() const; int k; };\n\
      S::S(int x) : k(other() + x) {} int S::s() { return init() + 4; } int S::m() const { return other() + 5; }\n\
      template <class T> __attribute__((noinline)) T t(T x) { return x + other(); } }\n\
    int entry() { auto l = [](int x) __attribute__((noinline)) { return other() * x; };\n\
      return hidden() + H().f() + n::S(1).m() + n::S::s() + n::t(2) + l(3); }\n";

/// Where each of the functions is, and the file that the symbols say alone knows it.
fn units(room: &Room, file: &str, chosen: impl Fn(&str) -> bool) -> Vec<(String, Option<String>)> {
    let mut symbols = Symbols::new(Fake::default().with("/bin/prog", room.read(file)));
    let list = room.run(&format!("nm {file}")).unwrap();
    let mut found = Vec::new();
    for line in list.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        if let [address, "t" | "T" | "W", symbol] = *words
            && chosen(symbol)
            && !symbol.contains('.')
        {
            let address = u64::from_str_radix(address, 16).unwrap();
            let frames = symbols.resolve(&whole("/bin/prog"), address, true);
            found.push((symbol.to_string(), frames.last().and_then(|frame| frame.unit.clone())));
        }
    }
    found.sort();
    found
}

#[test]
fn static_functions_of_one_name() {
    let room = Room::new();
    for half in ["a", "b"] {
        room.write(&format!("{half}.c"), &HALF.replace("HALF", half));
    }
    room.write("main.c", "int a_other(void){return 1;} int b_other(void){return 2;} int a_entry(int), b_entry(int);\nint main(int c, char **v) { (void)v; return a_entry(c) + b_entry(c); }\n");
    for (compiler, flags) in
        [("gcc", "-O0"), ("gcc", "-O0 -g"), ("gcc", "-O2 -g"), ("clang", "-O0"), ("clang", "-O1 -g")]
    {
        if room.run(&format!("{compiler} {flags} -o prog {}/a.c b.c main.c", room.0.display())).is_none() {
            continue;
        }
        let of = |end: &str| {
            units(&room, "prog", |symbol| symbol.ends_with(end) && symbol != "_init")
                .into_iter()
                .map(|(_, unit)| unit)
                .collect::<Vec<_>>()
        };
        assert_eq!(of("init"), [Some("a.c".into()), Some("b.c".into())].to_vec(), "{compiler} {flags}");
        assert_eq!(of("_entry"), [None, None], "{compiler} {flags}");
        if flags.contains("-g") {
            let mut symbols = Symbols::new(Fake::default().with("/bin/prog", room.read("prog")));
            let (start, size) = room.functions("prog")["b_entry"];
            let frames: BTreeSet<_> = (start..start + size)
                .flat_map(|address| symbols.resolve(&whole("/bin/prog"), address, true).to_vec())
                .map(|frame| (frame.function.unwrap_or_default(), frame.unit))
                .collect();
            assert!(frames.contains(&("inlined".into(), Some("b.c".into()))), "{compiler} {flags}: {frames:?}");
        }
    }
}

#[test]
fn with_and_without_debug_information_they_are_the_same() {
    let room = Room::new();
    room.write("a.cpp", CPP);
    room.write("main.cpp", "int other() { return 1; } int entry(); int main() { return entry(); }\n");
    for (compiler, flags) in [("g++", "-O0"), ("g++", "-O2"), ("clang++", "-O0"), ("clang++", "-O1")] {
        let built = |options: &str, to: &str| {
            room.run(&format!("{compiler} {flags} {options} -o {to} a.cpp main.cpp")).is_some()
        };
        if !built("-g", "whole") || !built("-g0", "bare") {
            continue;
        }
        let bare = units(&room, "bare", |symbol| symbol.starts_with("_Z"));
        assert_eq!(units(&room, "whole", |symbol| symbol.starts_with("_Z")), bare, "{compiler} {flags}");
        let local = |name: &str| bare.iter().filter(|(symbol, unit)| symbol.contains(name) && unit.is_some()).count();
        assert_eq!(
            (local("hidden"), local("4init"), local("S1s"), local("1tI")),
            (1, 1, 0, 0),
            "{compiler} {flags}: {bare:?}"
        );
    }
}
