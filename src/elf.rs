//! Loaded ELF files of this process: where they are, what they define, where their unwind tables lie.
//!
//! Reading the loader's own list replaces `dlsym`: it takes no memory, leaves no text in the program's `dlerror`, and
//! exists in every C library, also where `dlsym` does not (glibc before 2.34 without libdl).

use core::ffi::{CStr, c_int, c_void};

#[repr(C)]
struct PhdrInfo {
    bias: usize,
    name: *const i8,
    headers: *const libc::Elf64_Phdr,
    count: u16,
}

unsafe extern "C" {
    fn dl_iterate_phdr(
        callback: unsafe extern "C" fn(*const PhdrInfo, usize, *mut c_void) -> c_int,
        data: *mut c_void,
    ) -> c_int;
}

const DT_HASH: u64 = 4;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_GNU_HASH: u64 = 0x6fff_fef5;
const DT_VERSYM: u64 = 0x6fff_fff0;
const PT_GNU_EH_FRAME: u32 = 0x6474_e550;

/// A file that the loader has mapped.
pub struct Module {
    /// What is added to the file's addresses.
    pub bias: usize,
    /// First address of its segments.
    pub start: usize,
    /// Address after the last.
    pub end: usize,
    name: *const i8,
    headers: *const libc::Elf64_Phdr,
    count: usize,
}

impl Module {
    fn from(info: &PhdrInfo) -> Module {
        let mut module = Module {
            bias: info.bias,
            start: usize::MAX,
            end: 0,
            name: info.name,
            headers: info.headers,
            count: usize::from(info.count),
        };
        for header in module.headers().filter(|header| header.p_type == libc::PT_LOAD) {
            let start = module.bias.wrapping_add(header.p_vaddr as usize);
            module.start = module.start.min(start & !4095);
            module.end = module.end.max(start.wrapping_add(header.p_memsz as usize));
        }
        module
    }

    /// The file mapped at `base`, of whose beginning `head`, which is aligned and outlives the module, is a copy.
    pub fn at(base: usize, head: &[u64]) -> Option<Module> {
        const HEADER: usize = size_of::<libc::Elf64_Ehdr>();
        let length = size_of_val(head);
        if length < HEADER {
            return None;
        }
        // SAFETY: as many bytes are there, aligned; any bytes make a header.
        let header = unsafe { &*head.as_ptr().cast::<libc::Elf64_Ehdr>() };
        let table = header.e_phoff as usize;
        let entry = size_of::<libc::Elf64_Phdr>();
        let end = table.checked_add(usize::from(header.e_phnum) * entry)?;
        if header.e_ident.get(..4) != Some(b"\x7fELF")
            || usize::from(header.e_phentsize) != entry
            || !table.is_multiple_of(8)
            || end > length
        {
            return None;
        }
        let headers = head.as_ptr().wrapping_byte_add(table).cast::<libc::Elf64_Phdr>();
        // SAFETY: as above, and the whole table is within them.
        let first = (0..usize::from(header.e_phnum)).map(|index| unsafe { &*headers.add(index) });
        let lowest = first
            .filter(|header| header.p_type == libc::PT_LOAD)
            .map(|header| header.p_vaddr as usize & !4095)
            .min()?;
        let info =
            PhdrInfo { bias: base.wrapping_sub(lowest), name: core::ptr::null(), headers, count: header.e_phnum };
        Some(Module::from(&info))
    }

