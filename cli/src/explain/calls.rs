//! What is told of a call, and of its way into the kernel. The tables are `posix`, `memory`, `sysv` and `lives`.
//!
//! Kernel functions and files are those of Linux 6.18; system call numbers never change.

use super::{lives, memory, posix, sysv};

/// The kernel that names are from.
pub const KERNEL: &str = "Linux 6.18";

/// A call.
pub struct Call {
    /// Its C name.
    pub name: &'static str,
    /// Names that lead here too.
    pub also: &'static [&'static str],
    /// Headers and prototype.
    pub prototype: &'static [&'static str],
    /// What it does, a sentence or three.
    pub what: &'static str,
    /// What it has to do with an object's life: who keeps it, when it ends, what surprises.
    pub life: &'static [&'static str],
    /// What the C library makes of it.
    pub libc: &'static str,
    /// The system call on x86-64: name, number, and the file that receives it.
    pub x86_64: System,
    /// The same on arm64.
    pub arm64: System,
    /// Where it goes then: function, file, what happens there.
    pub kernel: &'static [Step],
    /// Errors and their usual causes.
    pub errnos: &'static [(&'static str, &'static str)],
}

/// A system call.
pub struct System {
    /// Its name; where the C library makes none of its own, that of the one it makes.
    pub name: &'static str,
    /// Its number.
    pub number: u32,
    /// The kernel's function for it, without `__x64_` or `__arm64_`.
    pub entry: &'static str,
    /// The file that function is in.
    pub file: &'static str,
}

/// A function of the kernel on a call's way.
pub struct Step {
    /// The function.
    pub function: &'static str,
    /// Its file.
    pub file: &'static str,
    /// What it does.
    pub what: &'static str,
}

/// A line of a call's way.
pub const fn step(function: &'static str, file: &'static str, what: &'static str) -> Step {
    Step { function, file, what }
}

/// A system call's line.
pub const fn system(name: &'static str, number: u32, entry: &'static str, file: &'static str) -> System {
    System { name, number, entry, file }
}

/// How each system call comes into the kernel.
pub const X86_64_ENTRY: &[Step] = &[
    step("entry_SYSCALL_64", "arch/x86/entry/entry_64.S", "where the instruction `syscall` leads"),
    step("do_syscall_64", "arch/x86/entry/syscall_64.c", "chooses by the number in rax"),
];

/// The same on arm64.
pub const ARM64_ENTRY: &[Step] = &[
    step("el0t_64_sync", "arch/arm64/kernel/entry.S", "where the instruction `svc #0` leads"),
    step("el0_svc", "arch/arm64/kernel/entry-common.c", "an exception of this kind"),
    step("do_el0_svc", "arch/arm64/kernel/syscall.c", "chooses by the number in x8"),
];

/// Every call that is told of: the six first, then their life cycle.
pub fn calls() -> impl Iterator<Item = &'static Call> {
    [posix::CALLS, sysv::CALLS, memory::CALLS, lives::CALLS].into_iter().flatten()
}
