//! What has become of leaked objects between the end of what the records tell and the report.

use super::{Finding, ObjectRef, Report, Text};
use crate::findings::{Kind, say};
use crate::kernel::{Elsewhere, Kernel, Lookup, Segment};

impl Report {
    /// Asks the kernel once more about every leaked object.
    pub fn look_again(&mut self, kernel: &mut dyn Kernel) {
        let leak = |finding: &Finding| Kind::from_name(finding.kind.as_bytes()).is_some_and(Kind::is_leak);
        if !self.findings.iter().any(leak) {
            return;
        }
        let segments = kernel.segments();
        for finding in self.findings.iter_mut().filter(|finding| leak(finding)) {
            let Some(object) = &finding.object else { continue };
            let made = finding.event.as_ref().map(|event| (event.pid, event.time.0));
            let mut keeper = 0;
            finding.now = match object.shmid {
                Some(shmid) if object.dev == 0 => {
                    segments.as_ref().map(|segments| segment_now(object, shmid, made, segments))
                }
                Some(shmid) => match kernel.segments_of(object.dev as u32) {
                    Elsewhere::Open { segments, process } => {
                        keeper = process;
                        Some(segment_now(object, shmid, made, &segments))
                    }
                    Elsewhere::Closed => None,
                    Elsewhere::Gone => Some("gone"),
                },
                None => file_now(object, kernel),
            };
            // The command would remove another's object, or nothing.
            if matches!(finding.now, Some("gone" | "renewed")) {
                finding.hint.command = None;
            } else if let Some(shmid) = object.shmid.filter(|_| keeper != 0) {
                finding.hint.command = Some(say::remover_elsewhere(keeper, shmid));
            }
        }
    }
}

fn segment_now(object: &ObjectRef, shmid: i32, made: Option<(u32, u64)>, segments: &[Segment]) -> &'static str {
    // The same shmid can be another's by now: its maker and its time tell.
    let same = |segment: &&Segment| {
        let maker = made.is_none_or(|(pid, _)| segment.cpid == 0 || segment.cpid == pid);
        let time = made.is_none_or(|(_, time)| segment.ctime.saturating_add(1) >= time / 1_000_000_000);
        segment.shmid == shmid && maker && time && segment.size == object.size
    };
    let key = |segment: &&Segment| segment.key != 0 && object.key.as_deref() == Some(say::key(segment.key).as_str());
    match segments.iter().find(same) {
        Some(segment) if !segment.is_dest() => "there",
        _ if segments.iter().any(|segment| key(&segment)) => "renewed",
        _ => "gone",
    }
}

fn file_now(object: &ObjectRef, kernel: &mut dyn Kernel) -> Option<&'static str> {
    let name = object.name.as_ref().map(Text::bytes)?;
    match kernel.shm_file(name.strip_prefix(b"/").unwrap_or(name)) {
        Lookup::Found(facts) if (facts.dev, facts.ino) == (object.dev, object.ino) => Some("there"),
        Lookup::Found(_) => Some("renewed"),
        Lookup::Missing => Some("gone"),
        Lookup::Unreadable => None,
    }
}
