//! Which machine it was, and how busy.

use std::fs;
use std::process::Command;
use std::thread;

use serde_json::{Value, json};

/// The machine.
pub struct Machine {
    processor: String,
    kernel: String,
    cores: usize,
    libc: String,
    load: String,
}

impl Machine {
    /// This one.
    pub fn now() -> Machine {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let model = cpuinfo.lines().find(|line| line.starts_with("model name"));
        let libc = Command::new("getconf").arg("GNU_LIBC_VERSION").output();
        let libc = libc.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_string()).unwrap_or_default();
        let known = |text: &str| if text.is_empty() { "?".to_string() } else { text.to_string() };
        Machine {
            processor: known(model.and_then(|line| line.split(':').nth(1)).map_or(std::env::consts::ARCH, str::trim)),
            kernel: known(read("/proc/sys/kernel/osrelease").trim()),
            cores: thread::available_parallelism().map_or(1, usize::from),
            libc: known(&libc),
            load: known(read("/proc/loadavg").split_whitespace().next().unwrap_or("")),
        }
    }

    /// In one line.
    pub fn line(&self, quick: bool) -> String {
        let Machine { processor, kernel, cores, libc, load } = self;
        let quick = if quick { ", a quick run" } else { "" };
        format!("{processor}, {cores} cores, Linux {kernel}, {libc}, load {load} at the start{quick}.")
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        let Machine { processor, kernel, cores, libc, load } = self;
        json!({ "processor": processor, "cores": cores, "kernel": kernel, "libc": libc, "load_at_start": load })
    }
}
