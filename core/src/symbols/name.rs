//! Names as people read them: demangled functions, file names in one piece, text that is UTF-8.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};

/// Most bytes of a function's name, mangled or not; longer ones are cut.
const MOST_FUNCTION: usize = 16 << 10;
/// Most bytes of a file name that are looked at.
const MOST_PATH: usize = 4096;

/// A function's name: demangled where it is a Rust or C++ symbol, without symbol version and Rust hash.
pub(super) fn function(raw: &[u8]) -> String {
    demangled(raw).unwrap_or_else(|| short(text(cut(raw))))
}

/// Names with what everybody writes for the standard strings, as libstdc++ and libc++ have them.
fn short(name: String) -> String {
    const STRINGS: [&str; 2] = [
        "std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >",
        "std::__1::basic_string<char, std::__1::char_traits<char>, std::__1::allocator<char> >",
    ];
    STRINGS.into_iter().fold(name, |name, string| match name.contains(string) {
        true => name.replace(string, "std::string"),
        false => name,
    })
}

/// The demangled name, if `raw` is a mangled one.
pub(super) fn demangled(raw: &[u8]) -> Option<String> {
    let name = core::str::from_utf8(cut(raw)).ok()?;
    let mut out = Bounded(String::new());
    if name.starts_with("_R") || rust_hash(name) {
        write!(out, "{:#}", rustc_demangle::try_demangle(name).ok()?).ok()?;
    } else if name.starts_with("_Z") {
        let symbol = cpp_demangle::Symbol::new(name.as_bytes()).ok()?;
        symbol.structured_demangle(&mut out, &cpp_demangle::DemangleOptions::default()).ok()?;
    }
    (!out.0.is_empty()).then(|| short(out.0))
}

fn cut(raw: &[u8]) -> &[u8] {
    let raw = raw.get(..MOST_FUNCTION).unwrap_or(raw);
    raw.split(|&byte| byte == b'@').next().unwrap_or(raw)
}

/// Whether it ends as Rust's older mangling does, `17h`, a hash and `E`, before any suffix that a compiler pass added.
fn rust_hash(name: &str) -> bool {
    name.starts_with("_ZN")
        && name.match_indices("17h").any(|(at, _)| {
            let rest = name.as_bytes().get(at + 3..).unwrap_or(&[]);
            rest.len() > 16
                && rest.iter().take(16).all(u8::is_ascii_hexdigit)
                && rest.get(16) == Some(&b'E')
                && matches!(rest.get(17), None | Some(b'.'))
        })
}

/// A string that takes no more than [`MOST_FUNCTION`]: back references can blow a short symbol up without end.
struct Bounded(String);

impl Write for Bounded {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        if self.0.len() + part.len() > MOST_FUNCTION {
            return Err(fmt::Error);
        }
        self.0.push_str(part);
        Ok(())
    }
}

/// The name without directories of what a compiler of C or C++ was given. Other compilers' units are no files, or are others
/// in each build.
pub(super) fn source(unit: &[u8]) -> Option<String> {
    const ENDINGS: [&[u8]; 8] = [b"c", b"cc", b"cpp", b"cxx", b"c++", b"C", b"m", b"mm"];
    let base = unit.rsplit(|&byte| byte == b'/').next()?;
    let dot = base.iter().rposition(|&byte| byte == b'.').filter(|&dot| dot > 0)?;
    ENDINGS.contains(&base.get(dot + 1..)?).then(|| text(base.get(..MOST_PATH).unwrap_or(base)))
}

/// Bytes as UTF-8; a byte that is not is written `\xNN`.
pub(super) fn text(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02X}");
        }
    }
    out
}

/// `name` as seen from `directory`.
pub(super) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let name = name.get(..MOST_PATH).unwrap_or(name);
    let directory = directory.get(..MOST_PATH).unwrap_or(directory);
    if name.starts_with(b"/") || directory.is_empty() {
        return name.to_vec();
    }
    if name.is_empty() {
        return directory.to_vec();
    }
    [directory, b"/", name].concat()
}

