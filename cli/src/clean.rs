//! `shmaudit clean`: removes what is provably nobody's. Nothing without `--apply`, and then only what is still so.

mod evidence;
mod plan;
mod remove;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use clap::ValueEnum;
use serde_json::{Value, json};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::ls;
use crate::system::{Inventory, Kind, Object, SECOND, Sessions, ignore_sigio, parse_span, size, take};
use evidence::{Scope, Verdict};
use plan::{Item, Number, Plan};
use remove::Outcome;

/// What `shmaudit clean` takes.
#[derive(clap::Args)]
#[command(after_long_help = LONG_HELP)]
pub struct Arguments {
    /// Only what these audited sessions made: journals, or directories of them.
    #[arg(value_name = "SESSION")]
    session: Vec<PathBuf>,
    /// Remove. Without it nothing is changed.
    #[arg(long)]
    apply: bool,
    /// Without --apply: write what would be removed to FILE. With it: remove only what stands there and is still as it was.
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// Leave what something happened to within this time: 90s, 10m, 2h, 1d.
    #[arg(long, value_name = "SPAN", default_value = "0", value_parser = parse_span)]
    min_age: u64,
    /// What else may go where nobody has it, although it is made to stay.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "WHAT,…")]
    include: Vec<Include>,
    /// Only objects of these kinds.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "KIND,…")]
    kind: Vec<Kind>,
    /// Only objects with GLOB in their name or key: `*` stands for anything, `^` and `$` for the ends.
    #[arg(long, value_name = "GLOB")]
    name: Option<String>,
    /// Only objects of this owner, by name or number.
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Do not list what stays.
    #[arg(short, long)]
    quiet: bool,
}

const LONG_HELP: &str = "\
A segment may go when all of this holds:
  its creator is dead (no such process, or one that began later and only has
  its pid), and so is its last user;
  the kernel counts no attachment of it; it is of this IPC namespace;
  its owner or root asks.
An object of shm_open may go when all of this holds:
  no process that can be looked into has it open or mapped;
  its name is no registry's that programs keep;
  it is a regular file in /dev/shm itself, with one name;
  its maker, where a session knows it, is dead.
What cannot be proven is left, with the reason. Held objects are never touched, by no option.

At removal everything is asked again. What something happened to within the last two seconds is waited for first. A \
file is opened and compared by device and inode; the kernel is asked for a lease, which it grants only where nobody \
in any namespace has the file open or mapped, and which makes newcomers wait; the name is taken away, the lease \
looked at once more, and only then the file is unlinked. If somebody came, the name is put back and the object \
stays. Where the lease is refused for another reason, all processes must be visible, and they are looked through \
once more. A segment's identity, times and count are read right before IPC_RMID.

Two races are left, each of microseconds. A process attaches a segment by an id it knows, between the two calls: it \
keeps its memory (the kernel frees a segment with its last attachment), the key is gone, and this command says so. A \
process that was stopped within open(2), after it found the name and before it came to the lease, gets a file \
without a name.

Exit status: 0, also where there was nothing to do; 1 where --apply left something that was to be removed; 2 where \
the arguments are wrong, a plan cannot be used or nothing can be read.

Examples:
  shmaudit clean                                 what would go, and why that is safe
  shmaudit clean --apply --min-age 1h            remove what rests for an hour
  shmaudit clean --plan today.json               write it down, look at it,
  shmaudit clean --apply --plan today.json       and do just that";

/// What else may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Include {
    /// Files of named semaphores: /dev/shm/sem.*.
    Semaphores,
    /// Names that programs keep by design: JACK's, LTTng's.
    Registries,
    /// Files in directories below /dev/shm.
    Files,
    /// Files of a mounted hugetlbfs.
    Hugetlbfs,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For programs: schema shmaudit-clean/1.
    Json,
}

/// What was to go at first.
type Items<'a> = HashMap<Number, &'a Item>;

/// An object, what is thought of it, and what came of it.
struct Entry<'a> {
    object: &'a Object,
    verdict: Verdict,
    outcome: Option<Outcome>,
}

/// Nothing is removed before this long after the last thing that happened to it, in nanoseconds. The kernel keeps a
/// segment's times in whole seconds.
const QUIET: u64 = 2 * SECOND;

