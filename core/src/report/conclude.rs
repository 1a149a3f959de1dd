//! From a recorder to a report: replay, ask the kernel, find, suppress, name.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::stack::Events;
use super::{
    Event, Finding, Object, ObjectRef, Process, ProcessRef, Related, Report, SCHEMA, Settings, Summary, Suppressed,
    Symbolize, Text, Time,
};
use crate::calls::CALLS;
use crate::findings::{self, Draft, Fate, Kind, Presence, Rules, Strange, World, say};
use crate::kernel::Kernel;
use crate::layout::process::{END_EXEC, END_EXIT, END_SIGNAL};
use crate::layout::{ERRNOS, header};
use crate::ledger::{self, Ledger, ObjectIndex};
use crate::reader::{ProcessRecord, Words};
use crate::record::{Family, Slot};
use crate::sources::Sources;
use crate::supervised::Outsider;
use crate::suppress::Suppressions;
use crate::words;

/// The report on recorders.
pub fn conclude<W: Words + ?Sized>(
    sources: &Sources<W>,
    kernel: &mut dyn Kernel,
    symbolize: &mut dyn Symbolize,
    settings: &Settings,
) -> Report {
    let mut rules = Rules::default();
    let mut ledger = Ledger::replay(sources, |ledger, event, object| rules.before(ledger, event, object));
    findings::settle_makings(&mut ledger, kernel);
    findings::settle_names(&mut ledger, kernel);
    let began = sources.began() / 1_000_000_000;
    let supervised = settings.supervised.as_ref();
    let mut world = World::new(&ledger, kernel, settings.concluding, began).with(supervised);
    if settings.later {
        world = world.asked_later();
    }
    let drafts = rules.find(&mut world);

    let mut maker = Maker { ledger: &ledger, events: Events::new(&ledger, symbolize) };
    let mut sieve = Sieve { suppressions: &settings.suppressions, used: BTreeMap::new(), own: BTreeMap::new() };
    let mut summary = numbers(sources, &ledger);
    let mut kept = Vec::new();
    for draft in drafts {
        let kind = draft.kind;
        let since = |since| kind.is_leak() && draft.event.is_some_and(|event| event.order > since);
        if !settings.since.is_none_or(since) || sieve.takes_for_the_program(&draft, &ledger) {
            continue;
        }
        let finding = maker.finding(draft, &world);
        if sieve.takes(kind, &finding) {
            continue;
        }
        summary.count(&finding, |sum, number| *sum = sum.saturating_add(number));
        kept.push(finding);
    }
    let outsiders = supervised.map_or(&[][..], |supervised| &supervised.outsiders);
    let all = outsiders.iter().map(|outsider| outsider.others.saturating_add(1)).fold(0, u64::saturating_add);
    let unaudited = kept.iter().filter(|finding| finding.kind == Kind::UnauditedProcess.name());
    let unaudited = unaudited.fold(0u64, |sum, finding| sum.saturating_add(finding.count));
    summary.unaudited_processes = summary.unaudited_processes.saturating_add(unaudited.max(all));
    let mut processes: Vec<Process> = ledger.processes().iter().map(|process| maker.process(process, &world)).collect();
    processes.extend(outsiders.iter().map(outsider));
    let pending = maker.pending(&world);
    let (objects, objects_not_listed) = maker.objects(&world, settings.objects);
    Report {
        schema: SCHEMA,
        command: command(settings, &ledger),
        started: Time(sources.began()),
        ended: ended(sources, &ledger),
        settled: world.is_settled() && pending.is_empty(),
        processes,
        objects,
        objects_not_listed,
        findings: kept,
        waiting_for: match pending.is_empty() {
            true => Vec::new(),
            false => world.living().iter().map(|&(slot, pid)| maker.process_ref(slot, pid)).collect(),
        },
        pending,
        suppressed: sieve.suppressed(),
        baseline: None,
        unused_suppressions: settings.suppressions.unused(|index| sieve.used.contains_key(&index)),
        warnings: warnings(sources, &summary),
        summary,
    }
}

fn command(settings: &Settings, ledger: &Ledger) -> Vec<Text> {
    let first = ledger.processes().iter().min_by_key(|process| process.started);
    let mut words = settings.command.as_slice();
    if words.is_empty() {
        words = first.map_or(&[], |first| first.args.as_slice());
    }
    match first {
        Some(first) if words.is_empty() && !first.exe.is_empty() => alloc::vec![Text::from(&first.exe[..])],
        _ => words.iter().map(|word| Text::from(&word[..])).collect(),
    }
}

fn ended<W: Words + ?Sized>(sources: &Sources<W>, ledger: &Ledger) -> Time {
    let ends = ledger.processes().iter().map(|process| process.ended);
    Time(ends.fold(sources.read(), u64::max))
}

