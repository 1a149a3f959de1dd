//! What is shown, as lines of printable ASCII of a given width. The terminal and `--once` show the same.

use crate::formats::Terminal;
use crate::ls::{cut, holders, owner, totals};
use crate::system::{Object, State as Of, size, span};

use super::Sort;
use super::keys::{State, View};
use super::sample::Sample;

/// The two lines at the top.
pub fn head(sample: &Sample) -> [String; 2] {
    let totals = &sample.inventory.totals;
    let mut parts = Vec::new();
    if let Some(segments) = &totals.segments {
        let most = segments.shmmni.map_or_else(|| "?".to_string(), |most| most.to_string());
        parts.push(format!("segments {}/{most} {}", segments.count, size(segments.bytes)));
    }
    if let Some(mount) = &totals.mount {
        let of = if mount.size == 0 { String::new() } else { format!("/{}", size(mount.size)) };
        parts.push(format!("{} {}{of}", mount.path, size(mount.used)));
    }
    if let Some(shmem) = totals.shmem {
        parts.push(format!("Shmem {}", size(shmem)));
    }
    let count = |state: Of| {
        let objects = sample.inventory.objects.iter().filter(|object| object.state == state);
        objects.fold((0u64, 0u64), |(count, bytes), object| (count + 1, bytes.saturating_add(object.size)))
    };
    let (orphans, bytes) = count(Of::Orphan);
    let unseen = match sample.inventory.sight.unseen.len() {
        0 => String::new(),
        some => format!("; not all is seen ({some}, see ls)"),
    };
    let all = sample.inventory.objects.len();
    let second = format!("objects {all}, held {}, orphans {orphans} {}{unseen}", count(Of::Held).0, size(bytes));
    [format!("shmaudit top - {}  {}", time_of_day(sample.inventory.clocks.now), parts.join("  ")), second]
}

/// `12:34:56`, UTC.
fn time_of_day(nanoseconds: u64) -> String {
    let second = nanoseconds / crate::system::SECOND % 86_400;
    format!("{:02}:{:02}:{:02}Z", second / 3_600, second / 60 % 60, second % 60)
}

/// The line that tells the views apart.
pub fn tabs(state: &State, sample: &Sample) -> String {
    let mark = |view: View, text: &str| if state.view == view { format!("[{text}]") } else { format!(" {text} ") };
    let tabs = [mark(View::Objects, "1 objects"), mark(View::Processes, "2 processes"), mark(View::Calls, "3 calls")];
    let rest = match (state.view, state.orphans) {
        (View::Objects, false) => format!("  by {}", name_of(state.sort)),
        (View::Objects, true) => format!("  by {}, orphans only", name_of(state.sort)),
        (View::Processes, _) => format!("  {} processes looked into", sample.inventory.sight.processes),
        (View::Calls, _) => String::new(),
    };
    tabs.concat() + &rest
}

fn name_of(sort: Sort) -> &'static str {
    match sort {
        Sort::Size => "size",
        Sort::Rss => "memory",
        Sort::Rate => "rate",
        Sort::Idle => "idle time",
        Sort::Holders => "holders",
        Sort::State => "state",
        Sort::Name => "name",
    }
}

/// The heading of a view and its lines.
pub fn view(state: &State, sample: &Sample, calls: &[String], width: usize) -> (String, Vec<String>) {
    match state.view {
        View::Objects => objects(&sample.objects(state.sort, state.orphans), sample, width),
        View::Processes => processes(sample, width),
        View::Calls => {
            let none = || vec!["No session is watched: shmaudit top --session JOURNAL shows its calls.".to_string()];
            let lines = if calls.is_empty() { none() } else { calls.to_vec() };
            ("CALL".to_string(), lines.iter().map(|line| cut(line, width)).collect())
        }
    }
}

/// Pads or cuts to a width.
fn field(text: &str, width: usize) -> String {
    format!("{:<width$}", cut(text, width))
}

/// Terminals that are narrower would not show much of the names beside memory, rate and idle time.
const NARROW: usize = 60;

fn objects(objects: &[&Object], sample: &Sample, width: usize) -> (String, Vec<String>) {
    // The names get what the rest leaves.
    let held = if width < 72 { 0 } else { ((width - 60) / 2).clamp(12, 32) };
    let row = |cells: [&str; 8]| {
        let [kind, bytes, rss, rate, idle, state, holders, name] = cells;
        if width < NARROW {
            return cut(format!("{} {bytes:>5} {} {name}", field(kind, 9), field(state, 7)).trim_end(), width);
        }
        let fixed = format!("{} {bytes:>5} {rss:>5} {rate:>7} {idle:>5} ", field(kind, 9));
        let holders = if held == 0 { String::new() } else { field(holders, held) + " " };
        cut(format!("{fixed}{} {holders}{name}", field(state, 7)).trim_end(), width)
    };
    let lines = objects.iter().map(|object| {
        let memory = object.resident.map_or_else(|| "-".to_string(), size);
        let idle =
            object.times.last().map_or_else(|| "-".to_string(), |last| span(sample.inventory.clocks.since(last)));
        let (rate, bytes, holders, label) =
            (speed(sample.rate(object)), size(object.size), holders(object), object.label());
        row([object.kind.name(), &bytes, &memory, &rate, &idle, object.state.name(), &holders, &label])
    });
    (row(["KIND", "SIZE", "RSS", "RATE/s", "IDLE", "STATE", "HELD BY", "NAME"]), lines.collect())
}

