//! Where things are: the workspace, the library under test, and this run's own directory.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::sys;
use crate::trial::Stop;

struct Place {
    library: PathBuf,
    temporary: PathBuf,
}

static PLACE: OnceLock<Place> = OnceLock::new();

/// The workspace.
pub fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Finds the library and makes this run's directory, which ends with what is returned.
pub fn prepare() -> Result<TempDir, String> {
    let library = match std::env::var_os("SHMAUDIT_LIB") {
        Some(path) => PathBuf::from(path),
        None => workspace().join("target/release/libshmaudit.so"),
    };
    let library = fs::canonicalize(&library).map_err(|error| {
        format!(
            "no library to test: {}: {error}\nBuild it with `cargo build --release` (`make test` does), or name one with SHMAUDIT_LIB.",
            library.display()
        )
    })?;
    // Another user, as whom a set-user-ID program is run, must get in.
    let readable = Permissions::from_mode(0o755);
    let temporary = tempfile::Builder::new()
        .prefix("shmaudit-e2e-")
        .permissions(readable)
        .tempdir()
        .map_err(|error| format!("no temporary directory: {error}"))?;
    let place = Place { library: install(&library, temporary.path())?, temporary: temporary.path().to_path_buf() };
    PLACE.get_or_init(|| place);
    Ok(temporary)
}

/// A copy under the names that the linker and the loader look for: a build that goes on meanwhile changes nothing.
fn install(library: &Path, temporary: &Path) -> Result<PathBuf, String> {
    let directory = temporary.join("lib");
    let copy = directory.join("libshmaudit.so");
    fs::create_dir(&directory)
        .and_then(|()| fs::copy(library, &copy))
        .and_then(|_| symlink("libshmaudit.so", directory.join("libshmaudit.so.0")))
        .map_err(|error| format!("{}: {error}", copy.display()))?;
    Ok(copy)
}

fn place() -> &'static Place {
    PLACE.get().expect("main prepares before the first trial")
}

/// The library under test.
pub fn library() -> &'static Path {
    &place().library
}

/// The directory that it is in, as `libshmaudit.so` and by its SONAME.
pub fn library_directory() -> PathBuf {
    place().temporary.join("lib")
}

/// A new, empty directory for one trial.
pub fn directory(trial: &str) -> Result<PathBuf, Stop> {
    let path = place().temporary.join(trial.replace("::", "-").replace('/', "-"));
    fs::create_dir_all(&path)?;
    Ok(path)
}

/// Holds the names of the program made of `source` among all test runs of the machine, other trials of this one included,
/// until it is dropped. Where another user has the common place, it is among the runs of this work tree only.
pub fn turn(source: &Path) -> Result<File, Stop> {
    let user = fs::metadata("/proc/self")?.uid();
    let directory = std::env::temp_dir().join(format!("shmaudit-e2e-turns-{user}"));
    let file = fs::create_dir_all(&directory)
        .and_then(|()| File::create(directory.join(source.file_stem().unwrap_or_default())))
        .or_else(|_| File::open(source))?;
    sys::lock(&file)?;
    Ok(file)
}
