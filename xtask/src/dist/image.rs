//! The container image: one layer with the binary under its four names, for a user without rights, and nothing else.
//!
//! The archive is an [OCI image layout](https://github.com/opencontainers/image-spec/blob/main/image-layout.md) with
//! Docker's older `manifest.json` beside it, so that `docker load`, `podman load` and `skopeo` all read it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::archive::{self, Tree};
use super::binary::Binary;
use super::{Release, package};

/// The user that images without users take by custom ("nonroot").
const USER: u64 = 65532;

pub(super) fn write(binary: &Binary, release: &Release) -> anyhow::Result<Vec<u8>> {
    let layer = root(binary).tar(release.time)?;
    let packed = archive::gzip(&layer)?;
    let mut blobs = Blobs::default();
    let layer_descriptor = blobs.put("application/vnd.oci.image.layer.v1.tar+gzip", packed);
    let config = config(release, &archive::sha256(&layer));
    let config_descriptor =
        blobs.put("application/vnd.oci.image.config.v1+json", serde_json::to_vec(&config)?);
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config_descriptor,
        "layers": [layer_descriptor],
    });
    let mut top = blobs.put("application/vnd.oci.image.manifest.v1+json", serde_json::to_vec(&manifest)?);
    let name = format!("fuseboard:{}", release.version);
    top["annotations"] = json!({
        "io.containerd.image.name": format!("docker.io/library/{name}"),
        "org.opencontainers.image.ref.name": release.version,
    });
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [top],
    });
    let docker = json!([{
        "Config": path_of(&config_descriptor),
        "RepoTags": [name],
        "Layers": [path_of(&layer_descriptor)],
    }]);
    let mut tree = Tree::default();
    tree.file("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
    tree.file("index.json", serde_json::to_vec(&index)?);
    tree.file("manifest.json", serde_json::to_vec(&docker)?);
    for (path, content) in blobs.0 {
        tree.file(path, content);
    }
    tree.tar(release.time)
}

/// The root file system.
fn root(binary: &Binary) -> Tree {
    let mut tree = Tree::default();
    tree.program("usr/local/bin/fuseboard", binary.content.as_slice());
    for name in package::NAMES {
        tree.link(format!("usr/local/bin/{name}"), "fuseboard");
    }
    tree.file("etc/passwd", format!("root:x:0:0:root:/:/\nnonroot:x:{USER}:{USER}:nonroot:/tmp:/\n"));
    tree.file("etc/group", format!("root:x:0:\nnonroot:x:{USER}:\n"));
    // Names of the container's network first, then DNS.
    tree.file("etc/nsswitch.conf", "hosts: files dns\n");
    // Where a running proxy is noted and the demo keeps its rules; a tmpfs mounted here takes over its rights.
    tree.folder("tmp", 0o1777);
    tree.folder("rules", 0o755);
    tree
}

fn config(release: &Release, diff_id: &str) -> Value {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    json!({
        "architecture": architecture,
        "os": "linux",
        "config": {
            "User": format!("{USER}:{USER}"),
            "Env": ["PATH=/usr/local/bin"],
            "Entrypoint": ["fuseboard"],
            "Cmd": ["--help"],
            "WorkingDir": "/",
            "StopSignal": "SIGTERM",
            "Labels": {
                "org.opencontainers.image.title": "fuseboard",
                "org.opencontainers.image.description": "The circuit-breaking service mesh: proxy, rules, load generator and demo in one binary",
                "org.opencontainers.image.version": release.version,
                "org.opencontainers.image.licenses": "Apache-2.0",
            },
        },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{diff_id}")] },
        "history": [{ "created_by": "cargo xtask dist" }],
    })
}

/// Contents by the path that their digest gives.
#[derive(Default)]
struct Blobs(BTreeMap<String, Vec<u8>>);

impl Blobs {
    /// Keeps `content` and says how others refer to it.
    fn put(&mut self, media_type: &str, content: Vec<u8>) -> Value {
        let digest = archive::sha256(&content);
        let descriptor =
            json!({ "mediaType": media_type, "digest": format!("sha256:{digest}"), "size": content.len() });
        self.0.insert(path_of(&descriptor), content);
        descriptor
    }
}

fn path_of(descriptor: &Value) -> String {
    let digest = descriptor["digest"].as_str().unwrap_or_default();
    format!("blobs/{}", digest.replace(':', "/"))
}