/// `+1.5M`, `-4.0K`, `0`, or `-` where there is none.
fn speed(rate: Option<i64>) -> String {
    match rate {
        None => "-".to_string(),
        Some(0) => "0".to_string(),
        Some(rate) => format!("{}{}", if rate < 0 { '-' } else { '+' }, size(rate.unsigned_abs())),
    }
}

fn processes(sample: &Sample, width: usize) -> (String, Vec<String>) {
    let row = |cells: [&str; 8]| {
        let [pid, command, numbers @ .., arguments] = cells;
        let mut line = format!("{pid:>7} {}", field(command, 15));
        // Part of a number would be another one.
        for (number, digits) in numbers.into_iter().zip([7, 6, 6, 5, 5]) {
            if line.len() + 1 + digits > width {
                return line;
            }
            line.push_str(&format!(" {number:>digits$}"));
        }
        cut(format!("{line} {arguments}").trim_end(), width)
    };
    let lines = sample.processes().into_iter().map(|share| {
        let arguments: Vec<String> = share.process.arguments.iter().take(16).map(|word| word.escaped()).collect();
        row([
            &share.process.pid.to_string(),
            &share.process.command.escaped(),
            &share.objects.to_string(),
            &size(share.size),
            &size(share.resident),
            &share.fds.to_string(),
            &share.mappings.to_string(),
            &arguments.join(" "),
        ])
    });
    (row(["PID", "COMMAND", "OBJECTS", "SIZE", "RSS", "FDS", "MAPS", "ARGUMENTS"]), lines.collect())
}

/// All about an object.
pub fn about(object: &Object, sample: &Sample, width: usize) -> Vec<String> {
    let clocks = &sample.inventory.clocks;
    let ago =
        |what: &str, moment: Option<u64>| moment.map(|moment| format!("{what} {} ago", span(clocks.since(moment))));
    let memory = object.resident.map(|bytes| format!(", {} in memory", size(bytes))).unwrap_or_default();
    let mode = object.mode.map(|mode| format!(", mode {mode:04o}")).unwrap_or_default();
    let mut lines = vec![
        object.title(),
        format!("{}, {}{memory}, of {}{mode}", object.kind.name(), size(object.size), owner(object)),
        format!("{}: {}", object.state.name(), object.reason),
    ];
    lines.extend(object.path.as_ref().map(|path| format!("path {}", path.escaped())));
    lines.extend(object.creator.as_ref().map(|actor| format!("creator {}", actor.label())));
    lines.extend(object.last.as_ref().map(|actor| format!("last user {}", actor.label())));
    lines.extend(object.made.as_ref().map(|made| format!("made at {}, says {}", made.place, made.session.escaped())));
    let times = &object.times;
    let moments = [
        ago("made", times.made),
        ago("attached", times.attached),
        ago("detached", times.detached),
        ago("changed", times.changed),
        ago("written", times.modified),
    ];
    lines.push(moments.into_iter().flatten().collect::<Vec<_>>().join(", "));
    lines.extend(object.attached.map(|count| format!("attachments {count}")));
    for holder in &object.holders {
        let fds: Vec<String> = holder.fds.iter().take(8).map(i32::to_string).collect();
        let fds = if fds.is_empty() { String::new() } else { format!(", descriptors {}", fds.join(" ")) };
        let mappings = match holder.mappings {
            1 => "1 mapping".to_string(),
            number => format!("{number} mappings"),
        };
        lines.push(format!("held by {}: {mappings}{fds}", holder.process.label()));
    }
    lines.iter().map(|line| cut(line, width)).collect()
}

/// Everything once, for a script, or for a terminal of so many columns.
pub fn once(state: &State, sample: &Sample, calls: &[String], most: usize, columns: Option<usize>) -> String {
    const WIDTH: usize = 120;
    let terminal = Terminal { colour: false, width: columns };
    let sentences = |sentences: &[String]| -> Vec<String> {
        sentences.iter().flat_map(|sentence| terminal.wrap(sentence, 2)).collect()
    };
    let mut lines = sentences(&head(sample));
    lines.extend(sentences(&totals(&sample.inventory)));
    for view in [View::Objects, View::Processes, View::Calls] {
        if view == View::Calls && calls.is_empty() {
            continue;
        }
        let (heading, rows) = self::view(&State { view, ..state.clone() }, sample, calls, columns.unwrap_or(WIDTH));
        let beyond = rows.len().saturating_sub(most);
        lines.extend([String::new(), heading]);
        lines.extend(rows.into_iter().take(most));
        if beyond > 0 {
            lines.push(format!("({beyond} more)"));
        }
    }
    let unseen = sample.inventory.sight.unseen.iter().map(|sentence| format!("Not seen: {sentence}"));
    lines.extend(sentences(&unseen.collect::<Vec<_>>()));
    lines.join("\n") + "\n"
}
