//! A call's arguments in strace's words.

use crate::calls::{Arg, Call};
use crate::line::Line;
use crate::procfs::fd_link;
use crate::record::{Event, State};
use crate::words::{self, ShmInfoLimits, ShmInfoUsage, ShmidDs};

use super::{ELLIPSIS, Name, head, name};

/// How names and descriptors are shown.
#[derive(Clone, Copy)]
pub(super) struct Style<'a> {
    /// The object behind the call's descriptor.
    pub object_path: Option<&'a [u8]>,
    /// Most bytes shown of a name.
    pub limit: usize,
}

/// One argument as its call's prototype has it.
#[derive(Clone, Copy)]
pub(super) struct Argument {
    /// The prototype's name.
    pub name: &'static str,
    /// How it is written.
    pub kind: Arg,
    /// Its value, where it is a number or an address.
    pub value: u64,
}

impl Argument {
    /// The value as the `int` it was.
    pub fn int(&self) -> i32 {
        self.value as u32 as i32
    }
}

/// The arguments that the call reads: without the mode of an `open` that makes nothing and its like.
pub(super) fn arguments<'a>(event: &'a Event) -> impl Iterator<Item = Argument> + use<'a> {
    let mut next = 0usize;
    event.call.args().iter().filter_map(move |&(name, kind)| {
        let index = next;
        let value = match kind {
            Arg::Name | Arg::Name2 | Arg::Stat => 0,
            _ => {
                next = next.saturating_add(1);
                event.arg(index)
            }
        };
        let before = event.arg(index.wrapping_sub(1)) as i32;
        const MOVES: i32 = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        let read = match (event.call, kind) {
            (_, Arg::OpenMode) => words::open_takes_mode(before),
            (Call::Mremap, Arg::Ptr) if index > 0 => before & MOVES == MOVES,
            (Call::Fcntl, Arg::Int) => !matches!(before, libc::F_GETFD | libc::F_GETFL | libc::F_GETOWN),
            _ => true,
        };
        if read { Some(Argument { name, kind, value }) } else { None }
    })
}

/// Writes the first `most` arguments, `, ` between them.
pub(super) fn list(line: &mut Line, event: &Event, style: Style, most: usize) {
    let mut first = true;
    for argument in arguments(event).take(most) {
        if !first {
            line.str(", ");
        }
        first = false;
        one(line, event, style, argument);
    }
}

/// Of an exec in a child that shares its parent's memory nothing reads the path; its record has the child's pid for that.
pub(super) fn is_unread(event: &Event) -> bool {
    use Call::{Execv, Execve, Execveat, Execvp, Execvpe};
    let own = usize::from(event.call == Execveat);
    event.args.len() > own
        && event.data.is_empty()
        && matches!(event.call, Execv | Execve | Execveat | Execvp | Execvpe)
}

#[inline(never)]
fn one(line: &mut Line, event: &Event, style: Style, argument: Argument) {
    match argument.kind {
        Arg::Name if is_unread(event) => line.str(ELLIPSIS),
        Arg::Name => quoted(line, name(event, false), style.limit),
        Arg::Name2 => quoted(line, name(event, true), style.limit),
        Arg::Fd => fd(line, argument.int(), style),
        Arg::Ptr if argument.name == "offset" => file_offset(line, argument.value),
        Arg::Ptr => words::pointer(line, argument.value),
        Arg::ShmBuf => shm_buf(line, event, argument.value),
        Arg::Stat => match stat(event) {
            Some((mode, size)) => words::stat_short(line, mode, size),
            None => line.str(ELLIPSIS),
        },
        Arg::Size => line.dec(argument.value),
        Arg::Offset => line.int(argument.value as i64),
        Arg::Int | Arg::Shmid | Arg::Status => line.int(i64::from(argument.int())),
        _ => symbolic(line, event, argument),
    }
}

