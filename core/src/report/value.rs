//! Values of a report that are written in a way of their own.

use alloc::string::String;
use alloc::sync::Arc;

use serde::{Serialize, Serializer};

use crate::findings::{Hint, Severity, say};
use crate::words;

/// Bytes that are text as a rule: names and paths. As JSON a byte that is not UTF-8 becomes `\xNN`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text(Arc<[u8]>);

impl Text {
    /// The bytes themselves.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// As JSON has it: a byte that is not UTF-8 is `\xNN`.
    pub fn to_utf8(&self) -> String {
        utf8(&self.0)
    }

    /// In printable ASCII: `\n`, `\33`, `\377`.
    pub fn escaped(&self) -> String {
        say::escaped(&self.0)
    }
}

impl From<&[u8]> for Text {
    fn from(bytes: &[u8]) -> Text {
        Text(Arc::from(bytes))
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_utf8())
    }
}

fn utf8(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&alloc::format!("\\x{byte:02x}"));
        }
    }
    text
}

/// Nanoseconds since 1970, written as RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub u64);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&say::written(40, |line| words::rfc3339(line, self.0)))
    }
}

pub(super) fn severity<S: Serializer>(severity: &Severity, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(severity.name())
}

pub(super) fn displayed<S: Serializer>(value: &Hint, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_text() {
        assert_eq!(utf8("/pl\u{e4}n".as_bytes()), "/pl\u{e4}n");
        assert_eq!(utf8(b"/a\xff\xfeb\xc3"), "/a\\xff\\xfeb\\xc3");
        assert_eq!(serde_json::to_string(&Time(0)).unwrap(), "\"1970-01-01T00:00:00.000000000Z\"");
        assert_eq!(serde_json::to_string(&Text::from(&b"\x1b\xff"[..])).unwrap(), r#""\u001b\\xff""#);
    }
}