fn numbers<W: Words + ?Sized>(sources: &Sources<W>, ledger: &Ledger) -> Summary {
    let mut summary = Summary { events: ledger.events(), ..Summary::default() };
    for &call in CALLS {
        let made = sources.calls(call);
        if made > 0 {
            summary.calls.insert(call.name(), made);
        }
        let failures = (1..ERRNOS).map(|errno| (errno, sources.failures(call, errno))).filter(|&(_, count)| count > 0);
        let by_name: BTreeMap<String, u64> = failures.map(|(errno, count)| (errno_name(errno), count)).collect();
        if !by_name.is_empty() {
            summary.failed_calls.insert(call.name(), by_name);
        }
    }
    summary.events_lost = ledger.lost_of(sources);
    summary.unaudited_processes = sources.header_sum(header::PROCESSES_LOST);
    summary
}

fn errno_name(errno: usize) -> String {
    let name = i32::try_from(errno).ok().and_then(words::errno_name);
    name.map_or_else(|| errno.to_string(), ToString::to_string)
}

fn warnings<W: Words + ?Sized>(sources: &Sources<W>, summary: &Summary) -> Vec<String> {
    let mut warnings = Vec::new();
    let objects = sources.header_sum(header::OBJECTS_LOST);
    if summary.events_lost > 0 {
        let whole = objects == 0 && sources.miscounted() == 0;
        let known = if whole { ", but every object that still exists is" } else { "" };
        warnings.push(format!(
            "{} lost: what happened before or between is not known{known}.",
            if summary.events_lost == 1 {
                "1 record was".into()
            } else {
                format!("{} records were", summary.events_lost)
            },
        ));
    }
    match sources.miscounted() {
        0 => {}
        1 => warnings.push("A recorder is damaged: how many calls were made is not known.".into()),
        many => warnings.push(format!("{many} recorders are damaged: how many calls were made is not known.")),
    }
    if sources.has_outgrown() {
        warnings.push("The oldest records went as the session had grown to its size (--session-size of run).".into());
    }
    let processes = sources.header_sum(header::PROCESSES_DROPPED);
    if processes > 0 {
        warnings.push(format!(
            "{} of processes that ended long ago, and made nothing that was still there, went for the same reason.",
            say::number(processes, "record"),
        ));
    }
    if objects > 0 {
        warnings
            .push(format!("{} found no room in the registry and may be missing here.", say::number(objects, "object")));
    }
    warnings
}

/// Takes away what is suppressed.
struct Sieve<'a> {
    suppressions: &'a Suppressions,
    used: BTreeMap<usize, u64>,
    own: BTreeMap<&'static str, u64>,
}

/// What stands in a rule's place where the program itself has said so.
const IGNORED: &str = "ignored by the program";
const PAUSED: &str = "paused by the program";

/// What the program has told its audit of the call that made `object`, or of the object itself.
fn excused(object: &ledger::Object) -> Option<&'static str> {
    match object.created {
        Some(created) if created.paused => Some(PAUSED),
        _ if object.ignored => Some(IGNORED),
        _ => None,
    }
}

impl Sieve<'_> {
    fn takes(&mut self, kind: Kind, finding: &Finding) -> bool {
        let Some(rule) = self.suppressions.matching(kind, finding.texts()) else { return false };
        *self.used.entry(rule).or_insert(0) += 1;
        true
    }

    /// What the thread did while it had paused its audit, and leaks of what it wants to be ignored.
    fn takes_for_the_program(&mut self, draft: &Draft, ledger: &Ledger) -> bool {
        let object = draft.object.and_then(|index| ledger.object(index)).filter(|_| draft.kind.is_leak());
        let paused = draft.event.is_some_and(|event| event.paused);
        let Some(why) = (if paused { Some(PAUSED) } else { object.and_then(excused) }) else { return false };
        *self.own.entry(why).or_insert(0) += 1;
        true
    }

    fn suppressed(&self) -> Vec<Suppressed> {
        let rules = self.used.iter().map(|(&rule, &count)| (self.suppressions.text(rule), count));
        let own = self.own.iter().map(|(&why, &count)| (why, count));
        rules.chain(own).map(|(rule, count)| Suppressed { rule: rule.into(), count }).collect()
    }
}

/// Makes the ledger's values into the report's.
struct Maker<'a> {
    ledger: &'a Ledger,
    events: Events<'a>,
}

