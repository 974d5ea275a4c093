//! What stands behind the contenders: nginx for HTTP, our own echo for gRPC, and a few lines for bytes. All of them run on the
//! core of the load.

use std::net::SocketAddr;
use std::path::Path;

use super::certificates::Certificates;
use super::row::Back;
use super::{LOAD_CORE, tcp};
use crate::process::{self, Server};

/// Everything that may be called.
pub(super) struct Origin {
    http1: SocketAddr,
    http2: SocketAddr,
    mutual_tls: SocketAddr,
    failing: SocketAddr,
    /// Nobody listens there.
    gone: SocketAddr,
    grpc: SocketAddr,
    sink: SocketAddr,
    echo: SocketAddr,
    /// They end when this is dropped.
    servers: Vec<Server>,
}

impl Origin {
    pub(super) fn start(
        nginx: &Path,
        fuseboard: &Path,
        certificates: &Certificates,
        scratch: &Path,
    ) -> anyhow::Result<Self> {
        let mut origin = Self {
            http1: process::free_address()?,
            http2: process::free_address()?,
            mutual_tls: process::free_address()?,
            failing: process::free_address()?,
            gone: process::free_address()?,
            grpc: process::free_address()?,
            sink: tcp::sink()?,
            echo: tcp::echo()?,
            servers: Vec::new(),
        };
        let folder = scratch.join("origin");
        std::fs::create_dir_all(&folder)?;
        for (name, length) in [("0", 0), ("1k", 1 << 10), ("64k", 64 << 10), ("10m", 10 << 20)] {
            std::fs::write(folder.join(name), "x".repeat(length))?;
        }
        let file = folder.join("nginx.conf");
        std::fs::write(&file, origin.configuration(&folder, certificates))?;
        let arguments = ["-c".into(), file.display().to_string(), "-p".into(), folder.display().to_string()];
        let mut server =
            Server::start("nginx", Some(LOAD_CORE), nginx, &arguments, &folder.join("nginx.out"))?;
        server.wait_for(origin.http1)?;
        let line = format!(
            "server -http-port disabled -tcp-port disabled -udp-port disabled -redirect-port disabled -grpc-port {}",
            origin.grpc
        );
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let log = folder.join("grpc.out");
        let mut grpc = Server::start("fuseboard server", Some(LOAD_CORE), fuseboard, &arguments, &log)?;
        grpc.wait_for(origin.grpc)?;
        origin.servers = vec![server, grpc];
        Ok(origin)
    }

    pub(super) fn hosts(&self, back: Back) -> Vec<SocketAddr> {
        match back {
            Back::Http1 => vec![self.http1],
            Back::Http2 => vec![self.http2],
            Back::MutualTls => vec![self.mutual_tls],
            Back::Grpc => vec![self.grpc],
            Back::HalfGone => vec![self.http1, self.gone],
            Back::Failing => vec![self.failing],
            Back::Sink => vec![self.sink],
            Back::Echo => vec![self.echo],
        }
    }

    /// Without a master: a worker would outlive the one that is ended here.
    fn configuration(&self, folder: &Path, certificates: &Certificates) -> String {
        let Self { http1, http2, mutual_tls, failing, .. } = self;
        let folder = folder.display();
        let location = format!(
            "root {folder}; location = / {{ default_type text/plain; return 200 'hello\\n'; }} location / {{ default_type text/plain; }}"
        );
        let Certificates { authority, server, server_key, .. } = certificates;
        format!(
            "daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;\n\
             events {{ worker_connections 16384; }}\n\
             http {{ access_log off; sendfile on; tcp_nopush on; open_file_cache max=16; keepalive_requests 1000000000; keepalive_timeout 1h;\n\
             client_max_body_size 64m; client_body_temp_path {folder}; ssl_protocols TLSv1.2 TLSv1.3;\n\
             server {{ listen {http1} backlog=4096; {location} }}\n\
             server {{ listen {http2} http2 backlog=4096; {location} }}\n\
             server {{ listen {failing} backlog=4096; location / {{ return 503; }} }}\n\
             server {{ listen {mutual_tls} ssl backlog=4096; ssl_certificate {server}; ssl_certificate_key {server_key};\n\
             ssl_client_certificate {authority}; ssl_verify_client on; {location} }} }}\n"
        )
    }
}