/// A path without `.`, `..` and doubled slashes, as far as its text alone tells.
pub(super) fn clean(path: &[u8]) -> Vec<u8> {
    let rooted = path.starts_with(b"/");
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if parts.last().is_some_and(|&last| last != b"..") => {
                parts.pop();
            }
            b".." if rooted => {}
            part => parts.push(part),
        }
    }
    let mut out = if rooted { b"/".to_vec() } else { Vec::new() };
    out.extend(parts.join(&b'/'));
    out
}

/// The directory part of a path, without its slash; empty where there is none.
pub(super) fn directory(path: &[u8]) -> &[u8] {
    path.iter().rposition(|&byte| byte == b'/').and_then(|at| path.get(..at)).unwrap_or(&[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions() {
        for (raw, name) in [
            ("main", "main"),
            ("shm_open@@GLIBC_2.34", "shm_open"),
            ("_ZN2ns3addIiEET_S1_S1_", "int ns::add<int>(int, int)"),
            ("_ZN2ns3addEv.part.0", "ns::add() [clone .part.0]"),
            ("_Z1fRKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE", "f(std::string const&)"),
            ("_Z1fNSt3__112basic_stringIcNS_11char_traitsIcEENS_9allocatorIcEEEE", "f(std::string)"),
            ("_ZN4core3ptr13drop_in_place17h0123456789abcdefE", "core::ptr::drop_in_place"),
            ("_ZN4core3ptr13drop_in_place17h0123456789abcdefE.llvm.77", "core::ptr::drop_in_place"),
            ("_RNvCskwGfYPst2Cb_3foo16example_function", "foo::example_function"),
            ("_Zwrong", "_Zwrong"),
            ("_R", "_R"),
            ("", ""),
        ] {
            assert_eq!(function(raw.as_bytes()), name);
        }
        assert_eq!(function(b"a\xFF\x1Bz"), "a\\xFF\u{1b}z");
        assert_eq!(function(&[b'x'; 1 << 20]).len(), MOST_FUNCTION);
    }

    #[test]
    fn a_symbol_that_grows_without_end_is_left_as_it_is() {
        // Each argument doubles the one before.
        let grown = |levels: &str| {
            let mut symbol = String::from("_Z1fI1AIiiE");
            levels.chars().for_each(|level| symbol.push_str(&alloc::format!("S0_IS{level}_S{level}_E")));
            symbol + "Evv"
        };
        assert_eq!(function(grown("1").as_bytes()), "void f<A<int, int>, A<A<int, int>, A<int, int> > >()");
        let symbol = grown("123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ");
        assert_eq!(function(symbol.as_bytes()), symbol);
    }

    #[test]
    fn sources() {
        for (unit, name) in [
            ("/src/lib/a.c", Some("a.c")),
            ("b.tar.cc", Some("b.tar.cc")),
            ("src/main.rs/@/prog.8d3f-cgu.0", None),
            ("/tmp/ccWx81.ltrans0.ltrans.o", None),
            ("<artificial>", None),
            (".c", None),
            ("", None),
        ] {
            assert_eq!(source(unit.as_bytes()).as_deref(), name);
        }
    }

    #[test]
    fn paths() {
        for (from, name, path) in [
            ("/src", "a.c", "/src/a.c"),
            ("/src", "/abs/a.c", "/abs/a.c"),
            ("/src/build", ".././lib//a.c", "/src/lib/a.c"),
            ("/", "../../a.c", "/a.c"),
            ("", "../a.c", "../a.c"),
            ("x", "../../a.c", "../a.c"),
            (".", "a.c", "a.c"),
        ] {
            assert_eq!(text(&clean(&join(from.as_bytes(), name.as_bytes()))), path);
        }
        assert_eq!(directory(b"/usr/lib/x.so"), b"/usr/lib");
        assert_eq!(directory(b"x.so"), b"");
    }
}
