//! The one list of intercepted functions, and what a record calls them.
//!
//! The library makes its table of next definitions, its exported symbols and its symbol check from [`hooks!`](crate::hooks);
//! the command and the report take names, families and counters from [`Call`].

/// The families that the `trace` option selects by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Trace {
    /// `shm_open`, `shm_unlink` and paths under the shm mount opened directly.
    Posix = 1,
    /// `shmget`, `shmat`, `shmdt`, `shmctl`, `ftok`.
    Sysv = 2,
    /// Sizes and mappings of shared-memory objects.
    Map = 4,
    /// Copies and closes of their descriptors.
    Fd = 8,
    /// Processes: made, replaced, ended.
    Process = 16,
}

/// How an argument is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arg {
    /// The record's text: an object name or a path.
    Name,
    /// The second path of a rename or a link, after the first and a NUL in the record's text.
    Name2,
    /// `O_…` flags.
    OpenFlags,
    /// Octal permission bits; left out where the flags before it do not ask for one.
    OpenMode,
    /// Octal permission bits.
    Mode,
    /// A System V key.
    Key,
    /// A System V identifier.
    Shmid,
    /// A size or count in decimal.
    Size,
    /// A signed number in decimal.
    Int,
    /// A file offset.
    Offset,
    /// `shmget` flags with permission bits.
    ShmgetFlags,
    /// `shmat` flags.
    ShmatFlags,
    /// A `shmctl` command.
    ShmCmd,
    /// The struct that a `shmctl` command reads or fills: decoded from the record's data.
    ShmBuf,
    /// An address.
    Ptr,
    /// A file descriptor.
    Fd,
    /// A directory descriptor or `AT_FDCWD`.
    DirFd,
    /// `PROT_…`.
    Prot,
    /// `MAP_…`.
    MapFlags,
    /// `MREMAP_…`.
    MremapFlags,
    /// `struct stat`, decoded from the record's data.
    Stat,
    /// `fallocate` mode.
    FallocMode,
    /// `fcntl` command.
    FcntlCmd,
    /// `close_range` flags.
    CloseRangeFlags,
    /// `memfd_create` flags.
    MemfdFlags,
    /// `AT_…` flags of `unlinkat` and `linkat`.
    AtFlags,
    /// `renameat2` flags.
    RenameFlags,
    /// `clone` flags.
    CloneFlags,
    /// An exit status.
    Status,
}

/// How a result is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ret {
    /// A descriptor, followed by its object's path.
    Fd,
    /// A number in decimal.
    Int,
    /// An address; failure is all ones.
    Ptr,
    /// A System V key in hexadecimal.
    Key,
    /// An error number instead of −1 and errno (`posix_fallocate`, `posix_spawn`).
    Errno,
    /// The call does not come back.
    Never,
}

macro_rules! calls {
    ($($(#[$doc:meta])* $variant:ident $name:literal $trace:ident ($($arg:literal $kind:ident),*) -> $ret:ident;)*) => {
        /// A call as records and reports know it: aliases (`open64`, `__open_2`) are one call.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Call { $($(#[$doc])* #[doc = concat!("`", $name, "`")] $variant,)* }

        /// Every call, in the order of its number in a record.
        pub const CALLS: &[Call] = &[$(Call::$variant,)*];

        impl Call {
            /// The C name.
            pub const fn name(self) -> &'static str {
                match self { $(Call::$variant => $name,)* }
            }
            /// The family that `trace` selects it by.
            pub const fn trace(self) -> Trace {
                match self { $(Call::$variant => Trace::$trace,)* }
            }
            /// Its arguments as records hold them: prototype's name and how it is written.
            pub const fn args(self) -> &'static [(&'static str, Arg)] {
                match self { $(Call::$variant => &[$(($arg, Arg::$kind),)*],)* }
            }
            /// How its result is written.
            pub const fn ret(self) -> Ret {
                match self { $(Call::$variant => Ret::$ret,)* }
            }
        }
    };
}