/// Cleans; whether all that was to go is gone.
pub fn clean(arguments: &Arguments) -> Result<bool, String> {
    let sessions = ls::sessions(&arguments.session)?;
    let plan = match &arguments.plan {
        Some(path) if arguments.apply => Some(Plan::read(path)?),
        _ => None,
    };
    let include = plan.as_ref().map_or(&arguments.include, |plan| &plan.include);
    let scope = Scope {
        sessions: !arguments.session.is_empty(),
        include: include.clone(),
        kinds: arguments.kind.clone(),
        name: arguments.name.clone(),
        user: arguments.user.as_deref().map(ls::user).transpose()?,
        min_age: arguments.min_age,
    };
    if arguments.apply {
        return apply(arguments, &scope, plan, sessions.as_ref());
    }
    let inventory = take(sessions.as_ref());
    let entries = entries(&inventory, &scope, None);
    if let Some(path) = &arguments.plan {
        Plan::of(&entries, include).write(path)?;
    }
    report(arguments, &inventory, &entries)?;
    Ok(true)
}

fn apply(arguments: &Arguments, scope: &Scope, plan: Option<Plan>, sessions: &dyn Sessions) -> Result<bool, String> {
    // Nobody ends us between taking a name away and putting it back.
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(|error| format!("signals: {error}"))?;
    }
    ignore_sigio();
    let mut inventory = take(sessions);
    let first = plan.unwrap_or_else(|| Plan::of(&entries(&inventory, scope, None), &scope.include));
    let first = first.by_number();
    // Twice: what is to go must be the same when it has come to rest.
    if let Some(rest) = unrest(&inventory, &first) {
        thread::sleep(Duration::from_nanos(rest));
        inventory = take(sessions);
    }
    let mut entries = entries(&inventory, scope, Some(&first));
    for entry in &mut entries {
        if matches!(entry.verdict, Verdict::May(_)) && !stop.load(Ordering::Relaxed) {
            entry.outcome = Some(remove::remove(entry.object, &inventory));
        }
    }
    report(arguments, &inventory, &entries)?;
    if stop.load(Ordering::Relaxed) {
        return Err("interrupted: what is listed as removed is gone, the rest is as it was".to_string());
    }
    Ok(entries.iter().all(|entry| match &entry.verdict {
        Verdict::May(_) => matches!(entry.outcome, Some(Outcome::Removed | Outcome::Gone)),
        Verdict::Stays(_) => !Number::of(entry.object).is_some_and(|number| first.contains_key(&number)),
    }))
}

/// Nanoseconds until everything that is to go has rested for long enough; nothing if it has. Never more than that time:
/// what goes on moving stays.
fn unrest(inventory: &Inventory, items: &Items) -> Option<u64> {
    let wanted = |object: &&Object| Number::of(object).is_some_and(|number| items.contains_key(&number));
    let objects = inventory.objects.iter().filter(wanted);
    let rests = objects.filter_map(|object| object.times.last()).map(|last| inventory.clocks.since(last));
    rests
        .map(|rest| QUIET.saturating_sub(rest))
        .max()
        .filter(|&rest| rest > 0)
        .map(|rest| rest.saturating_add(SECOND / 100))
}

/// What is thought of every object that is asked about. With `items`, only what stands there may go, and only as it
/// was then.
fn entries<'a>(inventory: &'a Inventory, scope: &Scope, items: Option<&Items>) -> Vec<Entry<'a>> {
    let mut objects: Vec<&Object> = inventory.objects.iter().filter(|object| scope.asks(object)).collect();
    objects.sort_by_key(|object| (object.state, std::cmp::Reverse(object.size), object.identity));
    let names: HashSet<&str> = items.into_iter().flat_map(HashMap::values).filter_map(|item| item.path()).collect();
    let entry = |object: &'a Object| {
        let mut verdict = evidence::judge(object, inventory, scope);
        if let (Verdict::May(_), Some(items)) = (&verdict, items) {
            verdict = match Number::of(object).and_then(|number| items.get(&number)) {
                Some(item) => item.change(object).map_or(verdict, Verdict::Stays),
                None => Verdict::Stays(missing(object, &names)),
            };
            let restless = object.times.last().is_some_and(|last| inventory.clocks.since(last) < QUIET);
            if restless && matches!(verdict, Verdict::May(_)) {
                verdict = Verdict::Stays("something happened to it just now".to_string());
            }
        }
        Entry { object, verdict, outcome: None }
    };
    objects.into_iter().map(entry).collect()
}

