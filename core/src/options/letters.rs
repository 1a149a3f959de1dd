//! Paths in options take `%` letters.

use alloc::format;
use alloc::string::{String, ToString};

/// What the `%` letters of a path stand for.
#[derive(Clone, Copy, Debug)]
pub struct Letters<'a> {
    /// `%p`
    pub pid: u32,
    /// `%e`, without directories.
    pub program: &'a str,
    /// `%t`, in seconds.
    pub unix: u64,
    /// `%h`
    pub host: &'a str,
    /// `%n`
    pub counter: u64,
}

/// Puts in what the `%` letters stand for; an unknown letter stays as it is. A slash in what is put in becomes `_`.
pub fn expand(path: &str, letters: &Letters) -> String {
    let mut out = String::new();
    let mut characters = path.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            out.push(character);
            continue;
        }
        let put = match characters.next() {
            Some('p') => letters.pid.to_string(),
            Some('e') => letters.program.to_string(),
            Some('t') => letters.unix.to_string(),
            Some('h') => letters.host.to_string(),
            Some('n') => letters.counter.to_string(),
            Some('%') => "%".to_string(),
            Some(other) => format!("%{other}"),
            None => "%".to_string(),
        };
        out.extend(put.chars().map(|character| if character == '/' { '_' } else { character }));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_letters() {
        let letters = Letters { pid: 7, program: "a/b", unix: 9, host: "h", counter: 2 };
        assert_eq!(expand("x.%p.%e.%t.%h.%n.%%.%q.%", &letters), "x.7.a_b.9.h.2.%.%q.%");
    }
}
