//! The `shmaudit` command.
fn main() {}
