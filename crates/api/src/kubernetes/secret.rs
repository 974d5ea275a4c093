//! `Secret` (`v1`): read for certificates and keys, which rules call by `credentialName`.

use crate::schema::object;
use crate::span::Map;
use crate::tree::Node;

object! {
    /// The resource.
    pub struct Secret {
        /// What kind of secret it is.
        kind: optional String = "type", Ignored;
        /// Its entries in base64.
        data: optional Map<String> = "data", Supported;
        /// Its entries as they are; they go before those in base64.
        string_data: optional Map<String> = "stringData", Supported;
        /// Whether it may change.
        immutable: optional bool = "immutable", Ignored;
        /// What a tool that encrypts files keeps for itself.
        sops: optional Node = "sops", Ignored;
    }
}
