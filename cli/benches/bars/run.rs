//! Runs a command to its end, on one processor unless told otherwise, and gives its output.

use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use crate::place::Place;
use crate::sys::{self, Processors};

/// More than any single run takes.
const LIMIT: Duration = Duration::from_secs(60);

/// A command.
#[derive(Clone, Default)]
pub struct Run {
    words: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    everywhere: bool,
}

impl Run {
    /// Nothing yet.
    pub fn new() -> Run {
        Run::default()
    }

    /// With one more word.
    pub fn word(mut self, word: impl Into<OsString>) -> Run {
        self.words.push(word.into());
        self
    }

    /// With more words.
    pub fn words<W: Into<OsString>>(mut self, words: impl IntoIterator<Item = W>) -> Run {
        self.words.extend(words.into_iter().map(Into::into));
        self
    }

    /// With a variable.
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Run {
        self.env.push((name.into(), value.into()));
        self
    }

    /// On all processors.
    pub fn everywhere(mut self) -> Run {
        self.everywhere = true;
        self
    }

    /// The command as its own command line, words separated by blanks.
    pub fn line(&self) -> String {
        self.words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    /// Its words.
    pub fn into_words(self) -> Vec<OsString> {
        self.words
    }

    /// Runs it. What it wrote, or why there is nothing.
    pub fn output(&self, place: &Place) -> Result<String, String> {
        let Some((program, arguments)) = self.words.split_first() else { return Err("nothing to run".into()) };
        let name = PathBuf::from(program).file_name().unwrap_or_default().to_string_lossy().into_owned();
        let errors = place.fresh("errors");
        let stderr = fs::File::create(&errors).map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        command.args(arguments).current_dir(place.directory()).stdin(Stdio::null()).stdout(Stdio::piped());
        command.env("LC_ALL", "C").env_remove("LD_PRELOAD").env_remove("SHMAUDIT_OPTIONS");
        command.envs(self.env.iter().map(|(name, value)| (name, value))).stderr(stderr).process_group(0);
        let all = Processors::now();
        if !self.everywhere {
            all.last().set();
        }
        let child = command.spawn();
        all.set();
        let mut child = child.map_err(|error| format!("{name}: {error}"))?;
        let (sender, receiver) = channel();
        if let Some(mut pipe) = child.stdout.take() {
            thread::spawn(move || {
                let mut bytes = Vec::new();
                let _ = pipe.read_to_end(&mut bytes);
                let _ = sender.send(bytes);
            });
        }
        let output = receiver.recv_timeout(LIMIT);
        if output.is_err() {
            sys::kill_group(child.id());
        }
        let status = child.wait().map_err(|error| format!("{name}: {error}"))?;
        let said = fs::read(&errors).unwrap_or_default();
        let _ = fs::remove_file(&errors);
        match output {
            Ok(bytes) if status.success() => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Ok(_) => {
                let said = String::from_utf8_lossy(&said);
                let line = said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("no message");
                Err(format!("{name} ended with {status}: {line}"))
            }
            Err(_) => Err(format!("{name}: not ended after {} s: killed", LIMIT.as_secs())),
        }
    }
}