    /// Its program headers.
    pub fn headers(&self) -> impl Iterator<Item = &'static libc::Elf64_Phdr> + use<> {
        let headers = self.headers;
        // SAFETY: the loader keeps a loaded file's headers mapped; `count` is theirs.
        (0..self.count).map(move |index| unsafe { &*headers.add(index) })
    }

    /// The loader's name for it; empty for the program itself.
    pub fn name(&self) -> &'static [u8] {
        if self.name.is_null() {
            return &[];
        }
        // SAFETY: the loader's own string, as long-lived as the module.
        unsafe { CStr::from_ptr(self.name.cast()) }.to_bytes()
    }

    /// Whether `address` lies in it.
    pub fn holds(&self, address: usize) -> bool {
        (self.start..self.end).contains(&address)
    }

    /// The mapped bytes at file address `vaddr`, if one segment that is mapped readable holds them all.
    pub fn bytes(&self, vaddr: usize, length: usize) -> Option<&'static [u8]> {
        let end = vaddr.checked_add(length)?;
        let held = self.headers().any(|header| {
            let start = header.p_vaddr as usize;
            header.p_type == libc::PT_LOAD
                && header.p_flags & libc::PF_R != 0
                && start <= vaddr
                && end <= start.saturating_add(header.p_memsz as usize)
        });
        if !held {
            return None;
        }
        // SAFETY: within a readable segment of a loaded file. Files loaded at start stay; the others' bytes are copied
        // by whoever keeps them.
        Some(unsafe { core::slice::from_raw_parts((self.bias.wrapping_add(vaddr)) as *const u8, length) })
    }

    /// `.eh_frame_hdr`: (file address, bytes).
    pub fn eh_frame_hdr(&self) -> Option<(usize, &'static [u8])> {
        let header = self.headers().find(|header| header.p_type == PT_GNU_EH_FRAME)?;
        let bytes = self.bytes(header.p_vaddr as usize, header.p_memsz as usize)?;
        Some((header.p_vaddr as usize, bytes))
    }

    /// End of the readable segment that holds `vaddr`, as a file address.
    pub fn segment_end(&self, vaddr: usize) -> Option<usize> {
        self.headers()
            .filter(|header| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_R != 0)
            .map(|header| (header.p_vaddr as usize, header.p_vaddr as usize + header.p_memsz as usize))
            .find(|&(start, end)| start <= vaddr && vaddr < end)
            .map(|(_, end)| end)
    }

    /// The GNU build id.
    pub fn build_id(&self) -> Option<&'static [u8]> {
        self.notes().find_map(build_id)
    }

    /// The notes.
    pub fn notes(&self) -> impl Iterator<Item = &'static [u8]> {
        self.headers()
            .filter(|header| header.p_type == libc::PT_NOTE)
            .filter_map(|header| self.bytes(header.p_vaddr as usize, header.p_memsz as usize))
    }

    /// The address of a function or object that this file defines under its default version.
    pub fn symbol(&self, name: &CStr) -> Option<usize> {
        let dynamic = self.headers().find(|header| header.p_type == libc::PT_DYNAMIC)?;
        let mut entry = self.bias.wrapping_add(dynamic.p_vaddr as usize) as *const [u64; 2];
        let (mut strings, mut symbols, mut gnu, mut sysv, mut versions) = (0usize, 0usize, 0usize, 0usize, 0usize);
        loop {
            // SAFETY: the loader's dynamic section ends with a zero tag.
            let [tag, value] = unsafe { *entry };
            // glibc relocates these addresses in place, musl and the vDSO leave them as the file has them.
            let value = value as usize;
            let address = if value < self.bias { self.bias + value } else { value };
            match tag {
                0 => break,
                DT_HASH => sysv = address,
                DT_STRTAB => strings = address,
                DT_SYMTAB => symbols = address,
                DT_GNU_HASH => gnu = address,
                DT_VERSYM => versions = address,
                _ => {}
            }
            // SAFETY: not the last entry, so there is a next one.
            entry = unsafe { entry.add(1) };
        }
        if strings == 0 || symbols == 0 {
            return None;
        }
        let table = Table { bias: self.bias, strings, symbols, versions };
        // SAFETY: the tables of a loaded file, laid out as the ELF gABI and the GNU hash section say.
        unsafe {
            if gnu != 0 {
                table.by_gnu_hash(gnu, name)
            } else if sysv != 0 {
                table.by_hash(sysv, name)
            } else {
                None
            }
        }
    }
}

/// The GNU build id among these notes.
pub fn build_id(mut notes: &[u8]) -> Option<&[u8]> {
    while notes.len() >= 12 {
        let word = |at: usize| notes.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize);
        let (name, size, kind) = (word(0)?, word(4)?, word(8)?);
        let at = 12usize.checked_add(name.checked_next_multiple_of(4)?)?;
        if kind == 3 && notes.get(12..12 + name) == Some(b"GNU\0") {
            return notes.get(at..at.checked_add(size)?);
        }
        notes = notes.get(at.checked_add(size.checked_next_multiple_of(4)?)?..)?;
    }
    None
}

struct Table {
    bias: usize,
    strings: usize,
    symbols: usize,
    versions: usize,
}

impl Table {
    /// The address of symbol `index` if it is a defined, default-version `name`.
    ///
    /// # Safety
    /// The tables are a loaded file's and `index` is in them.
    unsafe fn check(&self, index: usize, name: &CStr) -> Option<usize> {
        // SAFETY: the caller vouches for the tables and the index.
        unsafe {
            let symbol = &*(self.symbols as *const libc::Elf64_Sym).add(index);
            let defined = symbol.st_shndx != 0 && symbol.st_value != 0;
            if !defined || CStr::from_ptr((self.strings + symbol.st_name as usize) as *const _) != name {
                return None;
            }
            let hidden = self.versions != 0 && *(self.versions as *const u16).add(index) & 0x8000 != 0;
            if hidden {
                return None;
            }
            let address = self.bias.wrapping_add(symbol.st_value as usize);
            const STT_GNU_IFUNC: u8 = 10;
            if symbol.st_info & 0xF == STT_GNU_IFUNC {
                let resolver: extern "C" fn() -> usize = core::mem::transmute(address);
                return Some(resolver());
            }
            Some(address)
        }
    }