/// Flags, commands, modes, keys: what is written by a name.
pub(super) fn symbolic(line: &mut Line, event: &Event, argument: Argument) {
    let value = argument.int();
    match argument.kind {
        Arg::OpenFlags if event.call == Call::Dup3 => words::dup3_flags(line, value),
        Arg::OpenFlags => words::open_flags(line, value),
        Arg::OpenMode | Arg::Mode => words::mode(line, value as u32),
        Arg::Key => words::key(line, value),
        Arg::ShmgetFlags => words::shmget_flags(line, value),
        Arg::ShmatFlags => words::shmat_flags(line, value),
        Arg::ShmCmd => words::shmctl_cmd(line, value),
        Arg::DirFd => words::dirfd(line, value),
        Arg::Prot => words::mmap_prot(line, value),
        Arg::MapFlags => words::mmap_flags(line, value),
        Arg::MremapFlags => words::mremap_flags(line, value),
        Arg::FallocMode => words::fallocate_mode(line, value),
        Arg::FcntlCmd => words::fcntl_cmd(line, value),
        Arg::CloseRangeFlags => words::close_range_flags(line, value),
        Arg::MemfdFlags => words::memfd_flags(line, value as u32),
        Arg::AtFlags => words::at_flags(line, value),
        Arg::RenameFlags => words::renameat2_flags(line, value as u32),
        Arg::CloneFlags => words::clone_flags(line, u64::from(value as u32)),
        Arg::Name | Arg::Name2 | Arg::Stat | Arg::ShmBuf | Arg::Fd | Arg::Ptr => {}
        Arg::Size | Arg::Offset | Arg::Int | Arg::Shmid | Arg::Status => {}
    }
}

/// A descriptor, with the object behind it where that is known.
pub(super) fn fd(line: &mut Line, number: i32, style: Style) {
    match style.object_path {
        Some(link) if number >= 0 && link.len() <= style.limit => words::fd_target(line, number, fd_link(link)),
        Some(link) if number >= 0 => {
            line.int(i64::from(number));
            line.byte(b'<');
            words::escaped(line, head(link, style.limit));
            line.str(ELLIPSIS);
            line.byte(b'>');
        }
        _ => line.int(i64::from(number)),
    }
}

/// A name in quotes, `...` behind it where that is not all, or in its place where it was not read.
pub(super) fn quoted(line: &mut Line, name: Option<Name>, limit: usize) {
    let Some(name) = name else { return line.str(ELLIPSIS) };
    let shown = head(name.bytes, limit);
    words::quoted(line, shown);
    if name.cut || shown.len() < name.bytes.len() {
        line.str(ELLIPSIS);
    }
}

/// The offset of an `mmap`, as C's `%#lx` writes it.
fn file_offset(line: &mut Line, offset: u64) {
    if offset == 0 {
        line.byte(b'0');
    } else {
        line.hex(offset);
    }
}

/// `st_mode` and `st_size` that a successful `fstat` filled.
pub(super) fn stat(event: &Event) -> Option<(u32, u64)> {
    let (mode, rest) = event.data.split_first_chunk::<8>()?;
    let size = rest.first_chunk::<8>()?;
    Some((u64::from_le_bytes(*mode) as u32, u64::from_le_bytes(*size)))
}

/// The struct that a successful `shmctl` read or filled.
pub(super) enum ShmStruct {
    /// `IPC_STAT`, `SHM_STAT`, `SHM_STAT_ANY`.
    Stat(ShmidDs),
    /// `IPC_SET`.
    Set(ShmidDs),
    /// `IPC_INFO`.
    Limits(ShmInfoLimits),
    /// `SHM_INFO`.
    Usage(ShmInfoUsage),
}

const SHM_STAT: i32 = 13;
const SHM_INFO: i32 = 14;
const SHM_STAT_ANY: i32 = 15;

pub(super) fn shm_struct(event: &Event) -> Option<ShmStruct> {
    if event.failed() || event.state == State::Begun {
        return None;
    }
    match event.arg(1) as i32 {
        libc::IPC_STAT | SHM_STAT | SHM_STAT_ANY => ShmidDs::from_bytes(event.data).map(ShmStruct::Stat),
        libc::IPC_SET => ShmidDs::from_bytes(event.data).map(ShmStruct::Set),
        libc::IPC_INFO => ShmInfoLimits::from_bytes(event.data).map(ShmStruct::Limits),
        SHM_INFO => ShmInfoUsage::from_bytes(event.data).map(ShmStruct::Usage),
        _ => None,
    }
}

#[inline(never)]
fn shm_buf(line: &mut Line, event: &Event, address: u64) {
    match shm_struct(event) {
        Some(ShmStruct::Stat(ds)) => words::shmid_ds(line, &ds),
        Some(ShmStruct::Set(ds)) => words::shmid_ds_set(line, &ds),
        Some(ShmStruct::Limits(info)) => words::shminfo(line, &info),
        Some(ShmStruct::Usage(info)) => words::shm_info(line, &info),
        None => words::pointer(line, address),
    }
}
