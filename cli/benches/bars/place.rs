//! What a run needs: the library, the C programs built, and a directory that ends with the run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;

/// Everything that is made before the first figure.
pub struct Place {
    directory: TempDir,
    /// A copy of the library: a build that goes on meanwhile changes nothing.
    pub library: PathBuf,
    /// `calls.c`.
    pub calls: PathBuf,
    /// The same, made to be traced by uftrace; `None` where the compiler cannot.
    pub calls_profiled: Option<PathBuf>,
    /// `spawn.c`.
    pub spawn: PathBuf,
    /// A library that does nothing: what preloading costs at least.
    pub empty: PathBuf,
    made: AtomicU64,
}

impl Place {
    /// Finds the library beside this program, or where `SHMAUDIT_LIB` says, and builds the programs.
    pub fn prepare() -> Result<Place, String> {
        let library = match std::env::var_os("SHMAUDIT_LIB") {
            Some(path) => PathBuf::from(path),
            // target/release/deps/bars-…
            None => {
                let program = std::env::current_exe().map_err(|error| error.to_string())?;
                program.ancestors().nth(2).unwrap_or(Path::new(".")).join("libshmaudit.so")
            }
        };
        let directory = tempfile::Builder::new()
            .prefix("shmaudit-bench-")
            .tempdir()
            .map_err(|error| format!("no temporary directory: {error}"))?;
        let at = |name: &str| directory.path().join(name);
        fs::copy(&library, at("libshmaudit.so")).map_err(|error| {
            format!(
                "no library to time: {}: {error}\nBuild it with `make`, or name one with SHMAUDIT_LIB.",
                library.display()
            )
        })?;
        fs::write(at("empty.c"), "").map_err(|error| error.to_string())?;
        // With frame pointers, because most of the peers can follow nothing else.
        let options = ["-O2", "-g", "-fno-omit-frame-pointer", "-pthread"];
        let profiled = [&options[..], &["-pg"]].concat();
        compile(&source("calls.c"), &at("calls"), &options)?;
        compile(&source("spawn.c"), &at("spawn"), &options)?;
        compile(&at("empty.c"), &at("empty.so"), &["-shared", "-fPIC"])?;
        let calls_profiled = compile(&source("calls.c"), &at("calls-pg"), &profiled).ok().map(|()| at("calls-pg"));
        Ok(Place {
            library: at("libshmaudit.so"),
            calls: at("calls"),
            calls_profiled,
            spawn: at("spawn"),
            empty: at("empty.so"),
            directory,
            made: AtomicU64::new(0),
        })
    }

    /// The directory of this run.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A path in it that nobody has used.
    pub fn fresh(&self, kind: &str) -> PathBuf {
        self.directory().join(format!("{kind}-{}", self.made.fetch_add(1, Ordering::Relaxed)))
    }
}

/// A source of `benches/programs/`.
pub fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/programs").join(name)
}

/// Compiles a C source.
pub fn compile(source: &Path, program: &Path, options: &[&str]) -> Result<(), String> {
    let mut command = Command::new("cc");
    command.args(["-std=gnu11", "-w"]).arg("-o").arg(program).arg(source).args(options);
    let output = command.output().map_err(|error| format!("cc: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().find(|line| line.contains("error")).unwrap_or("failed");
    Err(format!("cc {}: {line}", source.display()))
}

/// The path of an installed program.
pub fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|path| path.is_file())
}

/// Removes the objects of programs of this bench that were killed: those named after a process that is gone.
pub fn sweep() {
    let Ok(objects) = fs::read_dir("/dev/shm") else { return };
    for object in objects.flatten() {
        let name = object.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix("shmaudit-bench-")?.split('-').next());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = fs::remove_file(object.path());
        }
    }
}
