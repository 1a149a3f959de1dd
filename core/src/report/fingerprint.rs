//! What makes two findings the same from run to run: kind, object and place, without pids, ids, addresses and lines.

use alloc::format;
use alloc::string::String;

use super::{Finding, ObjectRef};
use crate::findings::pattern::pattern;

/// Frames that tell places apart; what is further out is the callers' matter.
const MOST_FRAMES: usize = 8;

/// A frame as far as it stays the same.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place<'a> {
    /// Function.
    pub function: Option<&'a str>,
    /// Path of the module.
    pub module: Option<&'a str>,
    /// Address in the module, `0x1139`: counts where there is no function.
    pub offset: &'a str,
}

/// The fingerprint of a finding: a text that is the same for the same mistake of another run, another build and, as a rule,
/// another machine. Findings of one kind whose objects have names of one pattern and whose calls came by the same functions
/// share it.
pub fn fingerprint(finding: &Finding) -> String {
    let frames = finding.event.as_ref().map_or(&[][..], |event| event.stack.frames());
    let offset = |at: u64| format!("{at:#x}");
    let offsets: alloc::vec::Vec<String> = frames.iter().take(MOST_FRAMES).map(|frame| offset(frame.offset)).collect();
    let places = frames.iter().zip(&offsets).map(|(frame, offset)| Place {
        function: frame.function.as_deref(),
        module: frame.module.as_deref(),
        offset,
    });
    let name = finding.object.as_ref().and_then(|object| object.name.as_ref()).map(super::Text::to_utf8);
    let label =
        finding.object.as_ref().map(|object: &ObjectRef| (object.family, name.as_deref(), object.key.as_deref()));
    fingerprint_of(finding.kind, label, places)
}

/// The same of a finding's parts: kind; family, name and key of the object; the frames of the call, innermost first.
pub fn fingerprint_of<'a>(
    kind: &str,
    object: Option<(&str, Option<&str>, Option<&str>)>,
    frames: impl Iterator<Item = Place<'a>>,
) -> String {
    let mut text = String::from(kind);
    match object {
        Some((family, Some(name), _)) => text.push_str(&format!(" {family} {}", pattern(name.as_bytes()))),
        // Keys made by ftok are others on every machine; that there is none is the same everywhere.
        Some((family, None, Some("IPC_PRIVATE"))) => text.push_str(&format!(" {family} IPC_PRIVATE")),
        Some((family, None, _)) => text.push_str(&format!(" {family}")),
        None => text.push_str(" -"),
    }
    for frame in frames.take(MOST_FRAMES) {
        let module = frame.module.map_or("", |module| module.rsplit('/').next().unwrap_or(module));
        match frame.function {
            Some(function) => text.push_str(&format!(" < {function}")),
            None => text.push_str(&format!(" < {module}+{}", frame.offset)),
        }
        // Below it is the C library's own start.
        if frame.function == Some("main") {
            break;
        }
    }
    text
}
