//! `/memory`: Envoy's names, 64-bit numbers as strings. What only Envoy's allocator can tell is absent.

use serde::Serialize;

use crate::page::Page;

/// Memory of the process, as the system counts it. `None`: the system does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Memory of our own that is resident: heap and stacks, in bytes.
    pub heap: Option<u64>,
    /// All that is resident, the program's code included, in bytes.
    pub resident: Option<u64>,
}

#[derive(Serialize)]
struct MemoryJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    heap_size: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_physical_bytes: Option<String>,
}

/// `/memory`
pub fn page(memory: Memory) -> Page {
    let text = |bytes: Option<u64>| bytes.map(|bytes| bytes.to_string());
    Page::json(&MemoryJson { heap_size: text(memory.heap), total_physical_bytes: text(memory.resident) })
}
