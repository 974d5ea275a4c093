//! The control plane: where resources come from (files), watching them, pushing snapshots.
