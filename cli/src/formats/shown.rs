//! How documents show what comes from outside. Each format's own escaping comes on top of it.

use std::borrow::Cow;
use std::fmt::Write;
use std::io;

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};
use shmaudit_core::line::Line;
use shmaudit_core::report::{Frame, ObjectRef, Text};
use shmaudit_core::words;

/// The part of a path after its last slash.
pub fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Text without control characters, and without those that change the direction of what follows: `\n`, `\33`, `\u{202e}`.
pub fn shown(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unwelcome) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::new();
    for character in text.chars() {
        match character {
            _ if !is_unwelcome(character) => shown.push(character),
            '\0'..='\x7f' => shown.push_str(&Text::from(&[character as u8][..]).escaped()),
            _ => {
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(character));
            }
        }
    }
    Cow::Owned(shown)
}

fn is_unwelcome(character: char) -> bool {
    let turns =
        matches!(character, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}');
    character.is_control() || turns || matches!(character, '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// A name from outside.
pub fn text(text: &Text) -> String {
    shown(&text.to_utf8()).into_owned()
}

/// An object: `/shmtest`, `segment 0x00000011 (shmid 3)`, `memfd x`.
pub fn label(object: &ObjectRef) -> String {
    match (&object.name, &object.key, object.shmid) {
        (Some(name), ..) if object.family == "memfd" => format!("memfd {}", text(name)),
        (Some(name), ..) => text(name),
        (None, Some(key), Some(shmid)) => format!("segment {key} (shmid {shmid})"),
        (None, None, Some(shmid)) => format!("segment of shmid {shmid}"),
        _ => format!("{} of inode {}", object.family, object.ino),
    }
}

/// What the core writes into a line of its own.
pub fn written(write: impl FnOnce(&mut Line)) -> String {
    let mut buffer = [0u8; 64];
    let mut line = Line::new(&mut buffer);
    write(&mut line);
    String::from_utf8_lossy(line.as_bytes()).into_owned()
}

/// `2026-01-31 12:34:56 UTC`
pub fn date(time: u64) -> String {
    let text = written(|line| words::rfc3339(line, time));
    format!("{} UTC", text.split('.').next().unwrap_or(&text).replace('T', " "))
}

/// `main posix_shm.c:16`, `main (prog)`, `prog+0x1139`
pub fn caller(frame: &Frame) -> String {
    let module = || base_name(frame.module.as_deref().unwrap_or("?"));
    let caller = match (&frame.function, &frame.file, frame.line) {
        (Some(function), Some(file), Some(line)) => format!("{function} {}:{line}", base_name(file)),
        (Some(function), Some(file), None) => format!("{function} {}", base_name(file)),
        (Some(function), None, _) => format!("{function} ({})", module()),
        (None, ..) => format!("{}+{:#x}", module(), frame.offset),
    };
    shown(&caller).into_owned()
}

/// What every program has below `main` tells nothing.
pub fn above_main(frames: &[Frame]) -> &[Frame] {
    let main = frames.iter().rposition(|frame| frame.function.as_deref() == Some("main"));
    frames.get(..main.map_or(frames.len(), |main| main + 1)).unwrap_or(frames)
}

/// A value as one line of JSON. JSON itself lets control characters from DEL on stand as they are, of which a terminal takes
/// some for the beginning of an escape sequence: they are escaped too.
pub fn json(out: &mut dyn io::Write, value: &impl Serialize) -> io::Result<()> {
    value.serialize(&mut Serializer::with_formatter(&mut *out, Tame))?;
    out.write_all(b"\n")
}

struct Tame;

impl Formatter for Tame {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        for part in fragment.split_inclusive(char::is_control) {
            let last = part.chars().next_back().filter(|last| last.is_control());
            let tame = part.strip_suffix(char::is_control).unwrap_or(part);
            out.write_all(tame.as_bytes())?;
            last.map_or(Ok(()), |last| write!(out, "\\u{:04x}", u32::from(last)))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_control_byte_in_json() {
        let mut text = Vec::new();
        json(&mut text, &["a\u{9b}1m\u{7f}", "\u{1b}\n\"\\ä", "\u{80}"]).unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), "[\"a\\u009b1m\\u007f\",\"\\u001b\\n\\\"\\\\ä\",\"\\u0080\"]\n");
    }

    #[test]
    fn nothing_moves_the_cursor() {
        assert_eq!(shown("/jürgen/a b"), "/jürgen/a b");
        assert_eq!(shown("a\n\x1b[31m\u{9b}1m\u{202e}x"), "a\\n\\33[31m\\u{9b}1m\\u{202e}x");
    }

    #[test]
    fn callers() {
        let frame = Frame {
            function: Some("main".into()),
            file: Some("/src/a.c".into()),
            line: Some(7),
            module: Some("/bin/a".into()),
            offset: 0x11,
            ..Frame::default()
        };
        assert_eq!(caller(&frame), "main a.c:7");
        assert_eq!(caller(&Frame { file: None, ..frame.clone() }), "main (a)");
        assert_eq!(caller(&Frame { function: None, ..frame }), "a+0x11");
    }
}
