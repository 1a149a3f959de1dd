//! The system calls that the standard library does not have.
#![expect(unsafe_code, reason = "libc's functions are foreign functions")]

/// Kills a process group that this run made.
pub fn kill_group(group: u32) {
    let group = i32::try_from(group).unwrap_or(0);
    if group > 1 {
        // SAFETY: no memory is involved.
        unsafe { libc::kill(-group, libc::SIGKILL) };
    }
}

/// Asks a process that this run made to end.
pub fn terminate(pid: u32) {
    let pid = i32::try_from(pid).unwrap_or(0);
    if pid > 1 {
        // SAFETY: no memory is involved.
        unsafe { libc::kill(pid, libc::SIGTERM) };
    }
}

/// The processors that the calling thread, and what it starts, may run on.
#[derive(Clone, Copy)]
pub struct Processors(libc::cpu_set_t);

impl Processors {
    /// Those of now.
    pub fn now() -> Processors {
        // SAFETY: all zeros is an empty set.
        let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        // SAFETY: the kernel fills the set.
        unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) };
        Processors(set)
    }

    /// The last of them alone: interrupts tend to go to the first.
    pub fn last(self) -> Processors {
        // SAFETY: all zeros is an empty set.
        let mut one: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        // SAFETY: the index is below the set's size.
        let last = (0..libc::CPU_SETSIZE as usize).rev().find(|&cpu| unsafe { libc::CPU_ISSET(cpu, &self.0) });
        // SAFETY: as above.
        unsafe { libc::CPU_SET(last.unwrap_or(0), &mut one) };
        Processors(one)
    }

    /// From now on. Where the kernel refuses, everything stays as it is.
    pub fn set(self) {
        // SAFETY: the kernel reads the set.
        unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const self.0) };
    }
}
