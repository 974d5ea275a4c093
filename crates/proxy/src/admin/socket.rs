//! The socket of the admin server: loopback or unix, checked before it is bound.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fuseboard_admin::AdminAddress;

use crate::inherited::Inherited;

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
    /// Another process listens on it, and keeps its file.
    pub(super) left: Arc<AtomicBool>,
}

#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A unix socket's file; dropped, it is removed, unless another process listens on it.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    left: Arc<AtomicBool>,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if !self.left.load(Ordering::Acquire) {
            let _ = fs::remove_file(&self.path);
        }
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
                Self::with_file(address, path, bind_unix(path).map_err(failed)?).map_err(failed)
            }
        }
    }

    /// The socket for `address` that the process before this one left; else a new one, as [`AdminSocket::bind`] makes it.
    pub(crate) fn inherit_or_bind(address: &AdminAddress, inherited: &Inherited) -> Result<Self, BindError> {
        let failed = |source| BindError::System { address: address.clone(), source };
        let left = match address {
            AdminAddress::Tcp(wanted) => inherited.admin_tcp(*wanted).map(Self::over),
            AdminAddress::Unix(path) => {
                inherited.admin_unix(address).map(|socket| Self::with_file(address, path, socket))
            }
        };
        left.map_or_else(|| Self::bind(address), |socket| socket.map_err(failed))
    }

    fn with_file(address: &AdminAddress, path: &Path, listener: UnixListener) -> io::Result<Self> {
        let left = Arc::new(AtomicBool::new(false));
        let file = SocketFile { path: path.to_owned(), left: Arc::clone(&left) };
        listener.set_nonblocking(true)?;
        Ok(Self { address: address.clone(), listener: Listener::Unix(listener), file: Some(file), left })
    }

    /// Binds an address that other machines may reach; for [`super::AdminServer::start_metrics`].
    pub fn bind_open(wanted: SocketAddr) -> io::Result<Self> {
        Self::over(TcpListener::bind(wanted)?)
    }

    /// The socket for `wanted` that the process before this one left; else a new one, as [`AdminSocket::bind_open`] makes it.
    pub(crate) fn inherit_or_bind_open(wanted: SocketAddr, inherited: &Inherited) -> io::Result<Self> {
        inherited.metrics(wanted).map_or_else(|| Self::bind_open(wanted), Self::over)
    }

    fn over(listener: TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let address = AdminAddress::Tcp(listener.local_addr()?);
        Ok(Self { address, listener: Listener::Tcp(listener), file: None, left: Arc::default() })
    }

    /// The same socket, for another process.
    pub(super) fn duplicate(&self) -> io::Result<OwnedFd> {
        match &self.listener {
            Listener::Tcp(listener) => Ok(listener.try_clone()?.into()),
            Listener::Unix(listener) => Ok(listener.try_clone()?.into()),
        }
    }

    /// Where it is bound, with the port that the system chose.
    pub fn address(&self) -> &AdminAddress {
        &self.address
    }
}

fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    let listener = match UnixListener::bind(path) {
        Err(problem) if problem.kind() == io::ErrorKind::AddrInUse && is_abandoned(path) => {
            fs::remove_file(path)?;
            UnixListener::bind(path)?
        }
        other => other?,
    };
    if let Err(problem) = fs::set_permissions(path, fs::Permissions::from_mode(0o600)) {
        let _ = fs::remove_file(path);
        return Err(problem);
    }
    Ok(listener)
}

/// A socket file of a process that has ended: connecting is refused.
fn is_abandoned(path: &Path) -> bool {
    UnixStream::connect(path).is_err_and(|problem| problem.kind() == io::ErrorKind::ConnectionRefused)
}
