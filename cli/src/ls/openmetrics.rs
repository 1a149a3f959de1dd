//! The list as OpenMetrics 1.0. Gauges only: the same text is valid in the older Prometheus format, which is what
//! node_exporter's textfile collector reads.

use std::collections::BTreeMap;
use std::fmt::Write;

use clap::ValueEnum;

use crate::system::{Inventory, Kind, Object, State};

use super::columns::owner;

/// The exposition. `per_object` adds a value for each object.
pub fn openmetrics(inventory: &Inventory, objects: &[&Object], per_object: bool) -> String {
    let mut out = Exposition::default();
    sums(&mut out, objects);
    let age = objects.iter().filter(|object| object.state == State::Orphan).filter_map(|object| object.times.last());
    let oldest = age.map(|last| inventory.clocks.since(last) / crate::system::SECOND).max().unwrap_or(0);
    out.family("shmaudit_oldest_orphan_idle_seconds", "Time since anything happened to the orphan that rests longest");
    out.value(&[], oldest);
    limits(&mut out, inventory);
    out.family("shmaudit_view_complete", "Whether every process of the machine could be looked into");
    out.value(&[], inventory.sight.complete.into());
    if per_object {
        out.family("shmaudit_named_object_size_bytes", "Size of one object");
        for object in objects {
            let labels = [
                ("kind", object.kind.name().to_string()),
                ("name", object.label()),
                ("id", object.id().to_string()),
                ("device", device(object)),
                ("owner", owner(object)),
                ("state", object.state.name().to_string()),
            ];
            out.value(&labels, object.size);
        }
    }
    out.text.push_str("# EOF\n");
    out.text
}

/// What tells objects of the same number apart: the device of a file, the namespace of a segment.
fn device(object: &Object) -> String {
    match object.identity {
        crate::system::Identity::File { dev, .. } => dev.to_string(),
        crate::system::Identity::Foreign { ipc, .. } => ipc.to_string(),
        crate::system::Identity::Segment { .. } => String::new(),
    }
}

fn sums(out: &mut Exposition, objects: &[&Object]) {
    #[derive(Default)]
    struct Sum {
        count: u64,
        size: u64,
        resident: u64,
        swap: u64,
    }
    let mut all: BTreeMap<(Kind, State), Sum> = BTreeMap::new();
    // Series that are there only now and then make poor alerts.
    for &kind in Kind::value_variants() {
        for &state in State::value_variants() {
            all.insert((kind, state), Sum::default());
        }
    }
    for object in objects {
        let sum = all.entry((object.kind, object.state)).or_default();
        sum.count += 1;
        sum.size = sum.size.saturating_add(object.size);
        sum.resident = sum.resident.saturating_add(object.resident.unwrap_or(0));
        sum.swap = sum.swap.saturating_add(object.swap.unwrap_or(0));
    }
    type Of = fn(&Sum) -> u64;
    let families: [(&str, &str, Of); 4] = [
        ("shmaudit_objects", "Objects of shared memory, by kind and by whether they are anybody's", |sum| sum.count),
        ("shmaudit_object_size_bytes", "Sizes of these objects", |sum| sum.size),
        ("shmaudit_object_resident_bytes", "What of them is in memory", |sum| sum.resident),
        ("shmaudit_object_swap_bytes", "What of them is in swap", |sum| sum.swap),
    ];
    for (name, help, of) in families {
        out.family(name, help);
        for ((kind, state), sum) in &all {
            out.value(&[("kind", kind.name().to_string()), ("state", state.name().to_string())], of(sum));
        }
    }
}

fn limits(out: &mut Exposition, inventory: &Inventory) {
    let page = rustix::param::page_size() as u64;
    let totals = &inventory.totals;
    if let Some(segments) = &totals.segments {
        out.family("shmaudit_segments", "System V segments of this IPC namespace, whatever was selected");
        out.value(&[], segments.count);
        out.family("shmaudit_segments_reserved_bytes", "Their sizes in whole pages, as shmall counts them");
        out.value(&[], segments.pages.saturating_mul(page));
        let limits = [
            ("shmaudit_limit_shmmni", "Most segments (kernel.shmmni)", segments.shmmni),
            ("shmaudit_limit_shmmax_bytes", "Largest segment (kernel.shmmax)", segments.shmmax),
            (
                "shmaudit_limit_shmall_bytes",
                "Most memory in segments (kernel.shmall)",
                segments.shmall.map(|pages| pages.saturating_mul(page)),
            ),
        ];
        for (name, help, value) in limits {
            if let Some(value) = value {
                out.family(name, help);
                out.value(&[], value);
            }
        }
    }
    if let Some(mount) = &totals.mount {
        let values = [
            ("shmaudit_mount_size_bytes", "What the mount of POSIX objects may hold; 0 for no limit", mount.size),
            ("shmaudit_mount_used_bytes", "What it holds", mount.used),
            ("shmaudit_mount_unlinked_bytes", "What of it is in files without a name", mount.unlinked),
            ("shmaudit_mount_unseen_bytes", "What of it nobody is seen to hold and no name leads to", mount.unseen()),
            ("shmaudit_mount_inodes", "Inodes that it may have; 0 for no limit", mount.inodes),
            ("shmaudit_mount_inodes_used", "Inodes that it has", mount.inodes_used),
        ];
        for (name, help, value) in values {
            out.family(name, help);
            out.value(&[("path", mount.path.clone())], value);
        }
    }
    out.family("shmaudit_huge_pages", "Huge pages of the machine, by size in bytes");
    for huge in &totals.huge {
        for (state, value) in [("total", huge.total), ("free", huge.free), ("reserved", huge.reserved)] {
            out.value(&[("page", huge.page.to_string()), ("count", state.to_string())], value);
        }
    }
    if let Some(shmem) = totals.shmem {
        out.family("shmaudit_machine_shmem_bytes", "Shared memory and tmpfs of the whole machine that are in memory");
        out.value(&[], shmem);
    }
}

/// The text as it grows.
#[derive(Default)]
struct Exposition {
    text: String,
    name: &'static str,
}

impl Exposition {
    fn family(&mut self, name: &'static str, help: &str) {
        self.name = name;
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "# TYPE {name} gauge");
        for unit in ["bytes", "seconds"] {
            if name.ends_with(&format!("_{unit}")) {
                let _ = writeln!(self.text, "# UNIT {name} {unit}");
            }
        }
        let _ = writeln!(self.text, "# HELP {name} {help}.");
    }

    fn value(&mut self, labels: &[(&str, String)], value: u64) {
        self.text.push_str(self.name);
        let mut mark = '{';
        for (label, value) in labels {
            let _ = write!(self.text, "{mark}{label}=\"{}\"", escaped(value));
            mark = ',';
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{end} {value}");
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut out = Exposition::default();
        out.family("x_bytes", "Help");
        out.value(&[("a", "1\\\"\n".to_string()), ("b", String::new())], 7);
        out.value(&[], u64::MAX);
        let text = "# TYPE x_bytes gauge\n# UNIT x_bytes bytes\n# HELP x_bytes Help.\n\
                    x_bytes{a=\"1\\\\\\\"\\n\",b=\"\"} 7\nx_bytes 18446744073709551615\n";
        assert_eq!(out.text, text);
    }
}
