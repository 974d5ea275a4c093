//! What was made, put to use: the image in a container without rights, the unit before systemd's own judge.
//! What can't be had here is skipped with its reason.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use super::{Made, Release, say};
use crate::peers::{self, Missing};
use crate::repository;

/// The exposure that `systemd-analyze security` may find, in tenths; 10 is "OK", 100 the worst.
const EXPOSURE: &str = "15";

pub(super) fn run(release: &Release, made: &[Made]) -> anyhow::Result<()> {
    let image = made.iter().find(|one| one.path.extension().is_some_and(|kind| kind == "tar"));
    container(release, &image.context("no image was made")?.path)?;
    unit()
}

/// Runs the demo from the image: user without rights, read-only root, no capability, a network of its own.
fn container(release: &Release, image: &Path) -> anyhow::Result<()> {
    let tools = match tools() {
        Ok(tools) => tools,
        Err(missing) => {
            say(&format!("container  {missing}"));
            return Ok(());
        }
    };
    let scratch = repository::target().join("dist-try");
    if scratch.exists() {
        std::fs::remove_dir_all(&scratch)?;
    }
    std::fs::create_dir_all(&scratch)?;
    let version = &release.version;
    let archive = format!("oci-archive:{}", image.display());
    succeed(
        Command::new(&tools.skopeo).args(["copy", "-q", &archive]).arg(format!("oci:image:{version}")),
        &scratch,
    )?;
    succeed(
        Command::new(&tools.umoci).args(["unpack", "--image", &format!("image:{version}"), "bundle"]),
        &scratch,
    )?;

    let first = contained(&tools.runc, &scratch, &["fuseboard", "version"])?;
    let said = last_line(&first.stderr);
    // What the machine does not let runc do; a binary that cannot be run is the image's fault.
    let not_allowed =
        ["namespace", "cgroup", "not permitted", "mount"].iter().any(|word| said.contains(word));
    if !first.status.success() && not_allowed {
        say(&format!("container  {}", Missing { peer: "runc", reason: said }));
        return Ok(());
    }
    for command in
        [&["fuseboard", "version"][..], &["fuseboard", "demo", "--once", "--expect"], &["fortio", "version"]]
    {
        let output = contained(&tools.runc, &scratch, command)?;
        ensure!(
            output.status.success(),
            "in the container, {} failed: {}",
            command.join(" "),
            last_line(&output.stderr)
        );
    }
    say("container  the demo ran: user without rights, read-only root, no capabilities");
    Ok(())
}

struct Tools {
    skopeo: PathBuf,
    umoci: PathBuf,
    runc: PathBuf,
}

fn tools() -> Result<Tools, Missing> {
    Ok(Tools {
        skopeo: peers::debian("skopeo", "skopeo")?,
        umoci: peers::debian("umoci", "umoci")?,
        runc: peers::debian("runc", "runc")?,
    })
}

/// Runs a command in the unpacked bundle as compose.yaml would have it.
fn contained(runc: &Path, scratch: &Path, command: &[&str]) -> anyhow::Result<Output> {
    let path = scratch.join("bundle/config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&path)?)?;
    config["root"]["readonly"] = json!(true);
    config["process"]["args"] = json!(command);
    config["process"]["terminal"] = json!(false);
    config["process"]["capabilities"] = json!({});
    config["process"]["noNewPrivileges"] = json!(true);
    let mounts = config["mounts"].as_array_mut().context("a bundle without mounts")?;
    if !mounts.iter().any(|mount| mount["destination"] == "/tmp") {
        mounts.push(json!({ "destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev"] }));
    }
    std::fs::write(&path, serde_json::to_vec(&config)?)?;
    let name = format!("fuseboard-try-{}", std::process::id());
    Command::new(runc)
        .args(["--root", "state", "run", "--bundle", "bundle", &name])
        .current_dir(scratch)
        .stdin(Stdio::null())
        .output()
        .context("running runc")
}

/// systemd reads the unit without a complaint and finds it well locked in.
fn unit() -> anyhow::Result<()> {
    let analyze = match peers::debian("systemd-analyze", "systemd") {
        Ok(analyze) => analyze,
        Err(missing) => {
            say(&format!("unit       {missing}"));
            return Ok(());
        }
    };
    let path = repository::root().join("deploy/systemd/fuseboard.service");
    let threshold = format!("--threshold={EXPOSURE}");
    let output = Command::new(analyze)
        .args(["security", "--no-pager", "--offline=true", &threshold])
        .arg(path)
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let verdict = text.lines().rev().find(|line| line.contains("exposure level")).unwrap_or_default();
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(complaint.trim().is_empty(), "systemd says of the unit: {}", complaint.trim());
    ensure!(output.status.success(), "the unit is not locked in well enough: {verdict}");
    say(&format!("unit       {}", verdict.trim_start_matches(|c: char| !c.is_alphanumeric()).trim()));
    Ok(())
}

fn succeed(command: &mut Command, folder: &Path) -> anyhow::Result<()> {
    let output = command.current_dir(folder).stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    bail!("{} failed: {}", command.get_program().to_string_lossy(), last_line(&output.stderr))
}

fn last_line(text: &[u8]) -> String {
    String::from_utf8_lossy(text).lines().last().unwrap_or("it said nothing").to_owned()
}