calls! {
    ShmOpen "shm_open" Posix ("name" Name, "oflag" OpenFlags, "mode" Mode) -> Fd;
    ShmUnlink "shm_unlink" Posix ("name" Name) -> Int;
    Shmget "shmget" Sysv ("key" Key, "size" Size, "shmflg" ShmgetFlags) -> Int;
    Shmat "shmat" Sysv ("shmid" Shmid, "shmaddr" Ptr, "shmflg" ShmatFlags) -> Ptr;
    Shmdt "shmdt" Sysv ("shmaddr" Ptr) -> Int;
    Shmctl "shmctl" Sysv ("shmid" Shmid, "cmd" ShmCmd, "buf" ShmBuf) -> Int;
    Ftok "ftok" Sysv ("pathname" Name, "proj_id" Int) -> Key;
    Ftruncate "ftruncate" Map ("fd" Fd, "length" Offset) -> Int;
    Fallocate "fallocate" Map ("fd" Fd, "mode" FallocMode, "offset" Offset, "len" Offset) -> Int;
    PosixFallocate "posix_fallocate" Map ("fd" Fd, "offset" Offset, "len" Offset) -> Errno;
    Fstat "fstat" Map ("fd" Fd, "statbuf" Stat) -> Int;
    Mmap "mmap" Map ("addr" Ptr, "length" Size, "prot" Prot, "flags" MapFlags, "fd" Fd, "offset" Ptr) -> Ptr;
    Munmap "munmap" Map ("addr" Ptr, "length" Size) -> Int;
    Mremap "mremap" Map ("old_address" Ptr, "old_size" Size, "new_size" Size, "flags" MremapFlags, "new_address" Ptr) -> Ptr;
    Close "close" Fd ("fd" Fd) -> Int;
    Dup "dup" Fd ("oldfd" Fd) -> Fd;
    Dup2 "dup2" Fd ("oldfd" Fd, "newfd" Int) -> Fd;
    Dup3 "dup3" Fd ("oldfd" Fd, "newfd" Int, "flags" OpenFlags) -> Fd;
    Fcntl "fcntl" Fd ("fd" Fd, "cmd" FcntlCmd, "arg" Int) -> Fd;
    CloseRange "close_range" Fd ("first" Size, "last" Size, "flags" CloseRangeFlags) -> Int;
    Closefrom "closefrom" Fd ("lowfd" Int) -> Int;
    Open "open" Posix ("pathname" Name, "flags" OpenFlags, "mode" OpenMode) -> Fd;
    Openat "openat" Posix ("dirfd" DirFd, "pathname" Name, "flags" OpenFlags, "mode" OpenMode) -> Fd;
    Creat "creat" Posix ("pathname" Name, "mode" Mode) -> Fd;
    Unlink "unlink" Posix ("pathname" Name) -> Int;
    Unlinkat "unlinkat" Posix ("dirfd" DirFd, "pathname" Name, "flags" AtFlags) -> Int;
    Rename "rename" Posix ("oldpath" Name, "newpath" Name2) -> Int;
    Renameat "renameat" Posix ("olddirfd" DirFd, "oldpath" Name, "newdirfd" DirFd, "newpath" Name2) -> Int;
    Renameat2 "renameat2" Posix ("olddirfd" DirFd, "oldpath" Name, "newdirfd" DirFd, "newpath" Name2, "flags" RenameFlags) -> Int;
    MemfdCreate "memfd_create" Posix ("name" Name, "flags" MemfdFlags) -> Fd;
    Fork "fork" Process () -> Int;
    Clone "clone" Process ("flags" CloneFlags, "stack" Ptr) -> Int;
    PosixSpawn "posix_spawn" Process ("path" Name) -> Errno;
    PosixSpawnp "posix_spawnp" Process ("file" Name) -> Errno;
    Execve "execve" Process ("pathname" Name) -> Int;
    Execv "execv" Process ("pathname" Name) -> Int;
    Execvp "execvp" Process ("file" Name) -> Int;
    Execvpe "execvpe" Process ("file" Name) -> Int;
    Execveat "execveat" Process ("dirfd" DirFd, "pathname" Name) -> Int;
    Fexecve "fexecve" Process ("fd" Fd) -> Int;
    Exit "exit" Process ("status" Status) -> Never;
    UnderscoreExit "_exit" Process ("status" Status) -> Never;
    CapitalExit "_Exit" Process ("status" Status) -> Never;
    QuickExit "quick_exit" Process ("status" Status) -> Never;
    /// Never recorded: only watched, because it takes code away that stacks lead through.
    Dlclose "dlclose" Process () -> Int;
    /// Never recorded: only watched, because it may bring a filter of system calls.
    Prctl "prctl" Process () -> Int;
    /// The program's own word to its audit, no interception: [`INTERFACE`].
    IgnoreName "shmaudit_ignore_name" Posix ("name" Name) -> Int;
    /// As above.
    IgnoreId "shmaudit_ignore_id" Sysv ("shmid" Shmid) -> Int;
    /// As above.
    Checkpoint "shmaudit_checkpoint" Process () -> Int;
    /// Never recorded: only watched, because it would lock the audit's memory with the program's.
    Mlockall "mlockall" Process () -> Int;
    Link "link" Posix ("oldpath" Name, "newpath" Name2) -> Int;
    Linkat "linkat" Posix ("olddirfd" DirFd, "oldpath" Name, "newdirfd" DirFd, "newpath" Name2, "flags" AtFlags) -> Int;
}