/// Why an object stays of whose number the plan has nothing; `names` are those that it has.
fn missing(object: &Object, names: &HashSet<&str>) -> String {
    match object.path.as_ref().map(|path| path.escaped()) {
        Some(path) if names.contains(path.as_str()) => {
            format!("is another file now, of inode {}: the one in the plan is gone", object.id())
        }
        _ => "is not in the plan".to_string(),
    }
}

fn report(arguments: &Arguments, inventory: &Inventory, entries: &[Entry]) -> Result<(), String> {
    let text = match arguments.format {
        Format::Text => ls::folded(&text(arguments, inventory, entries)),
        Format::Json => ls::ascii(&value(arguments, inventory, entries)) + "\n",
    };
    ls::print(text.as_bytes())
}

fn text(arguments: &Arguments, inventory: &Inventory, entries: &[Entry]) -> String {
    let mut lines = Vec::new();
    let (mut count, mut bytes, mut stay) = (0u64, 0u64, 0u64);
    for Entry { object, verdict, outcome } in entries {
        let what = format!("{}, {} of {}", object.title(), size(object.size), ls::owner(object));
        let mut goes = |word: &str, reasons: &[String]| {
            lines.push(format!("{word} {what}"));
            lines.extend(reasons.iter().map(|reason| format!("    {reason}")));
            (count, bytes) = (count + 1, bytes.saturating_add(object.size));
        };
        match (verdict, outcome) {
            (Verdict::May(evidence), None) if !arguments.apply => goes("would remove", evidence),
            (Verdict::May(_), Some(Outcome::Removed)) => goes("removed", &[]),
            (Verdict::May(_), Some(Outcome::Raced(who))) => goes("removed", &[format!("but {who}")]),
            (Verdict::May(_), Some(Outcome::Gone)) => lines.push(format!("gone already: {what}")),
            (Verdict::May(_), Some(Outcome::Left(reason))) => {
                lines.push(format!("left {what}: {reason}"));
                stay += 1;
            }
            (Verdict::May(_), None) => stay += 1,
            (Verdict::Stays(reason), _) => {
                if !arguments.quiet {
                    lines.push(format!("stays: {what}: {reason}"));
                }
                stay += 1;
            }
        }
    }
    if !lines.is_empty() {
        lines.push(String::new());
    }
    let many = if count == 1 { "1 object".to_string() } else { format!("{count} objects") };
    lines.push(match (arguments.apply, count) {
        (true, _) => format!("Removed {many}, {}; {stay} stay.", size(bytes)),
        (false, 0) => format!("Nothing to remove; {stay} stay."),
        (false, _) => {
            format!("Would remove {many}, {}; {stay} stay. Nothing was changed; --apply removes.", size(bytes))
        }
    });
    if let (Some(path), false) = (&arguments.plan, arguments.apply) {
        let path = path.display().to_string();
        lines.push(format!("The plan is in {}.", path.escape_debug()));
    }
    lines.extend(inventory.sight.unseen.iter().map(|sentence| format!("Not seen: {sentence}")));
    lines.join("\n") + "\n"
}

fn value(arguments: &Arguments, inventory: &Inventory, entries: &[Entry]) -> Value {
    let objects = entries.iter().map(|Entry { object, verdict, outcome }| {
        let mut value = ls::object(object);
        let (verdict, evidence, mut why) = match verdict {
            Verdict::May(evidence) => ("remove", evidence.as_slice(), None),
            Verdict::Stays(reason) => ("stay", &[][..], Some(reason)),
        };
        let outcome = outcome.as_ref().map(|outcome| match outcome {
            Outcome::Removed => "removed",
            Outcome::Gone => "gone",
            Outcome::Left(reason) => {
                why = Some(reason);
                "left"
            }
            Outcome::Raced(who) => {
                why = Some(who);
                "removed-while-attached"
            }
        });
        value["verdict"] = json!(verdict);
        value["evidence"] = json!(evidence);
        value["outcome"] = json!(outcome);
        value["why_not"] = json!(why);
        value
    });
    json!({
        "schema": "shmaudit-clean/1",
        "applied": arguments.apply,
        "objects": objects.collect::<Vec<_>>(),
        "complete": inventory.sight.complete,
        "unseen": inventory.sight.unseen,
    })
}
