//! `make bench`: what the audit costs, beside the bare program and every tracer that is installed, in one run.
//!
//! Every figure comes from C programs that time themselves, run in turns (bare, preloaded, traced, bare, …) on one
//! processor, so that what the machine does meanwhile meets all alike. Costs are medians of the differences within a
//! round; in brackets the quartiles. Instructions are counted by callgrind, which noise cannot move. Nothing fails here
//! for being slow: the table says which bars are met, and by how much others are missed. The last line is all of it as
//! JSON.

mod bars;
mod calls;
mod figures;
mod instructions;
mod lttng;
mod machine;
mod million;
mod place;
mod processes;
mod run;
mod scale;
mod sys;
mod table;
mod tools;
mod works;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use serde_json::json;

use crate::place::Place;

/// Times the library beside the bare program and every tracer that is installed.
#[derive(Parser)]
struct Options {
    /// A minute instead of four: fewer rounds, wider spread.
    #[arg(long)]
    quick: bool,
    /// Write the JSON to this file as well, for people to read.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Time one report over this many records and stop.
    #[arg(long, hide = true)]
    records: Option<usize>,
    /// Said by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if let Some(records) = options.records {
        million::child(records);
        return ExitCode::SUCCESS;
    }
    match bench(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("bench: {message}");
            ExitCode::FAILURE
        }
    }
}

fn bench(options: &Options) -> Result<(), String> {
    let started = Instant::now();
    let step = |what: &str| eprintln!("[{:3} s] {what}", started.elapsed().as_secs());
    place::sweep();
    let place = Place::prepare()?;
    let machine = machine::Machine::now();

    let calls = calls::measure(&place, options.quick, &step);
    step("instructions");
    let instructions = instructions::measure(&place, options.quick);
    let threads = scale::threads(&place, options.quick, &step);
    let live = scale::live(&place, options.quick, &step);
    step("start, end, memory, size");
    let processes = processes::measure(&place, options.quick)?;
    step("a report over 1,000,000 records");
    let million = million::measure(&place);

    let bars = bars::judge(&calls, &live, &processes, &million);
    println!("{}", machine.line(options.quick));
    println!("\n{}", bars::table(&bars));
    println!("\n{}", calls.table());
    println!("\n{}", instructions.table());
    println!("\n{}", scale::threads_table(&threads));
    println!("\n{}", scale::live_table(&live));
    println!("\n{}", processes.table());
    let all = json!({
        "schema": "shmaudit-bench/1",
        "machine": machine.json(),
        "quick": options.quick,
        "bars": bars.iter().map(bars::Bar::json).collect::<Vec<_>>(),
        "calls": calls.json(),
        "instructions": instructions.json(),
        "threads": scale::json(&threads),
        "live": scale::json(&live),
        "processes": processes.json(),
        "report_over_a_million": million.json(),
    });
    println!("\n{all}");
    if let Some(path) = &options.json {
        std::fs::write(path, format!("{all:#}\n")).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    place::sweep();
    step("done");
    Ok(())
}