impl Maker<'_> {
    fn finding(&mut self, draft: Draft, world: &World) -> Finding {
        let object = draft.object.and_then(|index| Some((self.ledger.object(index)?, world.fate(index))));
        Finding {
            kind: draft.kind.name(),
            severity: draft.severity,
            message: draft.message,
            hint: draft.hint,
            object: object.map(|(object, fate)| object_ref(object, fate)).or(draft.strange.map(strange_ref)),
            count: draft.count,
            bytes: draft.bytes,
            process: match (draft.event, draft.process) {
                (Some(event), _) => Some(self.process_ref(event.process, event.pid)),
                (None, process) => process.map(|(pid, exe)| ProcessRef { pid, exe: Text::from(&exe[..]) }),
            },
            event: draft.event.map(|event| self.events.event(event)),
            related: draft
                .related
                .into_iter()
                .map(|(what, moment)| Related { what, event: self.events.event(moment) })
                .collect(),
            now: None,
        }
    }

    fn process_ref(&self, slot: Slot, pid: u32) -> ProcessRef {
        let exe = self.ledger.process(slot, pid).map_or(&[][..], |process| &process.exe);
        ProcessRef { pid, exe: Text::from(exe) }
    }

    fn process(&self, process: &ProcessRecord, world: &World) -> Process {
        let end = match process.end {
            END_EXIT => "exit",
            END_EXEC => "exec",
            END_SIGNAL => "signal",
            _ if world.runs(process) => "running",
            _ => "unknown",
        };
        Process {
            pid: process.pid,
            ppid: process.ppid,
            exe: Text::from(&process.exe[..]),
            args: process.args.iter().map(|arg| Text::from(&arg[..])).collect(),
            started: Time(process.started),
            ended: if process.ended == 0 { None } else { Some(Time(process.ended)) },
            end,
            status: if matches!(process.end, END_EXIT | END_SIGNAL) { Some(process.status) } else { None },
            audited: true,
            why_not: None,
        }
    }

    fn object(&mut self, index: ObjectIndex, object: &ledger::Object, fate: Fate) -> Object {
        let certain = object.created.filter(|_| fate.ours || object.certain);
        let gone = fate.presence == Presence::Gone;
        let removed = object.removed.or(object.removing.filter(|_| gone));
        let mut event = |moment: Option<ledger::Moment>| -> Option<Event> { Some(self.events.event(moment?)) };
        Object {
            number: index.get(),
            what: object_ref(object, fate),
            created: event(certain),
            removed: event(removed),
            exists: !gone,
            attached: fate.attached,
            calls: object.calls().iter().map(|&(call, count)| (call.name(), u64::from(count))).collect(),
        }
    }

    /// What waits for the living.
    fn pending(&mut self, world: &World) -> Vec<Object> {
        let waits =
            |&(index, object): &(ObjectIndex, &ledger::Object)| world.fate(index).pending && excused(object).is_none();
        let waiting = self.ledger.objects().filter(waits);
        waiting.map(|(index, object)| self.object(index, object, world.fate(index))).collect()
    }

    /// The objects that are listed, those that exist and then the latest of the others, in the order of the ledger; and
    /// how many are not.
    fn objects(&mut self, world: &World, most: usize) -> (Vec<Object>, u64) {
        let gone = |index: ObjectIndex| world.fate(index).presence == Presence::Gone;
        let all: Vec<ObjectIndex> = self.ledger.objects().map(|(index, _)| index).collect();
        let there = all.iter().copied().filter(|&index| !gone(index)).take(most);
        let mut listed: Vec<ObjectIndex> = there.collect();
        let room = most.saturating_sub(listed.len());
        listed.extend(all.iter().rev().copied().filter(|&index| gone(index)).take(room));
        listed.sort_unstable();
        let left_out = all.len().saturating_sub(listed.len()) as u64;
        let ledger = self.ledger;
        let objects = listed.into_iter().filter_map(|index| Some((index, ledger.object(index)?)));
        (objects.map(|(index, object)| self.object(index, object, world.fate(index))).collect(), left_out)
    }
}

/// A process that left no record.
fn outsider(outsider: &Outsider) -> Process {
    Process {
        pid: outsider.pid,
        ppid: outsider.ppid,
        exe: Text::from(&outsider.exe[..]),
        args: outsider.args.iter().map(|arg| Text::from(&arg[..])).collect(),
        started: Time(outsider.seen),
        ended: None,
        end: "unknown",
        status: None,
        audited: false,
        why_not: Some(outsider.why.clone()),
    }
}

fn strange_ref(object: Strange) -> ObjectRef {
    let sysv = object.id.family == Family::Sysv;
    ObjectRef {
        family: if sysv { "sysv" } else { "posix" },
        name: object.name.map(|name| Text::from(&[b"/", &name[..]].concat()[..])),
        key: object.key.map(say::key),
        shmid: if sysv { Some(object.id.shmid()) } else { None },
        dev: object.id.dev,
        ino: if sysv { 0 } else { object.id.ino },
        size: object.size,
        mode: Some(format!("{:04o}", object.mode)),
    }
}

fn object_ref(object: &ledger::Object, fate: Fate) -> ObjectRef {
    let sysv = object.id.family == Family::Sysv;
    let name = object.name.as_deref().map(|name| match object.id.family {
        Family::Posix => Text::from(&[b"/", name].concat()[..]),
        _ => Text::from(name),
    });
    ObjectRef {
        family: match object.id.family {
            Family::Posix => "posix",
            Family::Sysv => "sysv",
            Family::Memfd => "memfd",
            Family::None => "file",
        },
        name,
        key: object.key.filter(|_| sysv).map(say::key),
        shmid: if sysv { Some(object.id.shmid()) } else { None },
        dev: object.id.dev,
        ino: if sysv { 0 } else { object.id.ino },
        size: fate.size,
        mode: fate.mode.or(object.mode).map(|mode| format!("{mode:04o}")),
    }
}
