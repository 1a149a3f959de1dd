//! What is timed: the works of `calls.c`.

/// A kind of call or cycle of calls.
pub struct Work {
    /// Its name in `calls.c`.
    pub name: &'static str,
    /// What readers call it.
    pub title: &'static str,
    /// What it takes bare, roughly, in nanoseconds: for choosing how often.
    pub takes: f64,
    /// Its system calls.
    pub syscalls: &'static [&'static str],
    /// Its functions.
    pub functions: &'static [&'static str],
    /// Times after which the library's ring has turned and all of its pages have been touched.
    pub turn: usize,
    /// Whether it is what tracers are compared by.
    pub compared: bool,
}

/// All of them.
pub const WORKS: &[Work] = &[
    Work {
        name: "get",
        title: "shmget of an existing key",
        takes: 400.0,
        syscalls: &["shmget"],
        functions: &["shmget"],
        turn: 140_000,
        compared: true,
    },
    Work {
        name: "deep",
        title: "the same, 10 deep",
        takes: 400.0,
        syscalls: &["shmget"],
        functions: &["shmget"],
        turn: 140_000,
        compared: true,
    },
    Work {
        name: "varied",
        title: "10 deep, by another way each time",
        takes: 450.0,
        syscalls: &["shmget"],
        functions: &["shmget"],
        turn: 140_000,
        compared: false,
    },
    Work {
        name: "sysv",
        title: "shmget shmat shmdt RMID",
        takes: 14_000.0,
        syscalls: &["shmget", "shmat", "shmdt", "shmctl"],
        functions: &["shmget", "shmat", "shmdt", "shmctl"],
        turn: 33_000,
        compared: true,
    },
    Work {
        name: "posix",
        title: "shm_open ftruncate mmap munmap close shm_unlink",
        takes: 16_000.0,
        syscalls: &["openat", "ftruncate", "mmap", "munmap", "close", "unlink"],
        functions: &["shm_open", "ftruncate", "mmap", "munmap", "close", "shm_unlink"],
        turn: 22_000,
        compared: true,
    },
    Work {
        name: "mapping",
        title: "mmap munmap of an object",
        takes: 3_500.0,
        syscalls: &["mmap", "munmap"],
        functions: &["mmap", "munmap"],
        turn: 66_000,
        compared: false,
    },
    Work {
        name: "fstat",
        title: "fstat of an object",
        takes: 430.0,
        syscalls: &["fstat"],
        functions: &["fstat"],
        turn: 140_000,
        compared: false,
    },
    Work {
        name: "anonymous",
        title: "anonymous mmap munmap",
        takes: 3_000.0,
        syscalls: &["mmap", "munmap"],
        functions: &["mmap", "munmap"],
        turn: 0,
        compared: false,
    },
    Work {
        name: "dup",
        title: "dup and close of a plain descriptor, each",
        takes: 500.0,
        syscalls: &["dup", "close"],
        functions: &["dup", "close"],
        turn: 0,
        compared: false,
    },
];

/// The work of this name.
pub fn work(name: &str) -> &'static Work {
    WORKS.iter().find(|work| work.name == name).expect("a name of the table above")
}

/// How a work is run.
#[derive(Clone, Copy)]
pub struct Shape {
    /// Threads that do it at once.
    pub threads: usize,
    /// Objects or mappings that live meanwhile.
    pub live: usize,
    /// Times before the first batch.
    pub warm: usize,
    /// Batches.
    pub batches: usize,
    /// Times a batch.
    pub times: usize,
}

impl Work {
    /// Calls that one time of it counts as.
    pub fn calls(&self) -> usize {
        if self.name == "dup" { 2 } else { 1 }
    }

    /// The arguments of `calls.c` for it.
    pub fn arguments(&self, shape: Shape) -> Vec<String> {
        let numbers = [shape.threads, shape.live, shape.warm, shape.batches, shape.times];
        std::iter::once(self.name.to_string()).chain(numbers.iter().map(usize::to_string)).collect()
    }
}
