//! Orders that are too weak, which ThreadSanitizer must report.

use std::process::Command;

use crate::atomic::WEAK;

/// How ThreadSanitizer ends a program of which it has reported something.
const REPORTED: i32 = 66;

#[test]
fn weaker_orders_are_reported() {
    let options = std::env::var("TSAN_OPTIONS").unwrap_or_default() + ":halt_on_error=1";
    for (test, written) in
        [("ring::what_is_written_is_read", "src/recorder.rs"), ("objects::what_is_made_is_found", "src/registry.rs")]
    {
        for weak in ["stores", "loads"] {
            let mut run = Command::new(std::env::current_exe().unwrap());
            run.args(["--test-threads=1", "--exact", test]).env(WEAK, weak).env("TSAN_OPTIONS", &options);
            let run = run.output().unwrap();
            let told = String::from_utf8_lossy(&run.stderr);
            let reported = told.contains("WARNING: ThreadSanitizer: data race") && told.contains(written);
            assert!(
                run.status.code() == Some(REPORTED) && reported,
                "{test} with weak {weak}: {:?}\n{told}",
                run.status
            );
        }
    }
}
