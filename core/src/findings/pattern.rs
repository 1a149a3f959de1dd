//! What stays of a name from run to run: pids, counters and random parts are left open.

use alloc::string::String;

/// Stands for a part that is another each time.
const OPEN: char = '*';

/// A name with its changing parts open: `/psm_4f2c1d8a` is `/psm_*`, `/x-17.tmp` is `/x-*.tmp`.
///
/// A part between separators is taken for changing if it has a digit, or if it is of six letters in mixed cases, as
/// mkstemp(3) makes them. In printable ASCII; what is not, and what a suppression reads as a sign, is open too.
pub fn pattern(name: &[u8]) -> String {
    let mut text = String::new();
    for part in name.split_inclusive(|byte| !byte.is_ascii_alphanumeric()) {
        let (word, separator) = match part.split_last() {
            Some((last, word)) if !last.is_ascii_alphanumeric() => (word, Some(*last)),
            _ => (part, None),
        };
        if changes(word) {
            open(&mut text);
        } else {
            text.extend(word.iter().copied().map(char::from));
        }
        match separator {
            Some(byte) if (b' '..=b'~').contains(&byte) && !b"*^$".contains(&byte) => text.push(char::from(byte)),
            Some(_) => open(&mut text),
            None => {}
        }
    }
    text
}

fn open(text: &mut String) {
    if !text.ends_with(OPEN) {
        text.push(OPEN);
    }
}

fn changes(word: &[u8]) -> bool {
    let rises = word.windows(2).any(|pair| matches!(pair, [a, b] if a.is_ascii_lowercase() && b.is_ascii_uppercase()));
    word.iter().any(u8::is_ascii_digit) || word.len() == 6 && rises
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changing_parts_are_open() {
        for (name, expected) in [
            ("/shmtest", "/shmtest"),
            ("/psm_4f2c1d8a", "/psm_*"),
            ("/torch_123_45678_0", "/torch_*_*_*"),
            ("PostgreSQL.1804289383", "PostgreSQL.*"),
            (".org.chromium.Chromium.aBxQyZ", ".org.chromium.Chromium.*"),
            ("/x-17.tmp", "/x-*.tmp"),
            ("/a b", "/a b"),
            ("/a\n\u{1b}[31mb", "/a*[*"),
            ("/a$b*c^", "/a*b*c*"),
            ("", ""),
            ("/1", "/*"),
        ] {
            assert_eq!(pattern(name.as_bytes()), expected, "{name}");
        }
    }
}
