//! `metadata` of every resource.

use crate::schema::object;
use crate::span::Map;
use crate::tree::Node;

object! {
    /// Name and book-keeping of a resource.
    pub struct ObjectMeta {
        /// Name.
        name: required String = "name", Supported;
        /// Namespace; absent: `default`.
        namespace: optional String = "namespace", Supported;
        /// Labels.
        labels: optional Map<String> = "labels", Supported;
        /// When the API server made it; orders rules for one host.
        creation_timestamp: optional String = "creationTimestamp", Supported;
        /// Identity given by the API server.
        uid: optional String = "uid", Supported;
        /// Free text for tools; of a `Service`, `networking.istio.io/exportTo` is read.
        annotations: optional Map<String> = "annotations", Supported;
        /// Prefix of a name to be made by the API server.
        generate_name: optional String = "generateName", Ignored;
        /// Version of the object.
        resource_version: optional String = "resourceVersion", Ignored;
        /// Version of the spec.
        generation: optional u32 = "generation", Ignored;
        /// Old link.
        self_link: optional String = "selfLink", Ignored;
        /// When it was asked to go.
        deletion_timestamp: optional String = "deletionTimestamp", Ignored;
        /// Time it was given to go.
        deletion_grace_period_seconds: optional u32 = "deletionGracePeriodSeconds", Ignored;
        /// Who must let it go.
        finalizers: optional Node = "finalizers", Ignored;
        /// Who owns it.
        owner_references: optional Node = "ownerReferences", Ignored;
        /// Who wrote which field.
        managed_fields: optional Node = "managedFields", Ignored;
    }
}
