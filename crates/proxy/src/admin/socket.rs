//! The socket of the admin server: loopback or unix, checked before it is bound.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use fuseboard_admin::AdminAddress;

/// Why the admin server cannot listen where it should.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Other machines reach the address.
    #[error("the admin server listens on a loopback address or a unix socket only, not on {0}")]
    NotLoopback(SocketAddr),
    /// The system refused.
    #[error("the admin server cannot listen on {address}")]
    System {
        /// As given.
        address: AdminAddress,
        /// What the system said.
        source: io::Error,
    },
}

/// A bound socket that nobody accepts from yet.
#[derive(Debug)]
pub struct AdminSocket {
    address: AdminAddress,
    pub(super) listener: Listener,
    pub(super) file: Option<SocketFile>,
}

#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A unix socket's file; dropped, it is removed.
#[derive(Debug)]
pub(super) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl AdminSocket {
    /// Binds `address`; a unix socket's file is readable and writable by this user only.
    pub fn bind(address: &AdminAddress) -> Result<Self, BindError> {
        let failed = |source| BindError::System { address: address.clone(), source };
        match address {
            AdminAddress::Tcp(wanted) if !wanted.ip().to_canonical().is_loopback() => {
                Err(BindError::NotLoopback(*wanted))
            }
            AdminAddress::Tcp(wanted) => Self::bind_open(*wanted).map_err(failed),
            AdminAddress::Unix(path) => {
                let (listener, file) = bind_unix(path).map_err(failed)?;
                Ok(Self { address: address.clone(), listener: Listener::Unix(listener), file: Some(file) })
            }
        }
    }

    /// Binds an address that other machines may reach; for [`super::AdminServer::start_metrics`].
    pub fn bind_open(wanted: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(wanted)?;
        listener.set_nonblocking(true)?;
        let address = AdminAddress::Tcp(listener.local_addr()?);
        Ok(Self { address, listener: Listener::Tcp(listener), file: None })
    }

    /// Where it is bound, with the port that the system chose.
    pub fn address(&self) -> &AdminAddress {
        &self.address
    }
}

fn bind_unix(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    let listener = match UnixListener::bind(path) {
        Err(problem) if problem.kind() == io::ErrorKind::AddrInUse && is_abandoned(path) => {
            fs::remove_file(path)?;
            UnixListener::bind(path)?
        }
        other => other?,
    };
    let file = SocketFile(path.to_owned());
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok((listener, file))
}

/// A socket file of a process that has ended: connecting is refused.
fn is_abandoned(path: &Path) -> bool {
    UnixStream::connect(path).is_err_and(|problem| problem.kind() == io::ErrorKind::ConnectionRefused)
}
