//! Who takes part: the bare program, the library, and every tracer that one would otherwise use.
//!
//! A tracer is told to look at the work's own calls and no others, and writes to a file; it gets the fewest features that
//! answer "which call, and from where".

use crate::lttng::Lttng;
use crate::place::{Place, installed};
use crate::run::Run;
use crate::works::{Shape, Work};

/// Who takes part.
pub struct Contender {
    /// What readers call it.
    pub name: &'static str,
    /// Nanoseconds that it adds to a call, roughly: for choosing how often.
    pub adds: f64,
    /// How it is brought about.
    pub way: Way,
}

/// How.
pub enum Way {
    /// The program alone.
    Bare,
    /// The library, preloaded, with these options. `%` stands for a new file.
    Library {
        /// `SHMAUDIT_OPTIONS`.
        options: &'static str,
        /// After the ring has turned once, and all of its pages are there.
        settled: bool,
    },
    /// LTTng-UST with a wrapper library.
    Lttng,
    /// A program that runs the program.
    Tracer {
        /// Its name.
        program: &'static str,
        /// Makes the command, with a new path to write to.
        command: fn(&Work, &str, Run) -> Run,
        /// Whether it needs the program compiled for it.
        profiled: bool,
    },
}

/// The bare program.
pub const BARE: &Contender = &Contender { name: "bare", adds: 0.0, way: Way::Bare };
/// The library without stacks.
pub const STACKS_0: &Contender = &Contender {
    name: "shmaudit, stacks=0",
    adds: 100.0,
    way: Way::Library { options: "log=off:report=off:stacks=0", settled: true },
};
/// The library as it is by default, but for log and report.
pub const STACKS_16: &Contender = &Contender {
    name: "shmaudit, stacks=16",
    adds: 200.0,
    way: Way::Library { options: "log=off:report=off:stacks=16", settled: true },
};
/// The same, each record going to memory that nobody has touched.
pub const FIRST: &Contender = &Contender {
    name: "shmaudit, stacks=16, its first calls",
    adds: 400.0,
    way: Way::Library { options: "log=off:report=off:stacks=16", settled: false },
};
/// With a line for every call.
pub const LOG: &Contender = &Contender {
    name: "shmaudit, text log to a file",
    adds: 2_000.0,
    way: Way::Library { options: "log='%':report=off", settled: true },
};
/// The library's own ways.
pub const OURS: &[&Contender] = &[STACKS_0, STACKS_16, FIRST, LOG];

/// Everybody else.
pub const PEERS: &[&Contender] = &[
    &Contender { name: "LTTng-UST, no stacks", adds: 200.0, way: Way::Lttng },
    &Contender {
        name: "uftrace, no stacks",
        adds: 300.0,
        way: Way::Tracer {
            program: "uftrace",
            command: |_, out, run| {
                Run::new().words(["uftrace", "record", "--no-pager", "-d", out]).words(run.into_words())
            },
            profiled: true,
        },
    },
    &Contender {
        name: "perf record -g",
        adds: 2_000.0,
        way: Way::Tracer {
            program: "perf",
            command: |work, out, run| {
                let events: Vec<String> =
                    work.syscalls.iter().map(|call| format!("syscalls:sys_enter_{call}")).collect();
                let perf = Run::new().words(["perf", "record", "-q", "-g", "-o", out, "-e", &events.join(","), "--"]);
                perf.words(run.into_words())
            },
            profiled: false,
        },
    },
    &Contender {
        name: "bpftrace, count by ustack",
        adds: 4_000.0,
        way: Way::Tracer {
            program: "bpftrace",
            command: |work, out, run| {
                let probes: Vec<String> =
                    work.syscalls.iter().map(|call| format!("tracepoint:syscalls:sys_enter_{call}")).collect();
                let program = format!("{} /pid == cpid/ {{ @[ustack(16)] = count(); }}", probes.join(", "));
                Run::new().words(["bpftrace", "-o", out, "-e", &program, "-c", &run.line()])
            },
            profiled: false,
        },
    },
    &Contender {
        name: "perf trace",
        adds: 40_000.0,
        way: Way::Tracer {
            program: "perf",
            command: |work, out, run| {
                Run::new()
                    .words(["perf", "trace", "-o", out, "-e", &work.syscalls.join(","), "--"])
                    .words(run.into_words())
            },
            profiled: false,
        },
    },
    &Contender {
        name: "strace",
        adds: 60_000.0,
        way: Way::Tracer { program: "strace", command: |work, out, run| strace(work, out, &[], run), profiled: false },
    },
    &Contender {
        name: "ltrace",
        adds: 250_000.0,
        way: Way::Tracer {
            program: "ltrace",
            command: |work, out, run| {
                Run::new().words(["ltrace", "-o", out, "-e", &work.functions.join("+")]).words(run.into_words())
            },
            profiled: false,
        },
    },
    &Contender {
        name: "strace -k",
        adds: 500_000.0,
        way: Way::Tracer {
            program: "strace",
            command: |work, out, run| strace(work, out, &["-k"], run),
            profiled: false,
        },
    },
];

