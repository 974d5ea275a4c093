//! Finding the running proxy: live files count, files of ended processes do not, unsafe folders are not believed.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use fuseboard_admin::AdminAddress;
use fuseboard_admin::instance::{DiscoveryError, RuntimeDirectory, discover};

fn address(text: &str) -> AdminAddress {
    text.parse().unwrap()
}

#[test]
fn the_variable_wins_then_the_only_instance_then_istios_port() {
    let folder = tempfile::tempdir().unwrap();
    let directory = RuntimeDirectory::at(folder.path().join("fuseboard"));
    assert_eq!(discover(None, &directory).unwrap(), address("127.0.0.1:15000"));
    assert_eq!(discover(Some(""), &directory).unwrap(), address("127.0.0.1:15000"));

    let announced = directory.announce(&address("127.0.0.1:4711")).unwrap();
    assert_eq!(discover(None, &directory).unwrap(), address("127.0.0.1:4711"));
    assert_eq!(discover(Some("unix:/x.sock"), &directory).unwrap(), address("unix:/x.sock"));
    drop(announced);
    assert_eq!(discover(None, &directory).unwrap(), address("127.0.0.1:15000"));
}

#[test]
fn a_variable_that_is_no_address_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let problem = discover(Some("15000"), &RuntimeDirectory::at(folder.path())).unwrap_err();
    assert!(problem.to_string().starts_with("FUSEBOARD_ADMIN=15000: not an admin address"), "{problem}");
}

#[test]
fn several_instances_are_listed_and_none_is_guessed() {
    let folder = tempfile::tempdir().unwrap();
    let directory = RuntimeDirectory::at(folder.path().join("fuseboard"));
    let _ours = directory.announce(&address("127.0.0.1:4711")).unwrap();
    // another process: its file is locked through a descriptor of its own
    let path = folder.path().join("fuseboard/1.json");
    fs::write(&path, r#"{"pid":1,"admin":"127.0.0.1:4712"}"#).unwrap();
    let other = fs::File::open(&path).unwrap();
    other.lock().unwrap();

    let problem = discover(None, &directory).unwrap_err();
    let DiscoveryError::Several(found) = &problem else { unreachable!("{problem}") };
    assert_eq!(found.len(), 2);
    assert!(problem.to_string().contains("127.0.0.1:4712 (pid 1)"), "{problem}");
}

#[test]
fn the_file_of_an_ended_process_is_ignored_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let directory = RuntimeDirectory::at(folder.path().join("fuseboard"));
    drop(directory.announce(&address("127.0.0.1:4711")).unwrap());
    // nobody holds its lock, though the process with this id may well exist
    let stale = folder.path().join("fuseboard/1.json");
    fs::write(&stale, r#"{"pid":1,"admin":"127.0.0.1:4712"}"#).unwrap();
    assert_eq!(directory.instances(), []);
    assert!(!stale.exists());
}

#[test]
fn a_folder_that_others_may_write_is_neither_used_nor_believed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fuseboard");
    let directory = RuntimeDirectory::at(&path);
    let announced = directory.announce(&address("127.0.0.1:4711")).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(directory.instances().len(), 1);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(directory.instances(), []);
    assert!(directory.announce(&address("127.0.0.1:4711")).is_err());
    drop(announced);

    let link = folder.path().join("link");
    std::os::unix::fs::symlink(folder.path(), &link).unwrap();
    assert!(RuntimeDirectory::at(link).announce(&address("127.0.0.1:1")).is_err(), "a link is not a folder");
}
