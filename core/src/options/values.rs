//! How the values of options are read and shown.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{ALL_TRACES, Format, Options, Target};

pub(super) fn target(place: &mut Target, value: &str) -> bool {
    *place = match value {
        "stderr" => Target::Stderr,
        "off" => Target::Off,
        "" => return false,
        path => Target::Path(path.to_string()),
    };
    true
}

pub(super) fn show_target(target: &Target) -> String {
    match target {
        Target::Stderr => "stderr".to_string(),
        Target::Off => "off".to_string(),
        Target::Path(path) => path.clone(),
    }
}

pub(super) fn format_of(place: &mut Format, value: &str) -> bool {
    *place = match value {
        "text" => Format::Text,
        "json" => Format::Json,
        _ => return false,
    };
    true
}

pub(super) fn show_format(format: Format) -> String {
    match format {
        Format::Text => "text".to_string(),
        Format::Json => "json".to_string(),
    }
}

pub(super) fn flag(place: &mut bool, value: &str) -> bool {
    *place = match value {
        "0" => false,
        "1" => true,
        _ => return false,
    };
    true
}

pub(super) fn show_flag(flag: bool) -> String {
    if flag { "1".to_string() } else { "0".to_string() }
}

pub(super) fn number(place: &mut usize, value: &str, most: usize) -> bool {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    match value.parse() {
        Ok(number) if digits && number <= most => {
            *place = number;
            true
        }
        _ => false,
    }
}

pub(super) fn path(place: &mut Option<String>, value: &str, none: &str) -> bool {
    if value.is_empty() {
        return false;
    }
    *place = if value == none { None } else { Some(value.to_string()) };
    true
}

pub(super) fn traces(place: &mut u8, value: &str) -> bool {
    let mut bits = 0;
    for name in value.split(',') {
        match (name, ALL_TRACES.iter().find(|(known, _)| *known == name)) {
            ("all", _) => bits = Options::default().trace,
            (_, Some((_, trace))) => bits |= *trace as u8,
            _ => return false,
        }
    }
    *place = bits;
    true
}

pub(super) fn show_traces(bits: u8) -> String {
    if bits == Options::default().trace {
        return "all".to_string();
    }
    let names: Vec<&str> =
        ALL_TRACES.iter().filter(|(_, trace)| bits & *trace as u8 != 0).map(|(name, _)| *name).collect();
    names.join(",")
}