fn strace(work: &Work, out: &str, more: &[&str], run: Run) -> Run {
    let calls = format!("trace={}", work.syscalls.join(","));
    Run::new().words(["strace", "-o", out, "-e", &calls]).words(more).words(run.into_words())
}

/// A contender for one work, ready to run.
pub struct Ready<'a> {
    place: &'a Place,
    work: &'static Work,
    contender: &'static Contender,
    lttng: &'a Lttng,
}

impl Contender {
    /// Ready, or what is missing here.
    pub fn ready<'a>(
        &'static self,
        place: &'a Place,
        work: &'static Work,
        lttng: &'a Lttng,
    ) -> Result<Ready<'a>, String> {
        match self.way {
            Way::Lttng => lttng.usable(place)?,
            Way::Tracer { program, .. } if installed(program).is_none() => return Err(format!("needs {program}")),
            Way::Tracer { profiled: true, .. } if place.calls_profiled.is_none() => {
                return Err("needs a compiler with -pg".into());
            }
            _ => {}
        }
        Ok(Ready { place, work, contender: self, lttng })
    }

    /// A run with the library, if this is the library's; `out` is where it may write.
    pub fn preloaded(&self, place: &Place, run: Run, out: &str) -> Run {
        match self.way {
            Way::Library { options, .. } => {
                run.env("LD_PRELOAD", &place.library).env("SHMAUDIT_OPTIONS", options.replace('%', out))
            }
            _ => run,
        }
    }

    /// How often it does `work`: `batches` batches of about `milliseconds`.
    pub fn shape(&self, work: &Work, batches: usize, milliseconds: f64) -> Shape {
        let takes = work.takes + self.adds * work.syscalls.len() as f64;
        let times = ((milliseconds * 1e6 / takes) as usize).max(8);
        let shape = Shape { threads: 1, live: 10, warm: times.min(1000), batches, times };
        match self.way {
            Way::Library { settled: true, .. } => Shape { warm: work.turn.max(1000), ..shape },
            Way::Library { settled: false, .. } => {
                let times = times.min(work.turn / 3 / batches).max(1);
                Shape { warm: 10, times, ..shape }
            }
            _ => shape,
        }
    }
}

impl Ready<'_> {
    /// Runs the work once. What it wrote.
    pub fn output(&self, shape: Shape) -> Result<String, String> {
        let out = self.place.fresh("out");
        let out_text = out.to_string_lossy();
        let plain = Run::new().word(&self.place.calls).words(self.work.arguments(shape));
        let run = match self.contender.way {
            Way::Bare | Way::Library { .. } => self.contender.preloaded(self.place, plain, &out_text),
            Way::Lttng => self.lttng.traced(plain),
            Way::Tracer { command, profiled, .. } => {
                let program = self.place.calls_profiled.as_ref().filter(|_| profiled).unwrap_or(&self.place.calls);
                command(self.work, &out_text, Run::new().word(program).words(self.work.arguments(shape)))
            }
        };
        let run = if shape.threads > 1 { run.everywhere() } else { run };
        let output = run.output(self.place);
        let _ = std::fs::remove_file(&out).or_else(|_| std::fs::remove_dir_all(&out));
        output
    }
}
