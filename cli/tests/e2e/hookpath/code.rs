//! The machine code of a shared library as a graph: which function calls which, what it calls by a pointer, which system
//! calls it makes itself.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use iced_x86::{Code as Opcode, Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic};
use iced_x86::{OpAccess, OpKind, Register};
use object::read::elf::ElfFile64;
use object::{Object, ObjectSection, ObjectSegment, ObjectSymbol, ObjectSymbolTable, RelocationTarget, SymbolKind};

use crate::trial::Stop;
use crate::{check, fail};

/// What a call by a pointer leads to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pointer {
    /// A function of another library, by its name.
    Import(String),
    /// What a variable of the library holds, by the variable's name.
    Variable(String),
    /// What cannot be told from the code.
    Unknown,
}

/// A function.
#[derive(Clone, Debug, Default)]
pub struct Function {
    /// Its name, demangled, without the hash.
    pub name: String,
    /// The functions that it calls or jumps into.
    pub calls: BTreeSet<u64>,
    /// What it calls by a pointer.
    pub pointers: BTreeSet<Pointer>,
    /// The system calls that it makes itself; `None` where the number is not a constant.
    pub syscalls: BTreeSet<Option<u32>>,
    /// Whether it has an instruction that ends the process.
    pub traps: bool,
}

/// All of them.
pub struct Code {
    /// By address.
    pub functions: BTreeMap<u64, Function>,
    names: BTreeMap<String, u64>,
}

/// Where something lies.
struct Place {
    name: String,
    end: u64,
}

struct Reader<'a> {
    file: ElfFile64<'a>,
    functions: BTreeMap<u64, Place>,
    names: BTreeMap<String, u64>,
    variables: BTreeMap<u64, Place>,
    imports: BTreeMap<u64, String>,
    info: InstructionInfoFactory,
}

impl Code {
    /// Reads a library that still has its symbols.
    pub fn read(path: &Path) -> Result<Code, Stop> {
        let bytes = std::fs::read(path)?;
        let mut reader = Reader::new(&bytes)?;
        let mut functions = BTreeMap::new();
        let starts: Vec<u64> = reader.functions.keys().copied().collect();
        for start in starts {
            functions.insert(start, reader.function(start)?);
        }
        Ok(Code { functions, names: reader.names })
    }

    /// The function of this name.
    pub fn named(&self, name: &str) -> Result<u64, Stop> {
        self.names.get(name).copied().ok_or_else(|| Stop::Fail(format!("no function {name}: stripped, or renamed")))
    }

    /// A function's name.
    pub fn name(&self, at: u64) -> &str {
        self.functions.get(&at).map_or("?", |function| &function.name)
    }

    /// All that is reached from `from`, each with the function that it was reached from. What `enters` denies is not.
    pub fn reached(&self, from: u64, mut enters: impl FnMut(&str) -> bool) -> BTreeMap<u64, u64> {
        let mut came = BTreeMap::from([(from, from)]);
        let mut todo = vec![from];
        while let Some(at) = todo.pop() {
            for &next in self.functions.get(&at).map(|function| &function.calls).into_iter().flatten() {
                if !came.contains_key(&next) && enters(self.name(next)) {
                    came.insert(next, at);
                    todo.push(next);
                }
            }
        }
        came
    }

