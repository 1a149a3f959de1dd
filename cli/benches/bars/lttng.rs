//! LTTng-UST: a wrapper library with a tracepoint in each call, and a session that keeps the latest records in memory, as
//! the library under test does.

use std::cell::OnceCell;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::place::{Place, compile, installed, source};
use crate::run::Run;
use crate::sys;

/// Started when it is first asked for, ended when dropped.
#[derive(Default)]
pub struct Lttng {
    session: OnceCell<Result<Session, String>>,
}

struct Session {
    wrapper: PathBuf,
    name: String,
    home: PathBuf,
    /// The daemon, where none ran.
    daemon: Option<Child>,
}

impl Lttng {
    /// Whether there is a session; why not.
    pub fn usable(&self, place: &Place) -> Result<(), String> {
        self.session.get_or_init(|| Session::start(place)).as_ref().map(|_| ()).map_err(Clone::clone)
    }

    /// The program with the wrapper.
    pub fn traced(&self, run: Run) -> Run {
        match self.session.get() {
            // It starts when the daemon knows it.
            Some(Ok(session)) => run
                .env("LTTNG_HOME", &session.home)
                .env("LTTNG_UST_REGISTER_TIMEOUT", "-1")
                .env("LD_PRELOAD", &session.wrapper),
            _ => run,
        }
    }
}

impl Session {
    fn start(place: &Place) -> Result<Session, String> {
        for tool in ["lttng", "lttng-sessiond"] {
            installed(tool).ok_or(format!("needs {tool}"))?;
        }
        let wrapper = place.directory().join("lttng.so");
        let directory = format!("-I{}", source("").display());
        compile(&source("lttng.c"), &wrapper, &["-O2", "-shared", "-fPIC", &directory, "-llttng-ust", "-ldl"])
            .map_err(|_| "needs liblttng-ust-dev")?;
        let home = place.directory().join("lttng");
        std::fs::create_dir_all(&home).map_err(|error| error.to_string())?;
        let name = format!("shmaudit-bench-{}", std::process::id());
        let mut session = Session { wrapper, name, home, daemon: None };
        if session.lttng(&["list"]).is_err() {
            let mut daemon = Command::new("lttng-sessiond");
            daemon.arg("--no-kernel").env("LTTNG_HOME", &session.home).stdin(Stdio::null());
            daemon.stdout(Stdio::null()).stderr(Stdio::null());
            session.daemon = Some(daemon.spawn().map_err(|error| format!("lttng-sessiond: {error}"))?);
            let up = (0..50).any(|_| {
                thread::sleep(Duration::from_millis(100));
                session.lttng(&["list"]).is_ok()
            });
            if !up {
                return Err("needs an lttng-sessiond that answers".into());
            }
        }
        let output = session.home.join("traces");
        let name = session.name.clone();
        session.lttng(&["create", &name, "--snapshot", "--output", &output.to_string_lossy()])?;
        session.lttng(&["enable-event", "--session", &name, "--userspace", "shmaudit_bench:*"])?;
        session.lttng(&["start", &name])?;
        Ok(session)
    }

    fn lttng(&self, words: &[&str]) -> Result<(), String> {
        let mut command = Command::new("lttng");
        command.arg("--no-sessiond").args(words).env("LTTNG_HOME", &self.home).stdin(Stdio::null());
        let output = command.output().map_err(|error| format!("lttng: {error}"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.success() { Ok(()) } else { Err(format!("lttng {}: {}", words.join(" "), said.trim())) }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.lttng(&["destroy", &self.name]);
        if let Some(daemon) = &mut self.daemon {
            sys::terminate(daemon.id());
            let _ = daemon.wait();
        }
    }
}
