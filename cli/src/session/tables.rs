//! The kernel's tables of shared memory at one moment, and a world that answers from those of a session's end.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use shmaudit_core::kernel::{Elsewhere, FdFacts, FileFacts, Kernel, Lookup, Resource, Setting, Space};
use shmaudit_core::procfs::Segment;

use super::told::Bytes;
use crate::world::World;

/// What there was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tables {
    /// Segments; nothing where the table could not be read.
    pub segments: Option<Vec<Segment>>,
    /// Files of the shm mount, by name; nothing where it could not be read.
    pub files: Option<Vec<(Bytes, FileFacts)>>,
    /// Segments of other IPC namespaces that were still there, by their inode number; nothing where they could not be read.
    #[serde(default)]
    pub elsewhere: Vec<(u32, Option<Vec<Segment>>)>,
}

impl Tables {
    /// As they are now.
    pub fn now() -> Tables {
        let named = |(name, facts): (Vec<u8>, FileFacts)| (Bytes::from(&name[..]), facts);
        let files = World.shm_files().map(|files| files.into_iter().map(named).collect());
        Tables { segments: World.segments(), files, elsewhere: Vec::new() }
    }

    /// With those of other IPC namespaces.
    pub fn with(self, namespaces: impl IntoIterator<Item = u32>) -> Tables {
        let table = |namespace: u32| match World.segments_of(namespace) {
            Elsewhere::Open { segments, .. } => Some((namespace, Some(segments))),
            Elsewhere::Closed => Some((namespace, None)),
            Elsewhere::Gone => None,
        };
        Tables { elsewhere: namespaces.into_iter().filter_map(table).collect(), ..self }
    }
}

/// The world as it was when a session ended: nobody of its tree runs.
#[derive(Debug)]
pub struct Then {
    segments: Option<Vec<Segment>>,
    files: Option<HashMap<Vec<u8>, FileFacts>>,
    ipc_namespace: u32,
    pid_namespace: u32,
    elsewhere: HashMap<u32, Option<Vec<Segment>>>,
}

impl Then {
    /// From the tables of the end, read in these namespaces.
    pub fn new(tables: &Tables, ipc_namespace: u32, pid_namespace: u32) -> Then {
        let files = tables.files.as_ref();
        let files = files.map(|files| files.iter().map(|(name, facts)| (name.bytes().to_vec(), *facts)).collect());
        Then {
            segments: tables.segments.clone(),
            files,
            ipc_namespace,
            pid_namespace,
            elsewhere: tables.elsewhere.iter().cloned().collect(),
        }
    }
}

impl Kernel for Then {
    fn segments(&mut self) -> Option<Vec<Segment>> {
        self.segments.clone()
    }

    fn ipc_namespace(&mut self) -> u32 {
        self.ipc_namespace
    }

    fn pid_namespace(&mut self) -> u32 {
        self.pid_namespace
    }

    fn segments_of(&mut self, namespace: u32) -> Elsewhere {
        match self.elsewhere.get(&namespace) {
            Some(Some(segments)) => Elsewhere::Open { segments: segments.clone(), process: 0 },
            Some(None) => Elsewhere::Closed,
            None => Elsewhere::Gone,
        }
    }

    fn shm_file(&mut self, name: &[u8]) -> Lookup<FileFacts> {
        match &self.files {
            None => Lookup::Unreadable,
            Some(files) => files.get(name).map_or(Lookup::Missing, |&facts| Lookup::Found(facts)),
        }
    }

    fn shm_files(&mut self) -> Option<Vec<(Vec<u8>, FileFacts)>> {
        let files = self.files.as_ref()?;
        Some(files.iter().map(|(name, facts)| (name.clone(), *facts)).collect())
    }

    fn maps(&mut self, _: u32) -> Option<Vec<u8>> {
        None
    }

    fn fds(&mut self, _: u32) -> Option<Vec<FdFacts>> {
        None
    }

    fn alive(&mut self, _: u32, _: u64, _: u64) -> bool {
        false
    }

    fn setting(&mut self, setting: Setting) -> Option<u64> {
        World.setting(setting)
    }

    fn space(&mut self) -> Option<Space> {
        World.space()
    }

    fn limit(&mut self, _: u32, _: Resource) -> Option<u64> {
        None
    }
}