    /// # Safety
    /// `gnu` is the file's GNU hash section.
    unsafe fn by_gnu_hash(&self, gnu: usize, name: &CStr) -> Option<usize> {
        let mut hash = 5381u32;
        for &byte in name.to_bytes() {
            hash = hash.wrapping_mul(33).wrapping_add(u32::from(byte));
        }
        // SAFETY: the section's layout: four words, the filter, the buckets, the chains.
        unsafe {
            let word = |at: usize| *((gnu + 4 * at) as *const u32);
            let (buckets, first, filter) = (word(0), word(1), word(2) as usize);
            if buckets == 0 {
                return None;
            }
            let bucket_at = gnu + 16 + filter * 8;
            let chain_at = bucket_at + buckets as usize * 4;
            let mut index = *((bucket_at + (hash % buckets) as usize * 4) as *const u32);
            if index < first {
                return None;
            }
            loop {
                let chained = *((chain_at + (index - first) as usize * 4) as *const u32);
                if chained | 1 == hash | 1
                    && let Some(address) = self.check(index as usize, name)
                {
                    return Some(address);
                }
                if chained & 1 != 0 {
                    return None;
                }
                index += 1;
            }
        }
    }

    /// # Safety
    /// `sysv` is the file's hash section.
    unsafe fn by_hash(&self, sysv: usize, name: &CStr) -> Option<usize> {
        let mut hash = 0u32;
        for &byte in name.to_bytes() {
            hash = (hash << 4).wrapping_add(u32::from(byte));
            let high = hash & 0xF000_0000;
            hash = (hash ^ (high >> 24)) & !high;
        }
        // SAFETY: the section's layout: two counts, the buckets, the chains.
        unsafe {
            let word = |at: usize| *((sysv + 4 * at) as *const u32);
            let buckets = word(0);
            if buckets == 0 {
                return None;
            }
            let mut index = word(2 + (hash % buckets) as usize);
            while index != 0 {
                if let Some(address) = self.check(index as usize, name) {
                    return Some(address);
                }
                index = word(2 + buckets as usize + index as usize);
            }
            None
        }
    }
}

/// Calls `each` with every loaded file in the loader's order, until it returns `false`.
pub fn modules(mut each: impl FnMut(&Module) -> bool) {
    unsafe extern "C" fn visit(info: *const PhdrInfo, _: usize, data: *mut c_void) -> c_int {
        // SAFETY: the loader passes a valid info, and `data` is the closure below, alive through the walk.
        let (info, each) = unsafe { (&*info, &mut *data.cast::<&mut dyn FnMut(&Module) -> bool>()) };
        c_int::from(!each(&Module::from(info)))
    }
    let mut each: &mut dyn FnMut(&Module) -> bool = &mut each;
    // SAFETY: `visit` matches the declaration and gets the closure back.
    unsafe { dl_iterate_phdr(visit, (&raw mut each).cast()) };
}

/// An address inside this library.
pub fn own_address() -> usize {
    own_address as *const () as usize
}

/// Resolves names to their first definitions, this library's left out.
pub fn definitions(names: &[&CStr], mut found: impl FnMut(usize, usize)) {
    let own = own_address();
    let mut done = [false; 128];
    modules(|module| {
        if !module.holds(own) {
            look_up(module, names, &mut done, &mut found);
        }
        true
    });
}

fn look_up(module: &Module, names: &[&CStr], done: &mut [bool; 128], found: &mut impl FnMut(usize, usize)) {
    for (index, name) in names.iter().enumerate() {
        let Some(done) = done.get_mut(index).filter(|done| !**done) else { continue };
        if let Some(address) = module.symbol(name) {
            *done = true;
            wrong!(LastIsNext => { *done = false });
            found(index, address);
        }
    }
}

/// Resolves names to the definitions that come next after this library, or, where it was loaded late, to the first that
/// are not its own. `each(index)` gives the name, `found(index, address)` takes it.
pub fn next_definitions(names: &[&CStr], mut found: impl FnMut(usize, usize)) {
    #[cfg(feature = "wrong")]
    let mut found = |index: usize, address| {
        let of_librt = names.get(index).is_some_and(|name| name.to_bytes().starts_with(b"shm_"));
        if !(of_librt && crate::wrong::is(crate::wrong::Wrong::NoLibrt)) {
            found(index, address);
        }
    };
    let own = own_address();
    let mut done = [false; 128];
    for from_start in [false, true] {
        let mut after = from_start;
        modules(|module| {
            if module.holds(own) {
                after = true;
                wrong!(NextIsOwn => { look_up(module, names, &mut done, &mut found) });
                return true;
            }
            if after {
                look_up(module, names, &mut done, &mut found);
            }
            true
        });
    }
}