    /// `shmget -> note -> append`: how `to` was reached.
    pub fn way(&self, came: &BTreeMap<u64, u64>, to: u64) -> String {
        let mut names = vec![self.name(to)];
        let mut at = to;
        while let Some(&before) = came.get(&at).filter(|&&before| before != at) {
            names.push(self.name(before));
            at = before;
        }
        names.reverse();
        names.join(" -> ")
    }
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Result<Reader<'a>, Stop> {
        let file = ElfFile64::parse(bytes)?;
        let text = file.section_by_name(".text").map(|section| section.index());
        let (mut functions, mut variables, mut names) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for symbol in file.symbols().filter(|symbol| symbol.is_definition()) {
            let map = match symbol.kind() {
                SymbolKind::Data => &mut variables,
                // What is written in assembly has a place and no type.
                SymbolKind::Text | SymbolKind::Unknown if symbol.section_index() == text => &mut functions,
                _ => continue,
            };
            let name = format!("{:#}", rustc_demangle::demangle(symbol.name()?));
            let name = name.split(".llvm.").next().unwrap_or(&name).trim_end_matches(".0").to_string();
            names.insert(name.clone(), symbol.address());
            map.insert(symbol.address(), Place { name, end: symbol.address() + symbol.size() });
        }
        if functions.is_empty() {
            return Err(Stop::Unfit("a library that still has its symbols".into()));
        }
        let mut imports = BTreeMap::new();
        for (at, relocation) in file.dynamic_relocations().into_iter().flatten() {
            if let (RelocationTarget::Symbol(index), Some(table)) = (relocation.target(), file.dynamic_symbol_table()) {
                imports.insert(at, table.symbol_by_index(index)?.name()?.to_string());
            }
        }
        Ok(Reader { file, functions, names, variables, imports, info: InstructionInfoFactory::new() })
    }

    /// The instructions from `start` to `end`.
    fn instructions(&self, start: u64, end: u64) -> Vec<Instruction> {
        let holds = |address: u64, size: u64| (address..address + size).contains(&start);
        let segment = self.file.segments().find(|segment| holds(segment.address(), segment.size()));
        let bytes = segment.and_then(|segment| segment.data_range(start, end - start).ok().flatten()).unwrap_or(&[]);
        Decoder::with_ip(64, bytes, start, DecoderOptions::NONE).into_iter().collect()
    }

    fn function(&mut self, start: u64) -> Result<Function, Stop> {
        let Some(place) = self.functions.get(&start) else { fail!("no function at {start:#x}") };
        let mut function = Function { name: place.name.clone(), ..Function::default() };
        // What is written in assembly has no size: it goes up to the next.
        let next = self.functions.range(start + 1..).next().map_or(start, |(&next, _)| next);
        let end = if place.end > start { place.end } else { next };
        let code = self.instructions(start, end);
        check!(!code.is_empty(), "{}: no code", function.name);
        for (index, instruction) in code.iter().enumerate() {
            let before = code.get(..index).unwrap_or(&[]);
            match instruction.flow_control() {
                _ if instruction.mnemonic() == Mnemonic::Syscall => {
                    function.syscalls.insert(self.number(before));
                }
                FlowControl::Call | FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch => {
                    let target = instruction.near_branch_target();
                    if !(start..end).contains(&target) {
                        self.goes_to(&mut function, target)?;
                    }
                }
                FlowControl::IndirectCall | FlowControl::IndirectBranch if !self.is_switch(instruction, before) => {
                    function.pointers.insert(self.pointer(instruction, before));
                }
                FlowControl::Exception => function.traps = true,
                _ => {}
            }
        }
        if code.last().is_some_and(|last| last.flow_control() == FlowControl::Next) {
            self.goes_to(&mut function, end)?;
        }
        Ok(function)
    }

    fn goes_to(&self, function: &mut Function, target: u64) -> Result<(), Stop> {
        let holder = self.functions.range(..=target).next_back();
        if let Some((&start, place)) = holder
            && (start == target || target < place.end)
        {
            function.calls.insert(start);
            return Ok(());
        }
        // A stub that the linker made jumps on to an import.
        let stub = self.instructions(target, target + 16);
        let jump = stub.iter().find(|jump| jump.flow_control() == FlowControl::IndirectBranch);
        let Some(name) = jump.and_then(|jump| self.imports.get(&jump.ip_rel_memory_address())) else {
            fail!("{}: goes to {target:#x}, where nothing is known to be", function.name)
        };
        function.pointers.insert(Pointer::Import(name.clone()));
        Ok(())
    }

    /// The instruction that gave a register its value, moves between registers followed; in the order in which the code
    /// stands, which is the order in which it runs for what is this close.
    fn origin<'c>(&mut self, mut register: Register, mut before: &'c [Instruction]) -> Option<&'c Instruction> {
        loop {
            let index = before.iter().rposition(|earlier| self.writes(earlier, register))?;
            let setter = before.get(index)?;
            if setter.mnemonic() != Mnemonic::Mov || setter.op1_kind() != OpKind::Register {
                return Some(setter);
            }
            register = setter.op1_register();
            before = before.get(..index)?;
        }
    }

    /// What a call by a pointer leads to.
    fn pointer(&mut self, call: &Instruction, before: &[Instruction]) -> Pointer {
        let read =
            if call.op0_kind() == OpKind::Register { self.origin(call.op0_register(), before) } else { Some(call) };
        match read {
            Some(read) if read.is_ip_rel_memory_operand() => self.held(read.ip_rel_memory_address()),
            _ => Pointer::Unknown,
        }
    }

    fn held(&self, address: u64) -> Pointer {
        let variable = self.variables.range(..=address).next_back().filter(|(_, place)| address < place.end);
        match (self.imports.get(&address), variable) {
            (Some(import), _) => Pointer::Import(import.clone()),
            (None, Some((_, place))) => Pointer::Variable(place.name.clone()),
            (None, None) => Pointer::Unknown,
        }
    }

    /// Whether a jump is a `match` by a table of offsets, which stays inside.
    fn is_switch(&mut self, jump: &Instruction, before: &[Instruction]) -> bool {
        if jump.flow_control() != FlowControl::IndirectBranch || jump.op0_kind() != OpKind::Register {
            return false;
        }
        let mut setters = before.iter().rev().filter(|earlier| self.writes(earlier, jump.op0_register()));
        let added = setters.next().is_some_and(|setter| setter.mnemonic() == Mnemonic::Add);
        added && setters.next().is_some_and(|setter| setter.code() == Opcode::Movsxd_r64_rm32)
    }

    fn writes(&mut self, instruction: &Instruction, register: Register) -> bool {
        self.info.info(instruction).used_registers().iter().any(|used| {
            used.register().full_register() == register.full_register()
                && !matches!(
                    used.access(),
                    OpAccess::None | OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess
                )
        })
    }

    /// The constant in `rax` before a system call.
    fn number(&mut self, before: &[Instruction]) -> Option<u32> {
        let setter = self.origin(Register::RAX, before)?;
        match (setter.mnemonic(), setter.op1_kind()) {
            (Mnemonic::Mov, OpKind::Immediate32 | OpKind::Immediate32to64) => Some(setter.immediate(1) as u32),
            (Mnemonic::Xor, OpKind::Register) if setter.op0_register() == setter.op1_register() => Some(0),
            _ => None,
        }
    }
}