impl Call {
    /// The call with this number, if there is one.
    pub fn from_number(number: u8) -> Option<Call> {
        CALLS.get(usize::from(number)).copied()
    }

    /// Its number in a record.
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// Calls `$callback!` with every intercepted symbol: `symbol => Call: fn(types) -> type;`.
///
/// The types are written as libc's declarations have them, under the names of the `libc` crate; the caller brings them
/// into scope. Symbols of one line share one definition's signature.
#[macro_export]
macro_rules! hooks {
    ($callback:ident) => {
        $callback! {
            shm_open => ShmOpen: fn(*const c_char, c_int, mode_t) -> c_int;
            shm_unlink => ShmUnlink: fn(*const c_char) -> c_int;
            shmget => Shmget: fn(key_t, size_t, c_int) -> c_int;
            shmat => Shmat: fn(c_int, *const c_void, c_int) -> *mut c_void;
            shmdt => Shmdt: fn(*const c_void) -> c_int;
            shmctl => Shmctl: fn(c_int, c_int, *mut shmid_ds) -> c_int;
            ftok => Ftok: fn(*const c_char, c_int) -> key_t;
            ftruncate => Ftruncate: fn(c_int, i64) -> c_int;
            ftruncate64 => Ftruncate: fn(c_int, i64) -> c_int;
            fallocate => Fallocate: fn(c_int, c_int, i64, i64) -> c_int;
            fallocate64 => Fallocate: fn(c_int, c_int, i64, i64) -> c_int;
            posix_fallocate => PosixFallocate: fn(c_int, i64, i64) -> c_int;
            posix_fallocate64 => PosixFallocate: fn(c_int, i64, i64) -> c_int;
            fstat => Fstat: fn(c_int, *mut stat) -> c_int;
            fstat64 => Fstat: fn(c_int, *mut stat) -> c_int;
            __fxstat => Fstat: fn(c_int, c_int, *mut stat) -> c_int;
            __fxstat64 => Fstat: fn(c_int, c_int, *mut stat) -> c_int;
            mmap => Mmap: fn(*mut c_void, size_t, c_int, c_int, c_int, i64) -> *mut c_void;
            mmap64 => Mmap: fn(*mut c_void, size_t, c_int, c_int, c_int, i64) -> *mut c_void;
            munmap => Munmap: fn(*mut c_void, size_t) -> c_int;
            mremap => Mremap: fn(*mut c_void, size_t, size_t, c_int, *mut c_void) -> *mut c_void;
            close => Close: fn(c_int) -> c_int;
            fdopen => Close: fn(c_int, *const c_char) -> *mut FILE;
            dup => Dup: fn(c_int) -> c_int;
            dup2 => Dup2: fn(c_int, c_int) -> c_int;
            dup3 => Dup3: fn(c_int, c_int, c_int) -> c_int;
            fcntl => Fcntl: fn(c_int, c_int, usize) -> c_int;
            fcntl64 => Fcntl: fn(c_int, c_int, usize) -> c_int;
            close_range => CloseRange: fn(c_uint, c_uint, c_int) -> c_int;
            closefrom => Closefrom: fn(c_int);
            open => Open: fn(*const c_char, c_int, mode_t) -> c_int;
            open64 => Open: fn(*const c_char, c_int, mode_t) -> c_int;
            __open_2 => Open: fn(*const c_char, c_int) -> c_int;
            __open64_2 => Open: fn(*const c_char, c_int) -> c_int;
            openat => Openat: fn(c_int, *const c_char, c_int, mode_t) -> c_int;
            openat64 => Openat: fn(c_int, *const c_char, c_int, mode_t) -> c_int;
            __openat_2 => Openat: fn(c_int, *const c_char, c_int) -> c_int;
            __openat64_2 => Openat: fn(c_int, *const c_char, c_int) -> c_int;
            creat => Creat: fn(*const c_char, mode_t) -> c_int;
            creat64 => Creat: fn(*const c_char, mode_t) -> c_int;
            unlink => Unlink: fn(*const c_char) -> c_int;
            remove => Unlink: fn(*const c_char) -> c_int;
            unlinkat => Unlinkat: fn(c_int, *const c_char, c_int) -> c_int;
            rename => Rename: fn(*const c_char, *const c_char) -> c_int;
            renameat => Renameat: fn(c_int, *const c_char, c_int, *const c_char) -> c_int;
            renameat2 => Renameat2: fn(c_int, *const c_char, c_int, *const c_char, c_uint) -> c_int;
            link => Link: fn(*const c_char, *const c_char) -> c_int;
            linkat => Linkat: fn(c_int, *const c_char, c_int, *const c_char, c_int) -> c_int;
            memfd_create => MemfdCreate: fn(*const c_char, c_uint) -> c_int;
            fork => Fork: fn() -> pid_t;
            _Fork => Fork: fn() -> pid_t;
            vfork => Fork: fn() -> pid_t;
            clone => Clone: fn(*mut c_void, *mut c_void, c_int, *mut c_void, *mut c_void, *mut c_void, *mut c_void) -> c_int;
            posix_spawn => PosixSpawn: fn(*mut pid_t, *const c_char, *const c_void, *const c_void, *const *const c_char, *const *const c_char) -> c_int;
            posix_spawnp => PosixSpawnp: fn(*mut pid_t, *const c_char, *const c_void, *const c_void, *const *const c_char, *const *const c_char) -> c_int;
            execve => Execve: fn(*const c_char, *const *const c_char, *const *const c_char) -> c_int;
            execv => Execv: fn(*const c_char, *const *const c_char) -> c_int;
            execvp => Execvp: fn(*const c_char, *const *const c_char) -> c_int;
            execvpe => Execvpe: fn(*const c_char, *const *const c_char, *const *const c_char) -> c_int;
            execl => Execv: fn(*const c_char, *const c_char) -> c_int;
            execlp => Execvp: fn(*const c_char, *const c_char) -> c_int;
            execle => Execve: fn(*const c_char, *const c_char) -> c_int;
            execveat => Execveat: fn(c_int, *const c_char, *const *const c_char, *const *const c_char, c_int) -> c_int;
            fexecve => Fexecve: fn(c_int, *const *const c_char, *const *const c_char) -> c_int;
            exit => Exit: fn(c_int) -> !;
            _exit => UnderscoreExit: fn(c_int) -> !;
            _Exit => CapitalExit: fn(c_int) -> !;
            quick_exit => QuickExit: fn(c_int) -> !;
            dlclose => Dlclose: fn(*mut c_void) -> c_int;
            mlockall => Mlockall: fn(c_int) -> c_int;
            prctl => Prctl: fn(c_int, usize, usize, usize, usize) -> c_int;
        }
    };
}

macro_rules! hook_names {
    ($($symbol:ident => $call:ident: fn($($type:ty),*) $(-> $ret:ty)?;)*) => {
        /// Every intercepted symbol and the call it is recorded as.
        pub const HOOKS: &[(&str, Call)] = &[$((stringify!($symbol), Call::$call),)*];
    };
}
hooks!(hook_names);

/// Symbols of the C interface, exported beside [`HOOKS`].
pub const INTERFACE: &[&str] = &[
    "shmaudit_version",
    "shmaudit_leak_check",
    "shmaudit_leak_check_since",
    "shmaudit_checkpoint",
    "shmaudit_stats_get",
    "shmaudit_for_each_object",
    "shmaudit_ignore_name",
    "shmaudit_ignore_id",
    "shmaudit_pause",
    "shmaudit_resume",
];
